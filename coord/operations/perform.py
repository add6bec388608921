"""Doing an operation, and following it to its end: steps as they are seen, then an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import fields, replace

from coord.clock import Clock
from coord.consul import ConsulApi, ConsulError, ConsulNotPermitted
from coord.consul.changes import Changes
from coord.operations.asks import Operation
from coord.operations.changing import Change
from coord.operations.model import Preview, Refused
from coord.operations.outcomes import Outcome, OutcomeWord, Step, StepKind
from coord.operations.scene import read_scene, scene_queries
from coord.operations.standing import Standing
from coord.operations.verdict import Course, Verdict, superseded
from coord.operations.writing import Begun, NotBegun, Writing, not_permitted

RETRY_S = 1.0
"""How soon it is looked again after Consul could not be read, in seconds."""

Item = Step | Outcome

AFTERWARDS_S = 1.0
"""How long it is looked whether a request was answered just before it was taken back, in seconds:
a leader answers within milliseconds, and writes that down."""

_UNANSWERED = (OutcomeWord.NOT_ANSWERED, OutcomeWord.STILL_STOPPING, OutcomeWord.INTERRUPTED)


async def perform(
    consul: ConsulApi,
    plan: Preview,
    *,
    clock: Clock,
    wait: bool = True,
    timeout_s: float | None = None,
    stop: asyncio.Event | None = None,
) -> AsyncGenerator[Item, None]:
    """Do what the preview showed: steps as they are seen, and at last, always, an `Outcome`.

    wait: False: a pause, a drain, or the end of one is not waited for until nodes say so.
    timeout_s: how long to wait for the outcome at most, in seconds; None: as the preview's `waits`
        have it.
    stop: once it is set, nothing more is waited for; a request that was not answered is withdrawn.

    Raises no ConsulError: what Consul says or does not say is in the outcome. Cancelled, or closed
    before its end, it withdraws a request that was not answered and notes in the audit what it saw
    of it; that takes a few seconds at most.
    """
    run = _Run(consul, plan, clock, wait=wait, timeout_s=timeout_s, stop=stop or asyncio.Event())
    async with aclosing(run.items()) as items:
        async for item in items:
            yield item


class _Run:
    """One operation under way."""

    def __init__(
        self,
        consul: ConsulApi,
        plan: Preview,
        clock: Clock,
        *,
        wait: bool,
        timeout_s: float | None,
        stop: asyncio.Event,
    ) -> None:
        total_ms = None if timeout_s is None else round(timeout_s * 1000)
        self._consul = consul
        self._plan = plan
        self._clock = clock
        self._stop = stop
        self._writing = Writing(consul, plan, clock)
        self._to_destroy = plan.ask.operation is Operation.FORCE_RELEASE
        self._course: Course = (
            Change(plan, total_ms=total_ms)
            if plan.interrupts and (wait or plan.ask.operation.of_leader)
            else Standing(plan, wait=wait, total_ms=total_ms)
        )
        self._lost = False
        self._began = clock.now()
        self._withdrawn = False

    @property
    def _at_ms(self) -> int:
        return round((self._clock.now() - self._began) * 1000)

    async def items(self) -> AsyncGenerator[Item, None]:
        """See `perform`."""
        self._began = self._clock.now()
        began = await self._writing.begin()
        if isinstance(began, NotBegun):
            yield self._outcome(began.verdict, refusal=began.refusal, recorded=began.recorded)
            return
        try:
            yield self._first_step()
            async with aclosing(self._follow(began)) as items:
                async for item in items:
                    if isinstance(item, Step):
                        yield item
                    else:
                        verdict = item
            outcome = await self._end(began, verdict)
        except BaseException:  # cancelled, closed, or a mistake of ours
            await self._end(began, self._interrupted())
            raise
        yield outcome

    def _first_step(self) -> Step:
        """It stands, or stands no longer: of the leader under its term, or of a node."""
        ask, leader = self._plan.ask, self._plan.leader
        ends = ask.operation in (Operation.RESUME, Operation.UNDRAIN)
        of_leader = ask.operation.of_leader and leader is not None
        return Step(
            kind=StepKind.TAKEN_AWAY if ends else StepKind.REQUESTED,
            at_ms=self._at_ms,
            node=leader.node if of_leader and leader is not None else ask.node,
            term=self._plan.basis.term if of_leader else 0,
            detail=f"to hand over to {ask.node}" if of_leader and ask.node else "",
        )

    # -- following -------------------------------------------------------------------------

    async def _follow(self, began: Begun) -> AsyncGenerator[Step | Verdict, None]:
        queries = scene_queries(self._consul, self._writing.paths, self._writing.key)
        async with Changes(queries) as changes:
            while True:
                if self._to_destroy and not self._withdrawn:
                    ended = await self._destroy()
                    if isinstance(ended, Verdict):
                        yield ended
                        return
                    if ended is not None:
                        self._to_destroy = False
                        yield ended
                for step in await self._see():
                    yield step
                verdict, steps = await self._judge(began)
                for step in steps:
                    yield step
                if verdict is not None:
                    yield verdict
                    return
                if await self._changed(changes, hurry=self._to_destroy):
                    yield self._interrupted()
                    return

    async def _destroy(self) -> Step | Verdict | None:
        """Destroy the leader's session, if that is asked for still, and in time: this process may
        have been stopped for any while. None: it is not done, or not known to be."""
        try:
            asked_by = await self._writing.asked_by()
            if asked_by != self._plan.ask.request_id:
                return None if self._course.past_recall else superseded(asked_by)
            if self._at_ms >= self._course.until_ms():
                return None
            done = await self._writing.destroy()
        except ConsulNotPermitted as error:
            return not_permitted(error)
        except ConsulError:
            return None  # it may have been: destroying it again does no harm
        return self._step(StepKind.SESSION_DESTROYED) if done else None

    async def _see(self) -> list[Step]:
        try:
            scene = await read_scene(self._consul, self._writing.paths, self._writing.key)
        except ConsulError as error:
            if self._lost:
                return []
            self._lost = True
            return [self._step(StepKind.LOST_CONTACT, error.detail)]
        steps = [self._step(StepKind.CONTACT_AGAIN)] if self._lost else []
        self._lost = False
        return steps + self._course.see(scene, self._at_ms)

    async def _judge(self, began: Begun) -> tuple[Verdict | None, list[Step]]:
        """The verdict, if there is one. A request that was not answered is withdrawn first, and
        then it is looked once more whether it was answered just before: with the steps of that."""
        verdict = self._course.verdict(self._at_ms)
        if verdict is None or not verdict.late:
            return verdict, []
        if self._lost:
            return self._unknown(), []
        if self._course.past_recall or self._withdrawn or not self._plan.ask.operation.of_leader:
            return verdict, []
        self._withdrawn = await self._writing.withdraw(began)
        if not self._withdrawn:
            return verdict, []
        steps = await self._see()
        if self._lost:
            return self._unknown(), steps
        return None if self._course.past_recall else verdict, steps

    def _unknown(self) -> Verdict:
        return Verdict(
            word=OutcomeWord.UNKNOWN,
            detail=f"Consul was lost meanwhile; when it was seen last, {self._course.so_far()}",
            hint="look at `coord status` once Consul is back",
        )

    async def _changed(self, changes: Changes, *, hurry: bool) -> bool:
        """Wait for what may have changed something; whether it is to end."""
        left_s = max(0.0, (self._course.until_ms() - self._at_ms) / 1000)
        wait_s = min(left_s, RETRY_S) if hurry or self._lost else left_s
        change = asyncio.ensure_future(changes.wait(wait_s))
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((change, stop), return_when=asyncio.FIRST_COMPLETED)
            if change.done():
                change.result()
        finally:
            for task in (change, stop):
                task.cancel()
            await asyncio.gather(change, stop, return_exceptions=True)
        return self._stop.is_set()

    # -- ending ----------------------------------------------------------------------------

    def _interrupted(self) -> Verdict:
        return Verdict(
            word=OutcomeWord.INTERRUPTED,
            detail=f"nobody waited for what came of it: {self._course.so_far()}",
            hint="look at `coord status`",
        )

    async def _end(self, began: Begun, verdict: Verdict) -> Outcome:
        """Take the request away, whatever came of it, and write down what did."""
        operation = self._plan.ask.operation
        stands = operation in (Operation.PAUSE, Operation.DRAIN)
        if operation.of_leader and not self._withdrawn:
            stands = not await self._writing.withdraw(began)
            if verdict.word is OutcomeWord.INTERRUPTED:
                await self._look_again()
                verdict = self._interrupted()
        if operation.of_leader and verdict.word in _UNANSWERED and not self._course.past_recall:
            verdict = replace(verdict, detail=f"{verdict.detail}; {self._request_now(stands)}")
        outcome = self._outcome(verdict, stands=stands)
        return await self._writing.record(began, outcome)

    async def _look_again(self) -> None:
        """Whether it was answered just before it was taken back: until that is seen, for a
        moment."""
        queries = scene_queries(self._consul, self._writing.paths, self._writing.key)
        try:
            async with asyncio.timeout(AFTERWARDS_S), Changes(queries) as changes:
                while True:
                    await self._see()
                    if self._course.answered:
                        return
                    await changes.wait(AFTERWARDS_S)
        except TimeoutError:
            pass

    def _request_now(self, stands: bool) -> str:
        if stands:
            return "the request could not be taken back: it stands"
        if self._course.answered:
            return "the request is taken back, which changes nothing any more"
        return "the request is taken back; only who had taken it up before may still do it"

    def _outcome(
        self,
        verdict: Verdict,
        *,
        refusal: Refused | None = None,
        stands: bool = False,
        recorded: bool = False,
    ) -> Outcome:
        told = {
            each.name: getattr(verdict, each.name)
            for each in fields(verdict)
            if each.name != "late"
        }
        if refusal is not None:
            told["hint"] = refusal.hint
        return Outcome(
            operation=self._plan.ask.operation,
            request_id=self._plan.ask.request_id,
            stands=stands,
            took_ms=self._at_ms,
            refusal=refusal,
            recorded=recorded,
            **told,
        )

    def _step(self, kind: StepKind, detail: str = "") -> Step:
        leader = self._plan.leader
        return Step(
            kind=kind,
            at_ms=self._at_ms,
            node=leader.node if leader else "",
            term=self._plan.basis.term,
            detail=detail,
        )
