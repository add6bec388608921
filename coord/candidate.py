"""The candidate: takes part in the election for one node and leads when it has won.

It carries out what the `Election` asks for, one command at a time or side by side as they come,
and reports back what became of it. It decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn

from coord.consul import (
    ConsulError,
    ConsulRefused,
    ConsulUnavailable,
    Reply,
    ServiceInstance,
    WatchError,
    watch,
)
from coord.consul.types import CheckStatus
from coord.coordinator import Coordinator
from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.reasons import Cause, LostReason, StepDownReason, TakeoverOutcome, WhyNot
from coord.election_loop import WATCH_WAIT_S, ElectionLoop, Fault, why_of
from coord.last_sign import LastSigns
from coord.leader_key import Taken
from coord.leadership import LeadershipLost
from coord.members import priority_of
from coord.orders import Orders
from coord.records import DEFAULT_PRIORITY, MAX_DELAY_MS, is_name
from coord.registration import CandidateService
from coord.watchdog import Watchdog

SERF_CHECK = "serfHealth"
"""Kept in every session: when a host is lost its own TTL check stays passing in the catalog."""

DESTROY_RETRY_S = 1.0


class CoordinatorCandidate(ElectionLoop):
    """One node's candidate.

    Args:
        service: what makes the node visible, and what its session hangs on.
        work: what is done while leading.
        session_checks: further checks of the node that the session is tied to.
        end_process: ends this process at once; work has not stopped in time.
        former_sessions: sessions of this process's earlier candidates; theirs are added to it.
        (the rest as `ElectionLoop`)
    """

    def __init__(
        self,
        *args: Any,
        service: CandidateService,
        work: Coordinator,
        watchdog: Watchdog,
        session_checks: Sequence[str],
        end_process: Callable[[int], NoReturn],
        former_sessions: set[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, service=service, **kwargs)
        self._work = work
        self._watchdog = watchdog
        self._session_checks = (SERF_CHECK, service.check_id, *session_checks)
        self._end_process = end_process
        self._former_sessions = former_sessions
        self._doomed: dict[str, asyncio.Task[None]] = {}
        self._updating: asyncio.Task[None] | None = None
        self._stopping = 0
        self._last_signs = LastSigns()
        self._orders = Orders(
            self._consul,
            self._paths,
            clock=self._clock,
            random=self._random,
            leads=lambda: self.election.tenure is not None,
            on_seen=self.post,
            on_error=self._met_with_orders,
            on_unreadable=self._orders_unreadable,
            wait_s=WATCH_WAIT_S,
        )
        work.on_failed = lambda run, reason, child: self.post(ev.WorkFailed(run, reason, child))
        work.on_unannounced = lambda error: self._met(error, Fault.DISCOVERY)
        work.contact = lambda: self.election.contact
        work.on_announced = lambda: self._faults.over(Fault.DISCOVERY)
        work.on_fenced = lambda session, reason: self.post(ev.SessionLost(session, reason))

    def step_down(self, reason: StepDownReason = StepDownReason.REQUESTED) -> None:
        """Give the leadership back, if it is ours, and stay back for a while."""
        self.post(ev.StepDown(reason))

    # -- beside the loop -------------------------------------------------------------------

    def _background(self) -> list[Coroutine[Any, Any, None]]:
        watches = [self._watching(self._watch_others), self._watching(self._orders.follow)]
        return [*super()._background(), self._renew(), *watches]

    def _started(self) -> ev.Started:
        return ev.Started(orders_follow=True)

    def _met_with_orders(self, error: ConsulError | None) -> None:
        if error is None:
            self._faults.over(Fault.ORDERS)
        else:
            self._met(error, Fault.ORDERS)

    def _orders_unreadable(self, problem: str) -> None:
        if problem:
            self._faults.happened(Fault.ORDERS_UNREADABLE, problem)
        else:
            self._faults.over(Fault.ORDERS_UNREADABLE)

    def _wind_up(self) -> None:
        for task in self._doomed.values():
            task.cancel()

    def _forgotten(self) -> None:
        """The agent had lost our check: whatever session hung on it is not to be relied on."""
        if self._session is not None:
            self.post(ev.SessionLost(self._session, LostReason.CHECK_LOST))

    @property
    def _session(self) -> str | None:
        return self.election.sessions.current

    async def _renew(self) -> None:
        """Renew the session's TTL, for ever: the backstop that frees the lock of a lost host."""
        while True:
            await asyncio.sleep(self.election.timing.renew_interval)
            session = self._session
            if session is None:
                continue
            try:
                if await self._consul.session_renew(session) is None:
                    self.post(ev.SessionLost(session, LostReason.SESSION_GONE))
            except ConsulError as error:
                self._met(error, Fault.RENEWAL)
            else:
                self._faults.over(Fault.RENEWAL)

    async def _watch_others(self) -> None:
        """Follow the other candidates: who could follow us, and how late they stop."""
        name = self._paths.candidate_service

        def query(index: int | None) -> Coroutine[Any, Any, Reply[tuple[ServiceInstance, ...]]]:
            wait_s = None if index is None else WATCH_WAIT_S
            return self._consul.health_service(name, index=index, wait_s=wait_s)

        async with contextlib.aclosing(watch(query, jitter=self._random)) as replies:
            async for reply in replies:
                if isinstance(reply, WatchError):
                    self._met(reply.error, Fault.CANDIDATES)
                else:
                    self._faults.over(Fault.CANDIDATES)
                    self.post(self._others(reply.value))

    def _others(self, candidates: Sequence[ServiceInstance]) -> ev.OthersSeen:
        # Each change of any candidate of a large fleet comes here: read no more than is needed.
        by_status: dict[CheckStatus, list[ServiceInstance]] = {each: [] for each in CheckStatus}
        for each in candidates:
            by_status[each.status].append(each)
        passing = by_status[CheckStatus.PASSING]
        self._last_signs.see(by_status[CheckStatus.CRITICAL], self._clock.now())
        priorities = {
            name: priority_of(each)
            for each in passing
            if each.id != self._service.id
            # Anybody may register a service: what is no node's name is no candidate.
            if is_name(name := each.meta.get("node", each.node))
        }
        self._tell_namesakes(passing)
        fenced = [_fenced_within(each.meta.get("fenced_within_ms", "")) for each in candidates]
        longest = max((value for value in fenced if value is not None), default=None)
        names = sorted(priorities.keys() - {self.election.node})
        names.sort(key=lambda name: -(_or_default(priorities[name])))
        return ev.OthersSeen(tuple(names), longest)

    def _tell_namesakes(self, passing: Sequence[ServiceInstance]) -> None:
        """Say so if another living node bears our name; one at our address is who we were."""
        for each in passing:
            where = each.meta.get("api", each.node)
            if where != self._service.address and each.meta.get("node") == self.election.node:
                detail = f"{self.election.node} is at {where} too: give each node its own name"
                self._faults.happened(Fault.NAMESAKE, detail)
                return
        self._faults.over(Fault.NAMESAKE)

    # -- commands --------------------------------------------------------------------------

    def _do(self, command: cmd.Command) -> None:
        match command:
            case cmd.ExtendLease(until, fenced_at):
                self._metrics.lease_extended(self._work.lease_remaining_s())
                self._work.extend(until)
                self._watchdog.arm(self._paths.election, fenced_at)
            case cmd.EndLease(suspended):
                self._work.end_lease(suspended=suspended, reason=self.election.state.value)
            case cmd.LiftFence():
                self._watchdog.disarm(self._paths.election)
            case cmd.EndProcess(term):
                self._end_process(term)
            case cmd.DestroySession(session):
                self._destroy(session)
            case cmd.UpdateRecord():
                self._update(command)
            case _:
                job = self._job(command)
                if job is None:
                    super()._do(command)
                else:
                    self._spawn(job)

    def _job(self, command: cmd.Command) -> Coroutine[Any, Any, None] | None:
        """What carries out a command that takes time; None if it is not one of ours."""
        match command:
            case cmd.CreateSession(attempt):
                return self._create_session(attempt)
            case cmd.CreateLeaderKey():
                return self._create_key(command)
            case cmd.Acquire():
                return self._acquire(command)
            case cmd.Release():
                return self._release(command)
            case cmd.StartWork():
                return self._start_work(command)
            case cmd.ForgetPause(request_id):
                return self._forget_pause(request_id)
            case cmd.StopWork(run, deadline):
                if run == self._stopping:
                    return self._work.hasten(deadline)
                self._stopping = run
                return self._stop_work(run, deadline)
        return None

    async def _create_session(self, attempt: int) -> None:
        timing = self.election.timing
        try:
            await self._service.ensure()
            await self._service.known()
            session = await self._consul.session_create(
                name=f"{self._paths.election} candidate {self.election.node}",
                checks=self._session_checks,
                lock_delay_s=timing.lock_delay,
                ttl_s=timing.session_ttl,
            )
        except ConsulRefused as error:
            self._met(error, Fault.SESSION)
            self.post(ev.SessionFailed(attempt, WhyNot.CHECK_CRITICAL))
        except ConsulError as error:
            self._met(error, Fault.SESSION)
            self.post(ev.SessionFailed(attempt, why_of(error)))
        else:
            self._faults.over(Fault.SESSION)
            self._former_sessions.add(session)
            self.post(ev.SessionCreated(attempt, session))

    def _destroy(self, session: str) -> None:
        if session not in self._doomed:
            self._doomed[session] = self._spawn(self._destroy_until_gone(session))

    async def _destroy_until_gone(self, session: str) -> None:
        """Destroy it; the first try is reported whatever came of it, and it is gone for good
        from our side: what led is never used again."""
        reported = False
        try:
            while True:
                try:
                    await self._consul.session_destroy(session)
                    self._faults.over(Fault.LEFTOVER)
                    break
                except ConsulError as error:
                    self._met(error, Fault.LEFTOVER)
                    if not reported:
                        self._given_back(session)
                        reported = True
                    await asyncio.sleep(DESTROY_RETRY_S)
        finally:
            self._doomed.pop(session, None)
        if not reported:
            self._given_back(session)

    def _given_back(self, session: str) -> None:
        self.post(ev.SessionDestroyed(session))
        tenure = self.election.tenure
        if tenure is not None and tenure.session == session:
            self._spawn(self._work.retire())

    async def _create_key(self, asked: cmd.CreateLeaderKey) -> None:
        try:
            await self._key.create(asked.why, asked.deadline)
            self._faults.over(Fault.LOCK)
        except ConsulError as error:
            self._met(error, Fault.LOCK)
            self.post(ev.ObserveFailed(why_of(error)))
            return
        await self._observe(asked.deadline)

    async def _acquire(self, asked: cmd.Acquire) -> None:
        self._notices.attempt_sent()
        if not await self._fit(asked.attempt):
            return
        sent_at = self._clock.now()
        try:
            outcome = await self._key.acquire(asked)
        except ConsulUnavailable as error:
            self._met(error, Fault.LOCK)
            if error.outcome_unknown:
                self.post(ev.AcquireUnknown(asked.attempt))
            else:
                self.post(ev.AcquireRefused(asked.attempt, TakeoverOutcome.UNAVAILABLE))
        except ConsulError as error:
            self._met(error, Fault.LOCK)
            refused = why_of(error) is WhyNot.NOT_PERMITTED
            outcome = TakeoverOutcome.NOT_PERMITTED if refused else TakeoverOutcome.REFUSED
            self.post(ev.AcquireRefused(asked.attempt, outcome))
        else:
            self._faults.over(Fault.LOCK)
            if isinstance(outcome, Taken):
                self.post(ev.Acquired(asked.attempt, outcome.view, sent_at))
            else:
                self.post(ev.AcquireRefused(asked.attempt, outcome))

    async def _fit(self, attempt: int) -> bool:
        """Whether our agent takes a pass of our check; if not, the attempt is over, and was never
        made: nothing is unknown about it."""
        try:
            await self._service.fit()
        except ConsulError as error:
            self._met(error, Fault.CHECK)
            denied = why_of(error) is WhyNot.NOT_PERMITTED
            outcome = TakeoverOutcome.NOT_PERMITTED if denied else TakeoverOutcome.UNAVAILABLE
            self.post(ev.AcquireRefused(attempt, outcome))
            return False
        self._faults.over(Fault.CHECK)
        return True

    def _update(self, asked: cmd.UpdateRecord) -> None:
        """One update at a time: the next read asks again if the record is still not right."""
        if self._updating is None or self._updating.done():
            self._updating = self._spawn(self._update_record(asked))

    async def _update_record(self, asked: cmd.UpdateRecord) -> None:
        try:
            await self._key.update(asked.session, asked.term, asked.successors)
            self._faults.over(Fault.LOCK)
        except ConsulError as error:
            self._met(error, Fault.LOCK)

    async def _release(self, asked: cmd.Release) -> None:
        await self._work.hidden()  # whoever takes over passes at once
        try:
            await self._key.release(asked)
            self._faults.over(Fault.LOCK)
        except ConsulError as error:
            self._met(error, Fault.LOCK)
        self.post(ev.Released(asked.session))

    async def _forget_pause(self, request_id: str) -> None:
        try:
            await self._orders.forget_pause(request_id)
            self._faults.over(Fault.ORDERS)
        except ConsulError as error:
            self._met(error, Fault.ORDERS)

    # -- the work --------------------------------------------------------------------------

    async def _start_work(self, asked: cmd.StartWork) -> None:
        try:
            await self._work.start(asked)
        except LeadershipLost:
            # The lease ran out meanwhile; should it be confirmed after all, no work would run.
            self.post(ev.WorkFailed(asked.run, LostReason.WORK_FAILED))
            return
        if asked.vacancy is not None:
            vanished = asked.vacancy.cause is Cause.SESSION_INVALIDATED
            signs, former = self._last_signs, asked.vacancy.previous
            last = signs.before(former, asked.vacancy.seen_at) if vanished else None
            self._notices.work_started(asked.term, asked.vacancy, last)
            await self._orders.tidy()

    async def _stop_work(self, run: int, deadline: float) -> None:
        await self._work.stop(deadline)
        self.post(ev.WorkStopped(run))


def _or_default(priority: int | None) -> int:
    return DEFAULT_PRIORITY if priority is None else priority


def _fenced_within(text: str) -> float | None:
    """What a candidate's meta says, in seconds; None if it is not a sensible number."""
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        return None
    return min(int(text), MAX_DELAY_MS) / 1000
