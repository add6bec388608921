"""What leading means: the work runs under the supervisor, and discovery says so.

The candidate decides when; the coordinator does it. It starts the work with a lease of its own
for each term and registers the `coordinator` service; it stops the work and says that all of it
has ended only when it has.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from coord.clock import Clock
from coord.consul import ConsulApi, ConsulError, no_leader
from coord.consul.leaderless import NO_LEADER_DEADLINE_S
from coord.election.commands import StartWork
from coord.election.reasons import LostReason, WhyNot
from coord.election.timing import Timing
from coord.identity import Identity
from coord.leadership import FENCED_SESSION, Leadership, LeadershipLost, Lease
from coord.records import Paths
from coord.registration import LeaderService, clear_terms
from coord.restart_policy import RestartPolicy
from coord.supervisor import ChildSpec, ChildStatus, CoordinatorSupervisor, FailureReason
from coord.telemetry import ChildRestarted, Telemetry
from coord.telemetry.metrics import Metrics

_FAILED = {
    FailureReason.RESTART_LIMIT: LostReason.WORK_FAILED,
    FailureReason.NO_PROGRESS: LostReason.NO_PROGRESS,
}


LOOK_AGAIN_S = 0.2


_FENCED = {FENCED_SESSION: LostReason.SESSION_GONE}
_FENCED_ELSE = LostReason.TERM_CHANGED
"""What a refused write of the work shows: whose session is on the key no more, or another term."""


class Coordinator:
    """Starts and stops the coordination work of one node.

    Attributes:
        on_failed: told (run, reason, child) when the work must be given up; child: because of
            which part of it, "" if because of none.
        on_unannounced, on_announced: told of each failure to tell discovery, and of success.
        on_fenced: told (session, reason) when Consul refused a fenced write of the work.
        contact: asked why the last read of the keys failed; None: it did not.
    """

    def __init__(
        self,
        *,
        consul: ConsulApi,
        paths: Paths,
        identity: Identity,
        timing: Timing,
        clock: Clock,
        telemetry: Telemetry,
        metrics: Metrics,
        policy: RestartPolicy,
        work: Sequence[ChildSpec],
    ) -> None:
        self._consul = consul
        self._paths = paths
        self._identity = identity
        self._timing = timing
        self._clock = clock
        self._telemetry = telemetry
        self._metrics = metrics
        self._work = tuple(work)
        metrics.children(each.id for each in self._work)
        self._supervisor = CoordinatorSupervisor(
            policy,
            clock,
            on_failed=self._child_failed,
            on_child_restarted=self._child_restarted,
        )
        self.on_failed: Callable[[int, LostReason, str], None] = lambda run, reason, child: None
        self.on_unannounced: Callable[[ConsulError], None] = lambda error: None
        self.on_announced: Callable[[], None] = lambda: None
        self.on_fenced: Callable[[str, LostReason], None] = lambda session, reason: None
        self.contact: Callable[[], WhyNot | None] = lambda: None
        self._run = 0
        self._term: int | None = None
        self._lease: Lease | None = None
        self._until = self._leaderless_until = float("-inf")
        self._service: LeaderService | None = None
        self._passing: asyncio.Task[None] | None = None
        self._hiding: asyncio.Task[None] | None = None

    # -- what can be seen of it ------------------------------------------------------------

    @property
    def supervisor(self) -> CoordinatorSupervisor:
        """For starting and stopping children while leading."""
        return self._supervisor

    def status(self) -> tuple[ChildStatus, ...]:
        """The children of the work, as the supervisor sees them."""
        return self._supervisor.status()

    def lease_remaining_s(self) -> float:
        """What is left of the lease, in seconds; 0.0 where nothing is led."""
        return self._lease.remaining_s() if self._lease is not None else 0.0

    def working(self) -> bool:
        """Whether the work runs under a lease that is held."""
        return self._supervisor.running and self._lease is not None and self._lease.held()

    def _shown(self) -> bool:
        """Whether discovery is to name this leader."""
        return self.working() or self._unheard()

    def _unheard(self) -> bool:
        """Suspended because Consul has no leader, so that nothing can be told to the catalog.

        It goes on naming us whatever we do, and nobody else can lead. Telling the agent all the
        same, or letting the check run out, would make the agent write: while that hangs it takes
        no pass of any check, and the one that our session hangs on runs out. So the check is
        passed meanwhile.

        Not where it is we who are cut off: a pass that hangs in the agent takes effect when that is
        over, and by then another may be found as the leader.
        """
        if self._lease is None or self._lease.revoked or self._lease.held():
            return False
        leaderless = self.contact() is WhyNot.NO_CONSUL_LEADER
        return leaderless or self._clock.now() < self._leaderless_until

    # -- the lease -------------------------------------------------------------------------

    def extend(self, until: float) -> None:
        """The lease lasts until then, in monotonic seconds."""
        self._until = until
        if self._lease is not None:
            self._lease.extend(until)

    def end_lease(self, *, suspended: bool, reason: str) -> None:
        """Refuse every further write under the lease."""
        if self._lease is None:
            return
        if suspended:
            self._lease.suspend(reason)
        else:
            self._lease.revoke(reason)
            if not self._supervisor.running:
                self._stop_showing(anew=True)

    # -- the work --------------------------------------------------------------------------

    async def start(self, asked: StartWork) -> None:
        """Start the work under this term, or start it again after a suspension.

        Raises:
            LeadershipLost: the lease is over already; nothing was started.
        """
        self._run = asked.run
        self._stop_hiding()
        if asked.term != self._term or self._lease is None:
            self._lease = Lease(self._clock)
            self._term = asked.term
            self._service = LeaderService(
                self._consul,
                self._paths,
                self._identity,
                self._timing,
                term=asked.term,
                session=asked.session,
                shown=self._shown,
                on_error=lambda error: self.on_unannounced(error),
                on_announced=lambda: self.on_announced(),
            )
        self._lease.extend(self._until)
        leadership = Leadership(
            term=asked.term,
            term_index=asked.term_index,
            session=asked.session,
            node=self._identity.node,
            election=self._identity.election,
            leader_key=self._paths.leader,
            term_key=self._paths.term,
            consul=self._consul,
            lease=self._lease,
            clock=self._clock,
            on_lost=lambda reason: self.on_fenced(asked.session, _FENCED.get(reason, _FENCED_ELSE)),
        )
        await self._supervisor.start(self._work, leadership)
        self._metrics.working(True)
        if self._passing is None and self._service is not None:
            self._passing = asyncio.create_task(self._service.keep_passing())
            self._passing.add_done_callback(self._passing_ended)

    async def stop(self, deadline: float | None) -> None:
        """Stop the work; returns only when every task of it has ended.

        At `deadline` (monotonic seconds) the children are asked for the last time. What does not
        end even so is waited for: the candidate ends the process when the lease demands it.
        """
        report = await self._supervisor.stop(deadline)
        while not report.complete:
            report = await self._supervisor.stop()
        self._metrics.working(False)
        self._stop_showing()

    def _passing_ended(self, task: asyncio.Task[None]) -> None:
        """It has no end of its own: a leader that nobody can find must not go on unnoticed."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            context = {"message": "the leader's service broke", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            self.on_failed(self._run, LostReason.WORK_FAILED, "")

    async def hasten(self, deadline: float) -> None:
        """Give the stop that is under way less time."""
        await self._supervisor.stop(deadline)

    async def hidden(self) -> None:
        """Wait until discovery was told that the work has stopped, or that could not be done."""
        self._stop_showing(anew=True)
        if self._hiding is not None:
            await asyncio.wait({self._hiding})

    def _stop_showing(self, *, anew: bool = False) -> None:
        """`anew`: also if it was found before that nobody could be told."""
        if self._hiding is None or (anew and self._hiding.done() and self._passing is not None):
            # Beside, since the work has ended even if the agent does not answer just now.
            self._hiding = asyncio.create_task(self._hide())

    async def _stop_passing(self) -> None:
        passing, self._passing = self._passing, None
        if passing is not None:
            passing.cancel()
            await asyncio.wait({passing})

    async def _hide(self) -> None:
        """Be passing in discovery no longer, before anybody else may be."""
        if await self._leaderless():
            # The last read may have hung without saying so. The next ones will: until one has hung
            # to its end, and it was asked why.
            until_told = self._timing.read_deadline + NO_LEADER_DEADLINE_S + self._timing.lease
            self._leaderless_until = self._clock.now() + max(self._timing.check_ttl, until_told)
            return
        await self._stop_passing()
        if self._service is not None:
            with contextlib.suppress(ConsulError):
                await self._service.fail_check("the work has stopped")

    async def _leaderless(self) -> bool:
        """Whether we are suspended because Consul has no leader.

        Servers may take a second to see it: time enough before our check runs out by itself.
        """
        until = self._clock.now() + self._timing.check_ttl / 2
        while self._lease is not None and not self._lease.revoked and self.contact() is not None:
            if await no_leader(self._consul):
                return True
            if self._clock.now() >= until:
                break
            await asyncio.sleep(LOOK_AGAIN_S)
        return False

    def _stop_hiding(self) -> None:
        hiding, self._hiding = self._hiding, None
        if hiding is not None:
            hiding.cancel()

    async def retire(self) -> None:
        """This term is given back: take the service off the agent."""
        await self._stop_passing()
        self._stop_hiding()
        service, self._service, self._lease, self._term = self._service, None, None, None
        if service is not None:
            with contextlib.suppress(ConsulError):
                await service.deregister()

    async def tidy(self) -> None:
        """At the end of the process: take off the agent what it still has of any term of ours.

        It may not have answered when a term was given back, and a request that was given up may
        have reached it since.
        """
        with contextlib.suppress(ConsulError):
            await clear_terms(self._consul, self._paths, self._identity)

    # -- the supervisor's news -------------------------------------------------------------

    def _child_failed(self, reason: FailureReason, child: str) -> None:
        self.on_failed(self._run, _FAILED[reason], child)

    def _child_restarted(self, child: str, error: str, restarts: int) -> None:
        self._telemetry.emit(
            ChildRestarted, term=self._term, child=child, error=error, restarts=restarts
        )


__all__ = ["Coordinator", "LeadershipLost"]
