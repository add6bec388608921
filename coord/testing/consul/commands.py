"""What is written into the log of the simulated Consul, and what may come of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from coord.consul.types import HealthCheck, NodeInfo, ServiceInstance, Session, TxnOp

MISSING_NODE = "Missing node registration"


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that is an error: the HTTP status and what Consul would say."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """A new leader's first entry."""


@dataclass(frozen=True, slots=True)
class KvPut:
    """Write a key, with `cas` only at that ModifyIndex (0: only if it is not there)."""

    key: str
    value: bytes
    flags: int = 0
    cas: int | None = None


@dataclass(frozen=True, slots=True)
class KvDelete:
    """Delete a key, or with `recurse` all that start with it."""

    key: str
    cas: int | None = None
    recurse: bool = False


@dataclass(frozen=True, slots=True)
class Txn:
    """A transaction that writes."""

    ops: tuple[TxnOp, ...]


@dataclass(frozen=True, slots=True)
class SessionCreate:
    """A new session; its id was drawn before."""

    session: Session


@dataclass(frozen=True, slots=True)
class SessionDestroy:
    """The end of a session; `expired`: its TTL ran out."""

    session_id: str
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Register:
    """What an agent, or Consul's leader on behalf of one, writes into the catalog.

    node: None to leave the node's own entry as it is, and refuse when there is none.
    node_id: who may bear that name.
    """

    node_name: str
    node: NodeInfo | None = None
    node_id: str = ""
    service: ServiceInstance | None = None
    checks: tuple[HealthCheck, ...] = ()


@dataclass(frozen=True, slots=True)
class Deregister:
    """Remove a service, else a check, else the whole node from the catalog."""

    node: str
    service_id: str | None = None
    check_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReapTombstones:
    """Forget deletions up to that index."""

    up_to: int


@dataclass(frozen=True, slots=True)
class Restore:
    """All of an earlier state."""

    data: bytes = field(repr=False)


Command = (
    Nothing
    | KvPut
    | KvDelete
    | Txn
    | SessionCreate
    | SessionDestroy
    | Register
    | Deregister
    | ReapTombstones
    | Restore
)
