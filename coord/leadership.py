"""The handle that coordination work is given while its node leads.

Two things keep a leader that has lost from doing harm, and a handle carries both. The lease is our
own belief: past its deadline every call refuses at once, whatever the event loop or the candidate
were doing meanwhile. The fence is Consul's knowledge: every write goes in one transaction with
"our session is on the leader key" and "the term key is as our acquisition left it", so that a
write that was in flight when leading ended does not land in somebody else's term.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Final, ParamSpec, Self, TypeVar

from coord.clock import Clock
from coord.consul import ConsulApi, TxnError, TxnOp, TxnResult, TxnVerb

P = ParamSpec("P")
R = TypeVar("R")

MAX_OPS: Final = 62
"""Operations that fit in one fenced transaction: Consul takes 64, the fence needs two."""

WRITE_DEADLINE_S: Final = 2.0
"""A write's own deadline in seconds, where the lease leaves that much."""

LEASE_OVER: Final = "lease_over"
"""Reason: the lease was not confirmed in time. It may be extended again under the same term."""
FENCED_SESSION: Final = "fenced_session"
"""Reason: Consul refused a write because our session is not on the leader key."""
FENCED_TERM: Final = "fenced_term"
"""Reason: Consul refused a write because the term key is not as our acquisition left it."""

_FENCE: Final = 2
_WRITES: Final = frozenset(TxnVerb) - {
    TxnVerb.GET,
    TxnVerb.CHECK_INDEX,
    TxnVerb.CHECK_SESSION,
    TxnVerb.CHECK_NOT_EXISTS,
}


class LeadershipLost(Exception):  # noqa: N818 - says what happened; work ends on it, it is no fault
    """This node may not do the work of this term (any more, or for now).

    term: the term of the handle that refused.
    reason: a code: `LEASE_OVER`, `FENCED_SESSION`, `FENCED_TERM` or what the candidate gave when it
        suspended or revoked the lease.
    """

    def __init__(self, term: int, reason: str) -> None:
        super().__init__(term, reason)
        self.term = term
        self.reason = reason

    def __str__(self) -> str:
        return f"not leading in term {self.term}: {self.reason}"


class FencedWriteFailed(Exception):  # noqa: N818 - as the errors of coord.consul
    """Both fences held, but Consul refused the write itself; nothing was written.

    errors: Consul's errors; `op_index` counts from the first operation after the fence.
    """

    def __init__(self, term: int, errors: tuple[TxnError, ...]) -> None:
        super().__init__(term, errors)
        self.term = term
        self.errors = errors

    def __str__(self) -> str:
        said = "; ".join(error.what for error in self.errors) or "no reason given"
        return f"fenced write refused in term {self.term}: {said}"


