"""The leader key and the term key in Consul: how they are read, and the transactions on them.

The only place that writes them. Each transaction is made so that, landing late or twice, it does
nothing in anybody else's term (design, section 3):

- acquire: only this vacancy (by its ModifyIndex), and only if no term was taken since;
- update: only while our session holds the lock;
- release: only under our own term.
"""

from __future__ import annotations

from dataclasses import dataclass

from coord.clock import Clock
from coord.consul import (
    Consistency,
    ConsulApi,
    ConsulNotPermitted,
    KVEntry,
    TxnOp,
    TxnResult,
)
from coord.election.commands import Acquire, Release
from coord.election.events import KeyView
from coord.election.reasons import Cause, TakeoverOutcome
from coord.election.timing import Timing
from coord.identity import Identity
from coord.records import (
    MAX_DELAY_MS,
    LeaderRecord,
    LeaderState,
    Paths,
    RecordError,
    decode_term,
    encode_term,
    utc,
)

LEAST_DEADLINE_S = 0.05

_CHECK_VACANCY, _LOCK, _CAS_TERM = range(3)
"""The steps of the acquiring transaction that can fail, by their place in it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The acquiring transaction was applied; this is what it left."""

    view: KeyView


class LeaderKey:
    """Reads and writes of one node on one election's leader key and term key.

    Every method takes `deadline` in seconds and raises `ConsulError` as the client does.
    """

    def __init__(
        self, consul: ConsulApi, paths: Paths, identity: Identity, timing: Timing, clock: Clock
    ) -> None:
        self._consul = consul
        self._paths = paths
        self._identity = identity
        self._timing = timing
        self._clock = clock
        self._since = utc(clock.wall_ms())

    # -- reading ---------------------------------------------------------------------------

    async def observe(self, deadline: float) -> KeyView:
        """A consistent read of both keys at one moment."""
        until = self._clock.now() + deadline
        ops = (TxnOp.kv_get(self._paths.leader), TxnOp.kv_get(self._paths.term))
        result = await self._consul.txn(
            ops, consistency=Consistency.CONSISTENT, deadline_s=deadline
        )
        if result.ok:
            for op in ops:
                if result.entry(op.key) is None:
                    # A key that does not exist fails the transaction: this one was kept from us.
                    raise ConsulNotPermitted("PUT /v1/txn", f"may not read {op.key}", status=403)
            return self._view(result)
        # A missing key fails a read transaction, and tells no more. The term first: it changes
        # only together with the leader key, so what is then read of that key is no older.
        term = await self._read(self._paths.term, until)
        leader = await self._read(self._paths.leader, until)
        return view_of(leader, term)

    async def _read(self, key: str, until: float) -> KVEntry | None:
        left_s = max(LEAST_DEADLINE_S, until - self._clock.now())
        reply = await self._consul.kv_get(
            key, consistency=Consistency.CONSISTENT, deadline_s=left_s
        )
        return reply.value

    def _view(self, result: TxnResult) -> KeyView:
        return view_of(result.entry(self._paths.leader), result.entry(self._paths.term))

    # -- writing ---------------------------------------------------------------------------

    async def create(self, why: Cause, deadline: float) -> None:
        """Create the leader key, vacant, unless it exists: an unknown vacancy, as it was."""
        record = LeaderRecord(state=LeaderState.VACANT, why=why.value, by=self._identity.node)
        await self._consul.kv_put(self._paths.leader, record.encode(), cas=0, deadline_s=deadline)

    async def acquire(self, asked: Acquire) -> Taken | TakeoverOutcome:
        """Take the lock and the next term, or say why Consul refused; then nothing happened."""
        term, leader = self._paths.term, self._paths.leader
        self._since = utc(self._clock.wall_ms())
        result = await self._consul.txn(
            (
                TxnOp.kv_check_index(leader, asked.leader_index),
                TxnOp.kv_lock(leader, self._held(asked.term, asked.successors), asked.session),
                TxnOp.kv_cas(term, encode_term(asked.term), asked.term_index, self._fenced_ms),
                TxnOp.kv_get(leader),
                TxnOp.kv_get(term),
            ),
            deadline_s=asked.deadline,
        )
        return Taken(self._view(result)) if result.ok else refusal_of(result)

    async def update(self, session: str, term: int, successors: tuple[str, ...]) -> bool:
        """Write our record anew while our session holds the lock; False: it does not."""
        leader = self._paths.leader
        result = await self._consul.txn(
            (
                TxnOp.kv_check_session(leader, session),
                TxnOp.kv_lock(leader, self._held(term, successors), session),
            ),
            deadline_s=self._timing.lease,
        )
        return result.ok

    async def release(self, asked: Release) -> bool:
        """Give the lock back, handed over; False: it was not ours, under that term, any more."""
        record = LeaderRecord(
            state=LeaderState.VACANT,
            term=asked.term,
            node=self._identity.node,
            node_type=self._identity.node_type.value,
            since=utc(self._clock.wall_ms()),
            successors=asked.successors,
            lock_delay_ms=round(self._timing.lock_delay * 1000),
            fenced_within_ms=self._fenced_ms,
            why=asked.why.value,
            by=asked.by or self._identity.node,
        )
        result = await self._consul.txn(
            (
                TxnOp.kv_check_index(self._paths.term, asked.term_index),
                TxnOp.kv_unlock(self._paths.leader, record.encode(), asked.session),
            ),
            deadline_s=self._timing.lease,
        )
        return result.ok

    @property
    def _fenced_ms(self) -> int:
        return round(self._timing.fenced_within * 1000)

    def _held(self, term: int, successors: tuple[str, ...]) -> bytes:
        return LeaderRecord(
            state=LeaderState.HELD,
            term=term,
            node=self._identity.node,
            node_type=self._identity.node_type.value,
            address=self._identity.advertise,
            since=self._since,
            successors=successors,
            lock_delay_ms=round(self._timing.lock_delay * 1000),
            fenced_within_ms=self._fenced_ms,
        ).encode()


