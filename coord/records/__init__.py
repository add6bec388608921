"""The key paths and the versioned JSON records kept in Consul: the one shared contract.

Every node, the console and the runbooks agree on this package and on nothing else. Records are
JSON objects with a version `v`. A reader takes what it knows and ignores the rest, so that an old
reader meets a newer record without harm.
"""

from coord.records.audit import AuditRecord
from coord.records.base import (
    MAX_DELAY_MS,
    MAX_TERM,
    Name,
    Record,
    RecordError,
    Term,
    utc,
)
from coord.records.control import (
    MAX_PAUSE_MS,
    MAX_REASON,
    Control,
    DrainRecord,
    PauseRecord,
    RequestKind,
    RequestRecord,
)
from coord.records.leader import LeaderRecord, LeaderState, decode_term, encode_term
from coord.records.paths import (
    CANDIDATE_SERVICE,
    DEFAULT_PRIORITY,
    LEADER_SERVICE,
    MAX_PRIORITY,
    NAME_PATTERN,
    OBSERVER_SERVICE,
    POLLER_SERVICE,
    ROOT,
    Paths,
    check_name,
    is_name,
)

__all__ = [
    "CANDIDATE_SERVICE",
    "DEFAULT_PRIORITY",
    "LEADER_SERVICE",
    "MAX_DELAY_MS",
    "MAX_PAUSE_MS",
    "MAX_PRIORITY",
    "MAX_REASON",
    "MAX_TERM",
    "NAME_PATTERN",
    "OBSERVER_SERVICE",
    "POLLER_SERVICE",
    "ROOT",
    "AuditRecord",
    "Control",
    "DrainRecord",
    "LeaderRecord",
    "LeaderState",
    "Name",
    "Paths",
    "PauseRecord",
    "Record",
    "RecordError",
    "RequestKind",
    "RequestRecord",
    "Term",
    "check_name",
    "decode_term",
    "encode_term",
    "is_name",
    "utc",
]
