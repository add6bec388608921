"""The cluster as Consul has it: one frozen snapshot, read once or watched."""

from coord.members import (
    LeaderInstance,
    Listing,
    Member,
    Role,
    Seen,
)
from coord.records.health import ClusterHealthRecord
from coord.status.as_json import (
    to_dict,
    to_json,
)
from coord.status.model import (
    ClusterStatus,
    Condition,
    ConsulStatus,
    ControlStatus,
    HealthStatus,
    LeaderStatus,
    Oddity,
    TermCondition,
    TermStatus,
    Unavailable,
)
from coord.status.node import (
    NodeStatus,
    node_status,
    state_of,
)
from coord.status.read import (
    read_status,
    watch_status,
)

__all__ = [
    "ClusterHealthRecord",
    "ClusterStatus",
    "Condition",
    "ConsulStatus",
    "ControlStatus",
    "HealthStatus",
    "LeaderInstance",
    "LeaderStatus",
    "Listing",
    "Member",
    "NodeStatus",
    "Oddity",
    "Role",
    "Seen",
    "TermCondition",
    "TermStatus",
    "Unavailable",
    "node_status",
    "read_status",
    "state_of",
    "to_dict",
    "to_json",
    "watch_status",
]