class Lease:
    """Until when this node may believe that it leads, in one term: a cell that many read.

    The candidate writes it; handles read it, from any thread. It begins not held. Every look
    consults the clock, so work that wakes after a pause of the process or of the whole machine
    sees at once that the lease is over. Each term needs a lease of its own: a revoked one stays
    revoked.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = float("-inf")
        self._suspended: str | None = None
        self._revoked: str | None = None

    def extend(self, until: float) -> bool:
        """Hold it up to `until` (monotonic seconds of the clock), also if it was suspended.

        `until` counts from when the confirming request was *sent*. A deadline earlier than the
        present one changes nothing: confirmations may be answered out of order. False: revoked,
        nothing changed.
        """
        if self._revoked is not None:
            return False
        self._until = max(self._until, until)
        self._suspended = None
        return True

    def suspend(self, reason: str = LEASE_OVER) -> None:
        """End it for now; `extend` may bring it back under the same term."""
        self._suspended = reason
        self._until = float("-inf")

    def revoke(self, reason: str) -> bool:
        """End it for ever. False: it was revoked already, and keeps its first reason."""
        if self._revoked is not None:
            return False
        self._revoked = reason
        self._until = float("-inf")
        return True

    def held(self) -> bool:
        """Whether the lease runs at this moment."""
        return self._revoked is None and self._clock.now() < self._until

    def remaining_s(self) -> float:
        """Seconds left; 0.0 when it is not held."""
        if self._revoked is not None:
            return 0.0
        return max(0.0, self._until - self._clock.now())

    @property
    def until(self) -> float:
        """The deadline in monotonic seconds; minus infinity when suspended or revoked."""
        return self._until

    @property
    def revoked(self) -> bool:
        """Whether it is over for ever."""
        return self._revoked is not None

    @property
    def reason(self) -> str | None:
        """Why it is not held; None while it is."""
        if self._revoked is not None:
            return self._revoked
        if self.held():
            return None
        return self._suspended or LEASE_OVER


class Leadership:
    """What work may know and do as the leader of one term.

    `held`, `guard`, `remaining_s` and `progress` may be called from any thread; the writes only on
    the event loop.

    Attributes:
        term: this leadership's number; receivers outside Consul should refuse a smaller one than
            the largest that they have seen.
        node: this node's name.
        election: the election's name.
        name: the child that the handle was made for; "" for the whole leadership.
    """

    def __init__(
        self,
        *,
        term: int,
        term_index: int,
        session: str,
        node: str,
        election: str,
        leader_key: str,
        term_key: str,
        consul: ConsulApi,
        lease: Lease,
        clock: Clock,
        on_lost: Callable[[str], None] | None = None,
    ) -> None:
        """Made by the candidate.

        `term_index` is the term key's ModifyIndex as the acquiring transaction left it. `on_lost`
        is told a reason code when Consul refuses a fence; the lease is revoked by then.
        """
        self.term: Final = term
        self.node: Final = node
        self.election: Final = election
        self.name = ""
        self._fence = (
            TxnOp.kv_check_session(leader_key, session),
            TxnOp.kv_check_index(term_key, term_index),
        )
        self._consul = consul
        self._lease = lease
        self._clock = clock
        self._on_lost = on_lost
        self._progress_at = clock.now()

    def __repr__(self) -> str:
        child = f" child={self.name!r}" if self.name else ""
        return f"<Leadership {self.election!r} term={self.term} node={self.node!r}{child}>"

    def child(self, name: str) -> Self:
        """A handle of the same lease and term with a progress stamp of its own, set to now."""
        handle = copy.copy(self)
        handle.name = name
        handle.progress()
        return handle

    def held(self) -> bool:
        """Whether this node leads in this term at this moment, as far as it can know."""
        return self._lease.held()

    def guard(self) -> None:
        """Go on only while leading: call it before anything that others will see.

        Raises:
            LeadershipLost: the lease is not held.
        """
        reason = self._lease.reason
        if reason is not None:
            raise LeadershipLost(self.term, reason)

    def remaining_s(self) -> float:
        """Seconds until the lease ends unless it is confirmed again; 0.0 when not held."""
        return self._lease.remaining_s()

    @property
    def revoked(self) -> bool:
        """Whether this term is over for ever, not only suspended."""
        return self._lease.revoked

    def progress(self) -> None:
        """Say that the work gets on. Matters for children with a `progress_timeout_s`."""
        self._progress_at = self._clock.now()

    @property
    def progress_at(self) -> float:
        """When progress was last reported, in monotonic seconds; first, the handle's making."""
        return self._progress_at

    def lost(self, reason: str) -> None:
        """Say that this term is over: revokes the lease and tells the candidate, once."""
        if self._lease.revoke(reason) and self._on_lost is not None:
            self._on_lost(reason)

    async def put(self, key: str, value: bytes | str, *, flags: int = 0) -> None:
        """Write a key, fenced; text is encoded as UTF-8.

        Raises:
            LeadershipLost: not leading; nothing was written.
            FencedWriteFailed: Consul refused the write itself; nothing was written.
            ConsulError: as `txn`.
        """
        data = value.encode() if isinstance(value, str) else value
        await self._write(TxnOp.kv_set(key, data, flags))

    async def delete(self, key: str) -> None:
        """Delete a key, fenced; fine if there is none. Raises as `put`."""
        await self._write(TxnOp.kv_delete(key))

    async def _write(self, op: TxnOp) -> None:
        result = await self.txn((op,))
        if not result.ok:
            raise FencedWriteFailed(self.term, result.errors)

    async def txn(self, ops: Sequence[TxnOp]) -> TxnResult:
        """Run `ops` as one transaction, fenced: all of them while leading, or none.

        Takes at most what is left of the lease, and at most `WRITE_DEADLINE_S`. In the result,
        entries and the errors' `op_index` are those of `ops` alone.

        Raises:
            LeadershipLost: not leading; nothing was written.
            ValueError: more than `MAX_OPS` operations, none, or one that would write this
                election's leader or term key.
            ConsulUnavailable: with `outcome_unknown` it may have been carried out: read, under the
                same guard, before doing it again.
            ConsulNotPermitted, ConsulRefused: as any call to Consul.
        """
        self._check_ops(ops)
        self.guard()
        deadline_s = min(WRITE_DEADLINE_S, self.remaining_s())
        result = await self._consul.txn((*self._fence, *ops), deadline_s=deadline_s)
        if result.ok:
            return TxnResult(ok=True, entries=result.entries[_FENCE:])
        refused = min((e.op_index for e in result.errors), default=_FENCE)
        if 0 <= refused < _FENCE:
            reason = (FENCED_SESSION, FENCED_TERM)[refused]
            self.lost(reason)
            raise LeadershipLost(self.term, reason)
        errors = tuple(TxnError(e.op_index - _FENCE, e.what) for e in result.errors)
        return TxnResult(ok=False, errors=errors)

    def _check_ops(self, ops: Sequence[TxnOp]) -> None:
        if not 1 <= len(ops) <= MAX_OPS:
            raise ValueError(
                f"ops has {len(ops)} operations; a fenced transaction takes 1 to {MAX_OPS}: "
                "split it"
            )
        for op in ops:
            for own in (fence.key for fence in self._fence):
                tree = op.verb is TxnVerb.DELETE_TREE and own.startswith(op.key)
                if op.verb in _WRITES and (op.key == own or tree):
                    raise ValueError(
                        f"{op.verb.value} {op.key!r} would write {own!r}, which is the election's "
                        "own key: keep work's keys elsewhere"
                    )


async def to_thread(fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `fn` in a thread of the default executor; when cancelled, first wait until it returned.

    For work, use this and not `asyncio.to_thread`: that one, cancelled, leaves its thread running
    behind, and the supervisor would take the work for ended. A thread cannot be interrupted, so
    give `fn` the handle and let it look at `held()` often enough for its child's stop timeout.
    If `fn` has not begun when the cancellation comes, it never runs.

    Raises:
        CancelledError: cancelled; `fn` has ended (what it returned or raised is dropped).
        Exception: whatever `fn` raised.
    """
    started = threading.Lock()  # taken by whoever is first: the thread, or the cancellation
    call = functools.partial(contextvars.copy_context().run, fn, *args, **kwargs)

    def run() -> R:
        if not started.acquire(blocking=False):
            raise asyncio.CancelledError
        return call()

    ended = asyncio.get_running_loop().run_in_executor(None, run)
    try:
        return await asyncio.shield(ended)
    except asyncio.CancelledError:
        if started.acquire(blocking=False):
            ended.cancel()
            raise
        while not ended.done():
            try:
                await asyncio.wait((ended,))
            except asyncio.CancelledError:
                continue
        if not ended.cancelled():
            ended.exception()
        raise