def view_of(leader: KVEntry | None, term: KVEntry | None = None) -> KeyView:
    """What the election is told of the two keys. Never fails: what cannot be read is said so."""
    record = _record(leader)
    term_value, term_fenced = _term(term)
    if leader is None:
        return KeyView(
            leader_index=0,
            term=term_value,
            term_index=term.modify_index if term else 0,
            term_fenced_within=term_fenced,
        )
    said = record or LeaderRecord(state=LeaderState.VACANT)
    return KeyView(
        leader_index=leader.modify_index,
        lock_index=leader.lock_index,
        session=leader.session or None,
        readable=record is not None,
        record_vacant=record is not None and said.state is LeaderState.VACANT,
        record_term=said.term if record else None,
        record_node=said.node,
        record_why=said.why,
        record_by=said.by,
        record_fenced_within=_seconds(said.fenced_within_ms),
        successors=said.successors,
        term=term_value,
        term_index=term.modify_index if term else 0,
        term_fenced_within=term_fenced,
    )


def _record(leader: KVEntry | None) -> LeaderRecord | None:
    if leader is None:
        return None
    try:
        return LeaderRecord.decode(leader.value)
    except RecordError:
        return None


def _term(entry: KVEntry | None) -> tuple[int | None, float | None]:
    """The term key's value, and what its Flags say of the holder's fenced_within, in seconds."""
    if entry is None:
        return None, None
    said_ms = entry.flags if 0 < entry.flags <= MAX_DELAY_MS else None
    try:
        return decode_term(entry.value), _seconds(said_ms)
    except RecordError:
        return None, _seconds(said_ms)


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def refusal_of(result: TxnResult) -> TakeoverOutcome:
    """Why Consul refused the acquiring transaction. One reply may give two reasons: held wins,
    because a vacancy that is taken has changed as well."""
    said = {error.op_index: error.what.lower() for error in result.errors}
    lock = said.get(_LOCK, "")
    if "already held" in lock:
        return TakeoverOutcome.HELD
    if "lock delay" in lock or "lock-delay" in lock:
        return TakeoverOutcome.LOCK_DELAY
    if "session" in lock:
        return TakeoverOutcome.NO_SESSION
    if _CHECK_VACANCY in said:
        return TakeoverOutcome.VACANCY_CHANGED
    if _CAS_TERM in said:
        return TakeoverOutcome.TERM_MOVED
    return TakeoverOutcome.REFUSED
