"""The values that come back from Consul and go to it: frozen, typed, units in the names."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


class Consistency(enum.Enum):
    """How fresh a read must be.

    DEFAULT: the Consul leader answers from what it holds; wrong only while it is being deposed.
    CONSISTENT: the Consul leader first checks with its peers that it still leads. The only read
        that can confirm a lease.
    STALE: any server answers, even without a leader. Proves nothing.
    """

    DEFAULT = "default"
    CONSISTENT = "consistent"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """An answer together with what Consul says about it.

    index: X-Consul-Index, what a blocking query waits on; 0 where missing or unreadable.
    known_leader: X-Consul-KnownLeader; None where missing.
    """

    value: T
    index: int
    known_leader: bool | None = None


@dataclass(frozen=True, slots=True)
class KVEntry:
    """One key. `session` is None when nobody holds the lock on it.

    `lock_index` counts acquisitions, but any plain write sets it back to 0: not a fencing token.
    In the results of a transaction only `get` carries the value; elsewhere it is empty.
    """

    key: str
    value: bytes
    flags: int = 0
    session: str | None = None
    lock_index: int = 0
    create_index: int = 0
    modify_index: int = 0


class TxnVerb(enum.Enum):
    """The KV verbs of Consul's transactions."""

    SET = "set"
    CAS = "cas"
    LOCK = "lock"
    UNLOCK = "unlock"
    GET = "get"
    DELETE = "delete"
    DELETE_CAS = "delete-cas"
    DELETE_TREE = "delete-tree"
    CHECK_INDEX = "check-index"
    CHECK_SESSION = "check-session"
    CHECK_NOT_EXISTS = "check-not-exists"


@dataclass(frozen=True, slots=True)
class TxnOp:
    """One step of a transaction. Use the constructors; they set what each verb needs."""

    verb: TxnVerb
    key: str
    value: bytes = b""
    flags: int = 0
    index: int = 0
    session: str | None = None

    @classmethod
    def kv_set(cls, key: str, value: bytes, flags: int = 0) -> TxnOp:
        """Write, whatever is there. Sets the key's LockIndex back to 0, keeps its session."""
        return cls(TxnVerb.SET, key, value, flags)

    @classmethod
    def kv_cas(cls, key: str, value: bytes, index: int, flags: int = 0) -> TxnOp:
        """Write if the key's ModifyIndex is `index`; 0 means: if the key does not exist."""
        return cls(TxnVerb.CAS, key, value, flags, index)

    @classmethod
    def kv_lock(cls, key: str, value: bytes, session: str, flags: int = 0) -> TxnOp:
        """Take the lock and write; passes too if `session` holds it already (then: update)."""
        return cls(TxnVerb.LOCK, key, value, flags, 0, session)

    @classmethod
    def kv_unlock(cls, key: str, value: bytes, session: str, flags: int = 0) -> TxnOp:
        """Give the lock back and write; fails if `session` does not hold it."""
        return cls(TxnVerb.UNLOCK, key, value, flags, 0, session)

    @classmethod
    def kv_get(cls, key: str) -> TxnOp:
        """Read; the transaction fails if the key does not exist."""
        return cls(TxnVerb.GET, key)

    @classmethod
    def kv_delete(cls, key: str) -> TxnOp:
        """Delete; passes if the key does not exist."""
        return cls(TxnVerb.DELETE, key)

    @classmethod
    def kv_delete_cas(cls, key: str, index: int) -> TxnOp:
        """Delete if the key's ModifyIndex is `index`."""
        return cls(TxnVerb.DELETE_CAS, key, index=index)

    @classmethod
    def kv_delete_tree(cls, prefix: str) -> TxnOp:
        """Delete every key that starts with `prefix`."""
        return cls(TxnVerb.DELETE_TREE, prefix)

    @classmethod
    def kv_check_index(cls, key: str, index: int) -> TxnOp:
        """Fail unless the key exists and its ModifyIndex is `index`."""
        return cls(TxnVerb.CHECK_INDEX, key, index=index)

    @classmethod
    def kv_check_session(cls, key: str, session: str) -> TxnOp:
        """Fail unless the key exists and `session` holds its lock."""
        return cls(TxnVerb.CHECK_SESSION, key, session=session)

    @classmethod
    def kv_check_not_exists(cls, key: str) -> TxnOp:
        """Fail if the key exists."""
        return cls(TxnVerb.CHECK_NOT_EXISTS, key)


