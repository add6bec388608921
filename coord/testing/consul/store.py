"""What one simulated Consul server knows: the state that the log's commands make."""

from __future__ import annotations

from collections.abc import Callable

from coord.consul.types import CheckStatus, Session, TxnError, TxnOp, TxnResult, TxnVerb
from coord.testing.consul import txns
from coord.testing.consul.catalog import Catalog
from coord.testing.consul.commands import (
    MISSING_NODE,
    Command,
    Deregister,
    Failure,
    KvDelete,
    KvPut,
    Nothing,
    ReapTombstones,
    Register,
    Restore,
    SessionCreate,
    SessionDestroy,
    Txn,
)
from coord.testing.consul.key_table import KeyTable
from coord.testing.consul.lock_delays import LockDelays
from coord.testing.consul.snapshot import pack, unpack
from coord.testing.consul.waiters import Waiters


class Store:
    """Keys, sessions and catalog, as one server has them.

    The same commands make the same state on every server, but for the lock-delays: each server
    counts those on its own clock, from when it applied what started them.

    clock_rate: how many seconds that clock counts in one.
    """

    __slots__ = (
        "_appliers",
        "catalog",
        "keys",
        "lock_delays",
        "session_checks",
        "sessions",
        "sessions_index",
        "waiters",
    )

    def __init__(self, clock_rate: float = 1.0) -> None:
        self.keys = KeyTable()
        self.catalog = Catalog()
        self.sessions: dict[str, Session] = {}
        self.session_checks: dict[tuple[str, str], dict[str, None]] = {}
        self.sessions_index = 0
        self.lock_delays = LockDelays(clock_rate)
        self.waiters = Waiters()
        self._appliers: dict[type, Callable[..., object]] = {
            Nothing: self._nothing,
            KvPut: self._kv_put,
            KvDelete: self._kv_delete,
            Txn: self._txn,
            SessionCreate: self._session_create,
            SessionDestroy: self._session_destroy,
            Register: self._register,
            Deregister: self._deregister,
            ReapTombstones: self._reap,
            Restore: self._restore,
        }

    def apply(self, index: int, command: Command, now: float) -> object:
        """Carry out a committed command; what its asker is told.

        now: true time in seconds. Whoever waits for what changed is woken.
        """
        result = self._appliers[command.__class__](index, command, now)
        keys, touched = self.keys.touched, self.catalog.touched
        if keys or touched:
            if self.waiters.any:
                self.waiters.wake(keys, touched)
            keys.clear()
            touched.clear()
        return result

    def txn_read(self, ops: tuple[TxnOp, ...], known_leader: bool) -> TxnResult:
        """A transaction that writes nothing."""
        return txns.run(self.keys, self.sessions, 0, ops, known_leader)

    # --- lock-delays ---

    def refused_before(self, command: Txn, now: float) -> TxnResult | None:
        """The answer to a transaction that a lock-delay stops before it is written to the log."""
        if not self.lock_delays.any:
            return None
        errors = tuple(
            TxnError(number, f'failed to lock key "{op.key}" due to lock delay')
            for number, op in enumerate(command.ops)
            if op.verb is TxnVerb.LOCK and self.lock_delays.counts(op.key, now)
        )
        return TxnResult(False, (), errors) if errors else None

    # --- what each command does ---

    def _nothing(self, index: int, command: Nothing, now: float) -> None:
        return None

    def _kv_put(self, index: int, command: KvPut, now: float) -> bool:
        if command.cas is not None and not txns.may_set(self.keys, command.key, command.cas):
            return False
        self.keys.set(index, command.key, command.value, command.flags)
        return True

    def _kv_delete(self, index: int, command: KvDelete, now: float) -> bool:
        if command.recurse:
            self.keys.delete_under(index, command.key)
        elif command.cas is not None and not txns.may_delete(self.keys, command.key, command.cas):
            return False
        else:
            self.keys.delete(index, command.key)
        return True

    def _txn(self, index: int, command: Txn, now: float) -> TxnResult:
        return txns.run(self.keys, self.sessions, index, command.ops)

    def _session_create(self, index: int, command: SessionCreate, now: float) -> str | Failure:
        asked = command.session
        checks = self.catalog.checks.get(asked.node)
        if checks is None:
            return Failure(500, MISSING_NODE)
        for check_id in asked.checks:
            check = checks.get(check_id)
            if check is None:
                return Failure(500, f"Missing check '{check_id}' registration")
            if check.status is CheckStatus.CRITICAL:
                return Failure(500, f"Check '{check_id}' is in critical state")
        self._add_session(
            Session(
                asked.id,
                asked.name,
                asked.node,
                asked.checks,
                asked.lock_delay_s,
                asked.ttl_s,
                asked.behavior,
                index,
            )
        )
        self.sessions_index = index
        return asked.id

    def _session_destroy(self, index: int, command: SessionDestroy, now: float) -> bool | Failure:
        wrong = txns.malformed(command.session_id)
        if wrong is not None:
            return Failure(500, wrong)
        self._end_session(index, command.session_id, now)
        return True

    def _register(self, index: int, command: Register, now: float) -> Failure | None:
        catalog, node = self.catalog, command.node_name
        if catalog.is_reserved(node, command.node_id):
            known = catalog.node_ids[node]
            return Failure(500, f"node name {node} is reserved by node {known}")
        if command.node is not None:
            catalog.put_node(index, command.node, command.node_id)
        elif node not in catalog.nodes:
            return Failure(500, MISSING_NODE)
        if command.service is not None:
            catalog.put_service(index, node, command.service)
        for check in command.checks:
            wrong = catalog.put_check(index, node, check)
            if wrong is not None:
                return Failure(500, wrong)
            if check.status is CheckStatus.CRITICAL:
                self._end_sessions_of_check(index, node, check.check_id, now)
        return None

    def _deregister(self, index: int, command: Deregister, now: float) -> None:
        catalog, node = self.catalog, command.node
        if command.service_id is not None:
            gone = catalog.remove_service(index, node, command.service_id) or []
        elif command.check_id is not None:
            found = catalog.remove_check(index, node, command.check_id)
            gone = [command.check_id] if found else []
        else:
            gone = []
            if catalog.remove_node(index, node):
                for session in [s for s in self.sessions.values() if s.node == node]:
                    self._end_session(index, session.id, now)
        for check_id in gone:
            self._end_sessions_of_check(index, node, check_id, now)

    def _reap(self, index: int, command: ReapTombstones, now: float) -> None:
        self.keys.reap(index, command.up_to)

    def _restore(self, index: int, command: Restore, now: float) -> None:
        self.become(unpack(command.data))

    # --- sessions ---

    def _add_session(self, session: Session) -> None:
        self.sessions[session.id] = session
        for check_id in session.checks:
            self.session_checks.setdefault((session.node, check_id), {})[session.id] = None

    def _end_sessions_of_check(self, index: int, node: str, check_id: str, now: float) -> None:
        for session_id in list(self.session_checks.get((node, check_id), ())):
            self._end_session(index, session_id, now)

    def _end_session(self, index: int, session_id: str, now: float) -> None:
        session = self.sessions.pop(session_id, None)
        if session is None:
            return
        self.sessions_index = index
        for check_id in session.checks:
            tied = self.session_checks[session.node, check_id]
            tied.pop(session_id, None)
            if not tied:
                del self.session_checks[session.node, check_id]
        for key in list(self.keys.held.get(session_id, ())):
            if session.behavior == "delete":
                self.keys.delete(index, key)
            else:
                old = self.keys.entries[key]
                self.keys.put(index, key, old.value, old.flags, None, old.lock_index)
            self.lock_delays.start(key, session.lock_delay_s, now)

    # --- all of it at once ---

    def snapshot(self) -> bytes:
        """All of it but lock-delays."""
        return pack(self)

    def become(self, other: Store) -> None:
        """Take over all that `other` knows; whoever waits for a change is told so."""
        self.keys = other.keys
        self.catalog = other.catalog
        self.sessions_index = other.sessions_index
        self.sessions = {}
        self.session_checks = {}
        for session in other.sessions.values():
            self._add_session(session)
        self.lock_delays.forget()
        self.lock_delays.compact()
        waiters, self.waiters = self.waiters, Waiters()
        waiters.abandon()
