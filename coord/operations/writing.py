"""What an operation writes: its beginning in one transaction, its withdrawal, its audit entry.

The transaction holds everything together: that the leader, the term and the control key are those
that were decided on, what is asked, and the audit's entry. So nothing is asked on a stale view or
without being written down, and a transaction that lands late asks nothing: once its audit entry
stands, it cannot be begun again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from coord.clock import Clock
from coord.consul import (
    Consistency,
    ConsulApi,
    ConsulError,
    ConsulNotPermitted,
    ConsulUnavailable,
    TxnOp,
    TxnResult,
)
from coord.operations.asks import Operation
from coord.operations.audit import begin_op, begun, finished, keep_audit_short
from coord.operations.model import Preview, RefusalCode, Refused
from coord.operations.outcomes import Outcome, OutcomeWord
from coord.operations.preview import control_key
from coord.operations.scene import read_control, read_scene
from coord.operations.verdict import Verdict
from coord.records import (
    AuditRecord,
    Control,
    DrainRecord,
    Paths,
    PauseRecord,
    RecordError,
    RequestKind,
    RequestRecord,
    utc,
)

SETTLE_S = 10.0
"""How long to find out whether a beginning that got no answer was applied, in seconds."""

LAST_WORD_S = 3.0
"""How long the last writes of an operation may take, in seconds."""

_RETRY_S = 0.25
_TAKES_AWAY = (Operation.RESUME, Operation.UNDRAIN)


@dataclass(frozen=True, slots=True)
class NotBegun:
    """Nothing was changed, and why; or (unknown) it may have been. refusal: where refused."""

    verdict: Verdict
    refusal: Refused | None = None
    recorded: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """It stands in Consul. index: of the control key, 0 where that was taken away."""

    record: AuditRecord
    index: int


class Writing:
    """The writes of one operation."""

    def __init__(self, consul: ConsulApi, plan: Preview, clock: Clock) -> None:
        self._consul = consul
        self._plan = plan
        self._ask = plan.ask
        self._clock = clock
        self.paths = Paths(plan.election)
        self.key = control_key(self.paths, plan.ask)

    # -- the beginning ---------------------------------------------------------------------

    async def begin(self) -> Begun | NotBegun:
        """Write what is asked, if all is still as it was decided on. Raises no ConsulError."""
        wall_ms = self._clock.wall_ms()
        record = begun(self._plan, wall_ms)
        checks = self._checks()
        ops = (*checks, self._write_op(wall_ms), begin_op(self.paths, record))
        try:
            result = await self._consul.txn(ops)
        except ConsulNotPermitted as error:
            return NotBegun(not_permitted(error))
        except ConsulUnavailable as error:
            if not error.outcome_unknown:
                return NotBegun(_unreachable(error))
            return await self._settle(record, error)
        except ConsulError as error:
            return NotBegun(_unreachable(error))
        if not result.ok:
            refused = await self._refusal(result, len(checks))
            return NotBegun(Verdict(word=OutcomeWord.REFUSED, detail=refused.sentence), refused)
        entry = result.entry(self.key)
        return Begun(record, entry.modify_index if entry is not None else 0)

    def _checks(self) -> tuple[TxnOp, ...]:
        """That whoever leads is who was seen to: a session leads under one term only."""
        basis, checks = self._plan.basis, []
        if self._plan.interrupts and basis.session:
            checks.append(TxnOp.kv_check_session(self.paths.leader, basis.session))
        cares = self._ask.operation is Operation.DRAIN or self._ask.expected_term is not None
        if (self._plan.interrupts or cares) and basis.term_index:
            checks.append(TxnOp.kv_check_index(self.paths.term, basis.term_index))
        return tuple(checks)

    def _write_op(self, wall_ms: int) -> TxnOp:
        index = self._plan.basis.control_index
        if self._ask.operation in _TAKES_AWAY:
            return TxnOp.kv_delete_cas(self.key, index)
        return TxnOp.kv_cas(self.key, wish(self._plan, wall_ms).encode(), index)

    async def _refusal(self, result: TxnResult, checks: int) -> Refused:
        failed = {error.op_index for error in result.errors}
        if any(index < checks for index in failed):
            who = await self._who_leads()
            return Refused(
                code=RefusalCode.TERM_MOVED_ON,
                sentence=f"this was decided on term {self._plan.basis.term}, but {who}",
                hint="look again, and decide anew",
            )
        if checks in failed:
            return Refused(
                code=RefusalCode.CHANGED_MEANWHILE,
                sentence=f"another operator wrote {self.key} since this was looked at",
                hint="look again, and decide anew",
            )
        return Refused(
            code=RefusalCode.CHANGED_MEANWHILE,
            sentence="this very operation was begun before",
            hint="look at `coord history --audit`",
        )

    async def _who_leads(self) -> str:
        try:
            leader = (await read_scene(self._consul, self.paths, self.key)).leader
        except ConsulError:
            return "somebody else leads now"
        if not leader.locked:
            return "nobody leads now"
        return f"{leader.node or 'somebody'} leads now, under term {leader.term or 'unknown'}"

    async def _settle(self, record: AuditRecord, lost: ConsulError) -> Begun | NotBegun:
        """Find out whether it was begun. If it was not, it cannot be any more: see the module."""
        given_up = record.model_copy(
            update={"outcome": OutcomeWord.UNREACHABLE.value, "finished_at": record.at}
        )
        end = self._clock.now() + SETTLE_S
        while self._clock.now() < end:
            try:
                await self._consul.kv_put(record.key(self.paths), given_up.encode(), cas=0)
                reply = await self._consul.kv_get(
                    record.key(self.paths), consistency=Consistency.CONSISTENT
                )
                asked_by, index = await read_control(self._consul, self.key)
            except ConsulNotPermitted as error:
                return NotBegun(not_permitted(error))
            except ConsulError:
                await asyncio.sleep(_RETRY_S)  # as `watch` does: nothing tells when it is back
                continue
            if reply.value is not None and _is_begun(reply.value.value):
                return Begun(record, index if asked_by == self._ask.request_id else 0)
            return NotBegun(_unreachable(lost), recorded=True)
        return NotBegun(
            Verdict(
                word=OutcomeWord.UNKNOWN,
                detail=f"Consul was lost while it was asked: {lost.detail}",
                hint="it may have been done: look at `coord status` and `coord history --audit`",
            )
        )

    # -- what is forced --------------------------------------------------------------------

    async def asked_by(self) -> str | None:
        """Whose request stands, as in `Scene`, by a consistent read.

        Raises:
            ConsulError: Consul did not answer.
        """
        asked_by, _ = await read_control(self._consul, self.key)
        return asked_by

    async def destroy(self) -> bool:
        """Destroy the leader's session. True also if it was gone.

        Raises:
            ConsulError: Consul did not do it, or may have.
        """
        return await self._consul.session_destroy(self._plan.basis.session)

    # -- the end ---------------------------------------------------------------------------

    async def withdraw(self, begun: Begun) -> bool:
        """Take the request away, so that it cannot be answered later; False: it may still stand."""
        try:
            async with asyncio.timeout(LAST_WORD_S):
                if await self._consul.kv_delete(self.key, cas=begun.index):
                    return True
                asked_by, _ = await read_control(self._consul, self.key)
        except (ConsulError, TimeoutError):
            return False
        return asked_by != self._ask.request_id

    async def record(self, begun: Begun, outcome: Outcome) -> Outcome:
        """Write the outcome into the audit; gives it with `recorded` as that went."""
        entry = finished(begun.record, outcome, self._clock.wall_ms())
        try:
            async with asyncio.timeout(LAST_WORD_S):
                await self._consul.kv_put(entry.key(self.paths), entry.encode())
        except (ConsulError, TimeoutError):
            return outcome
        await keep_audit_short(self._consul, self.paths)
        return replace(outcome, recorded=True)


def wish(plan: Preview, wall_ms: int) -> Control:
    """The record that says what is asked."""
    ask = plan.ask
    control = Control(
        actor=ask.actor, reason=ask.reason, request_id=ask.request_id, at=utc(wall_ms)
    )
    who = control.model_dump(exclude={"v"})
    if ask.operation is Operation.PAUSE:
        return PauseRecord(**who, for_ms=ask.for_ms)
    if ask.operation is Operation.DRAIN:
        return DrainRecord(**who)
    return RequestRecord(
        **who,
        kind=_KINDS[ask.operation],
        expected_term=plan.basis.term,
        to=ask.node if ask.operation is Operation.TRANSFER else "",
    )


_KINDS = {
    Operation.STEP_DOWN: RequestKind.STEP_DOWN,
    Operation.TRANSFER: RequestKind.TRANSFER,
    Operation.FORCE_RELEASE: RequestKind.FORCE_RELEASE,
}


def not_permitted(error: ConsulNotPermitted) -> Verdict:
    """The token does not allow it."""
    return Verdict(
        word=OutcomeWord.NOT_PERMITTED,
        detail=f"not permitted: {error.detail}",
        hint="give an operator's token, in CONSUL_HTTP_TOKEN_FILE",
    )


def _unreachable(error: ConsulError) -> Verdict:
    return Verdict(
        word=OutcomeWord.UNREACHABLE,
        detail=f"Consul did not take it, and nothing was changed: {error.detail}",
        hint="see that Consul runs and has a leader, and try again",
    )


def _is_begun(value: bytes) -> bool:
    try:
        return AuditRecord.decode(value).outcome == "begun"
    except RecordError:
        return False