@dataclass(frozen=True, slots=True)
class TxnError:
    """Why a transaction did not happen. `op_index` counts from 0; `what` is Consul's text."""

    op_index: int
    what: str


@dataclass(frozen=True, slots=True)
class TxnResult:
    """The outcome of a transaction: all of it happened, or nothing.

    entries: in the order of the operations that return one (all but the deletes and
        check-not-exists); empty unless ok. Keys that the token may not read are left out.
    errors: every failed operation that Consul named; one reply may carry several.
    known_leader: only with read-only transactions, else None.
    """

    ok: bool
    entries: tuple[KVEntry, ...] = ()
    errors: tuple[TxnError, ...] = ()
    known_leader: bool | None = None

    def entry(self, key: str) -> KVEntry | None:
        """The last entry of that key: put the `get` after the writes to see their result."""
        return next((e for e in reversed(self.entries) if e.key == key), None)


@dataclass(frozen=True, slots=True)
class Session:
    """A Consul session. `checks` are ids of checks on its node that keep it alive.

    ttl_s: None when the session has no TTL. Consul lets it die between one and two TTLs.
    """

    id: str
    name: str
    node: str
    checks: tuple[str, ...]
    lock_delay_s: float
    ttl_s: float | None
    behavior: str
    create_index: int = 0


class CheckStatus(enum.StrEnum):
    """A check's status; the order of `severity` is passing < warning < critical."""

    PASSING = "passing"
    WARNING = "warning"
    CRITICAL = "critical"

    @classmethod
    def parse(cls, text: object) -> CheckStatus:
        """What Consul wrote; anything unknown (also "maintenance") counts as critical."""
        try:
            return cls(str(text))
        except ValueError:
            return cls.CRITICAL

    @property
    def severity(self) -> int:
        """0 passing, 1 warning, 2 critical."""
        return ("passing", "warning", "critical").index(self.value)


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One check as the catalog (or the agent) knows it; a node check has service_id ""."""

    node: str
    check_id: str
    name: str
    status: CheckStatus
    output: str = ""
    notes: str = ""
    service_id: str = ""
    service_name: str = ""


@dataclass(frozen=True, slots=True)
class ServiceInstance:
    """One instance of a service, with the checks of the service and of its node.

    From `agent_services` node, node_address and checks are empty: the agent does not say.
    """

    node: str
    node_address: str
    id: str
    name: str
    address: str
    port: int
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[HealthCheck, ...] = ()

    @property
    def status(self) -> CheckStatus:
        """The worst of its checks, node checks included; passing when it has none."""
        return max((c.status for c in self.checks), key=_severity, default=CheckStatus.PASSING)


def _severity(status: CheckStatus) -> int:
    return status.severity


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node in Consul's catalog."""

    name: str
    address: str
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """The agent that we talk to.

    raft_election_s: how long its server goes without hearing of a leader before it elects one;
        None where it does not tell.
    """

    node_name: str
    address: str
    datacenter: str
    version: str
    server: bool
    raft_election_s: float | None = None


@dataclass(frozen=True, slots=True)
class TtlCheck:
    """A check that is critical unless passed at least every `ttl_s` seconds.

    deregister_critical_after_s: the agent removes the service after being critical that long
        (Consul's own minimum is one minute); None: never.
    """

    id: str
    name: str
    ttl_s: float
    notes: str = ""
    status: CheckStatus = CheckStatus.CRITICAL
    deregister_critical_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class ServiceRegistration:
    """A service to register on the local agent."""

    id: str
    name: str
    port: int = 0
    address: str = ""
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[TtlCheck, ...] = ()
