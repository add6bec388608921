"""Puts a node together and runs it: the only place that knows everything.

A node that may lead runs a candidate, which starts the coordination work when it has won; the
application never starts the work itself. A node that may not lead runs an observer. Both serve
the HTTP API; a poller node serves its polls beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from random import Random
from typing import Any, NoReturn

import httpx
import structlog
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from coord.api import ElectionView, create_api, detail_of
from coord.candidate import CoordinatorCandidate
from coord.clock import Clock
from coord.config import Settings
from coord.config.values import HostPort
from coord.consul import ConsulApi, ConsulError
from coord.coordinator import Coordinator
from coord.election.machine import Election
from coord.election.reasons import LostReason
from coord.election_loop import ElectionLoop
from coord.event_handlers import HandlerContext, load_handlers
from coord.identity import Identity, make_identity, new_boot_id
from coord.leader_key import LeaderKey
from coord.node_type import NodeType
from coord.notices import Notices
from coord.observer import Observer
from coord.polling.overview import PollOverview, read_overview
from coord.polling.poller_service import PollerService
from coord.records import Paths
from coord.registration import CandidateService
from coord.restart_policy import ChildExit, Decision, Restart, RestartLedger, RestartPolicy
from coord.service_manager import ServiceManager
from coord.status import ClusterStatus, read_status
from coord.supervisor import ChildSpec, CoordinatorSupervisor
from coord.telemetry import Apart, Event, Handler, LostLeadership, StateChanged, Telemetry
from coord.telemetry.journal import Journal, keep_pruned
from coord.telemetry.lasting_fault import LastingFault
from coord.telemetry.logs import SENTENCE, log_event, log_fault
from coord.telemetry.metrics import Metrics
from coord.telemetry.own_thread import OwnThread
from coord.telemetry.secrecy import Secrets
from coord.watchdog import Watchdog
from coord.workloads import WorkContext, load_workloads

EXIT_FATAL = 70
"""The process ended because it could not go on safely: start it again."""

CRASH_WINDOW_S = 60.0
"""A candidate that crashes more often than max_restarts in this time ends its node: long enough
to see one that crashes at each takeover."""

FLUSH_S = 1.0
"""How long the journal may take for its last entries."""

HANDLERS_S = 1.0
"""How long a user's handlers of events may take for the last ones."""

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("coord.application")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What a node stands on: all that it has of the world outside.

    bound: where its HTTP server listens already.
    serve: serves the API while the context is entered; gives the task that does.
    end_process: ends this process at once, for work of that term that has not stopped in time.
    random: for spreading what should not happen everywhere at once, and for the boot id.
    http: what carries the work's own HTTP requests instead of real connections.
    load_work: finds the coordination work by its names.
    secrets: what must never be shown.
    apart: what calls a user's handlers of events without making anybody wait.
    manager: whoever has started this process, and wants to know how it is.
    """

    consul: ConsulApi
    clock: Clock
    watchdog: Watchdog
    bound: HostPort
    serve: Callable[[ASGIApp], AbstractAsyncContextManager[asyncio.Task[None]]]
    end_process: Callable[[int], NoReturn]
    random: Random
    http: httpx.AsyncBaseTransport | None = None
    load_work: Callable[[Sequence[str], WorkContext], Sequence[ChildSpec]] = load_workloads
    secrets: Secrets = field(default_factory=Secrets)
    apart: Callable[[Handler], Apart] = OwnThread
    manager: ServiceManager = field(default_factory=lambda: ServiceManager({}))


class Application:
    """One node. `run` runs it until `stop`; returns the exit status."""

    def __init__(self, settings: Settings, host: Host) -> None:
        consul, clock = host.consul, host.clock
        self.settings = settings
        boot_id = new_boot_id(host.random)
        self.identity: Identity = make_identity(settings, boot_id=boot_id, bound=host.bound)
        self.telemetry = Telemetry(self.identity, clock, secrets=host.secrets, apart=host.apart)
        registry = CollectorRegistry()
        self.metrics = Metrics(registry)
        self._host = host
        self._consul = consul
        self._clock = clock
        self._paths = Paths(settings.election)
        self._faults = LastingFault(clock, log_fault)
        self._service = CandidateService(consul, self._paths, self.identity, settings.timing)
        self._key = LeaderKey(consul, self._paths, self.identity, settings.timing, clock)
        self._journal = Journal(self._paths, self.identity.node, faults=self._faults)
        self._sessions: set[str] = set()
        self._stopping = asyncio.Event()
        context = WorkContext(
            settings=settings,
            identity=self.identity,
            consul=consul,
            telemetry=self.telemetry,
            clock=clock,
            paths=self._paths,
            http=host.http,
            random=host.random.random,
            metrics=registry,
        )
        self._work = self._make_work(context) if self.identity.eligible else None
        is_poller = self.identity.node_type is NodeType.POLLER
        self._poller = PollerService(context) if is_poller else None
        self.loop: ElectionLoop = self._make_loop()
        self._wire_telemetry()

    def _make_work(self, context: WorkContext) -> Coordinator:
        settings = self.settings
        return Coordinator(
            consul=self._consul,
            paths=self._paths,
            identity=self.identity,
            timing=settings.timing,
            clock=self._clock,
            telemetry=self.telemetry,
            metrics=self.metrics,
            policy=RestartPolicy(settings.max_restarts, settings.restart_window),
            work=self._host.load_work(settings.workloads, context),
        )

    def _make_loop(self) -> ElectionLoop:
        """A new candidate, or observer, with an election that starts from nothing."""
        election = Election(
            self.identity.node,
            self.settings.timing,
            eligible=self.identity.eligible,
            jitter=self._host.random.random(),
            own_sessions=self._sessions,
        )
        common: dict[str, Any] = {
            "consul": self._consul,
            "paths": self._paths,
            "key": self._key,
            "clock": self._clock,
            "notices": Notices(self.telemetry, self.identity.node, self._clock),
            "metrics": self.metrics,
            "faults": self._faults,
            "random": self._host.random.random,
            "service": self._service,
        }
        if self._work is None:
            return Observer(election, **common)
        return CoordinatorCandidate(
            election,
            **common,
            work=self._work,
            watchdog=self._host.watchdog,
            session_checks=self.settings.session_checks,
            end_process=self._host.end_process,
            former_sessions=self._sessions,
        )

    def _wire_telemetry(self) -> None:
        self.telemetry.attach_inline(log_event)
        self.telemetry.attach_inline(self.metrics.handle)
        self.telemetry.attach_inline(self._tell_manager)
        if self._work is not None:
            self.telemetry.attach_inline(self._journal.handle)
            self.metrics.lease_remaining(self._work.lease_remaining_s)
            self.metrics.journal(lambda: self._journal.written, lambda: self._journal.lost)
            self.metrics.lease(self.settings.timing.lease)
        self.metrics.watch_age(lambda: self.loop.watch_age_s())
        telemetry = self.telemetry
        self.metrics.handlers(lambda: telemetry.events_dropped, lambda: telemetry.handler_failures)
        self.metrics.eligible(self.identity.eligible)
        context = HandlerContext(self.settings, self.identity)
        for handler in load_handlers(self.settings.event_handlers, context):
            self.telemetry.attach(handler)

    def _tell_manager(self, event: Event) -> None:
        if isinstance(event, StateChanged):
            why = f": {event.why_not}" if event.why_not else ""
            self._host.manager.status(f"{event.state}{why}")

    # -- what the API shows ----------------------------------------------------------------

    def election_view(self) -> ElectionView:
        """The election as this node sees it now."""
        election, now = self.loop.election, self._clock.now()
        why_not, until = election.why_not(now), election.waits_until
        detail = detail_of(why_not, None if until is None else until - now, self._faults.lasting)
        leads = election.lease_until is not None
        return ElectionView(
            state=election.state.value,
            why_not=why_not,
            why_not_detail=self._host.secrets.masked(detail),
            leader_node=election.lookout.leader or None,
            leader_term=election.lookout.leader_term,
            term=election.term if leads else None,
            lease_remaining_s=self._work.lease_remaining_s() if leads and self._work else None,
            consul=election.contact or "ok",
            work=self._work.status() if self._work else (),
            loop_ok=self._service.lag_s(now) <= self.settings.timing.lease,
        )

    @property
    def supervisor(self) -> CoordinatorSupervisor | None:
        """For starting and stopping children while this node leads; None if it may not lead."""
        return self._work.supervisor if self._work is not None else None

    async def cluster_status(self) -> ClusterStatus:
        """Read the cluster from Consul."""
        return await read_status(self._consul, self._paths, clock=self._clock)

    async def polls(self) -> PollOverview:
        """Read from Consul what is polled."""
        return await read_overview(self._consul, self._paths, clock=self._clock)

    # -- running ---------------------------------------------------------------------------

    def stop(self) -> None:
        """End gracefully: stop the work, hand over, deregister."""
        self._host.manager.stopping()
        self._stopping.set()
        self.loop.shut_down()

    async def run(self) -> int:
        """Run until stopped.

        Returns:
            0 after a graceful end, `EXIT_FATAL` if the node cannot go on.
        """
        self._greet()
        routes = self._poller.routes() if self._poller else ()
        app = create_api(self, clock=self._clock, routes=routes)
        try:
            async with self._host.serve(app) as server, self._beside() as beside:
                self._host.manager.ready()
                parts = (server, *beside)
                for part in parts:
                    part.add_done_callback(lambda task: self.stop())
                ended_well = await self._run_supervised()
                app.state.close_streams()
                broken = [part for part in parts if part.done()]
                for part in broken:
                    error = None if part.cancelled() else part.exception()
                    _log.error(
                        "a part of the node broke: the node ends",
                        part=part.get_name(),
                        exc_info=error,
                    )
        finally:
            with contextlib.suppress(ConsulError):
                await self._service.deregister()
            if self._work is not None:
                await self._work.tidy()
            await self.telemetry.aclose(HANDLERS_S)
        _log.info("node ends")
        return 0 if ended_well and not broken else EXIT_FATAL

    def _leads(self) -> bool:
        return self.loop.election.lease_until is not None

    def _greet(self) -> None:
        identity = self.identity
        for old in self.settings.deprecated:
            _log.warning("a deprecated setting decides nothing", advice=str(old))
        for unknown in self.settings.unknown_variables:
            _log.warning(
                "an environment variable looks like a setting and is none: " + str(unknown)
            )
        for path in self.settings.exposed_files:
            _log.warning(
                "every user of this machine may read a file with a token or key in it: "
                "let only this node's user",
                file=str(path),
            )
        _log.info(
            "node starts",
            node=identity.node,
            node_type=identity.node_type.value,
            election=identity.election,
            eligible=identity.eligible,
            eligible_why=identity.eligible_why.value,
            listens=identity.advertise,
            consul=self.settings.consul_url,
            **{SENTENCE: self._greeting()},
        )
        if identity.node_type is NodeType.UNKNOWN and not identity.eligible:
            _log.warning(
                "this node can never lead, as its type is unknown: "
                "set COORDINATOR_NODE_TYPE to core or web if it should"
            )

    def _greeting(self) -> str:
        identity = self.identity
        may = "may lead" if identity.eligible else "may not lead"
        where = f"listens on {identity.advertise}, Consul at {self.settings.consul_url}"
        return f"{identity.node} ({identity.node_type.value}, {may}) {where}"

    @contextlib.asynccontextmanager
    async def _beside(self) -> AsyncIterator[Sequence[asyncio.Task[None]]]:
        """What runs beside the election for as long as it does: the journal, the poller."""
        tasks: list[asyncio.Task[None]] = []
        if self._work is not None:
            tasks.append(asyncio.create_task(self._journal.run(self._consul), name="journal"))
            pruning = keep_pruned(self._consul, self._paths, self._leads, self._faults)
            tasks.append(asyncio.create_task(pruning, name="journal pruning"))
        if self._poller is not None:
            tasks.append(asyncio.create_task(self._poller.run(), name="poller"))
        manager = self._host.manager
        if manager.alive_every_s is not None:
            tasks.append(asyncio.create_task(manager.keep_alive(), name="service manager"))
        try:
            yield tasks
            if self._work is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FLUSH_S):
                        await self._journal.flushed()
        finally:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception):
                    _log.error("a part of the node had crashed", exc_info=result)

    async def _run_supervised(self) -> bool:
        """Run the candidate, and run a new one when it crashes; False: it crashed too often."""
        ledger = RestartLedger(RestartPolicy(self.settings.max_restarts, CRASH_WINDOW_S))
        while True:
            try:
                await self.loop.run()
                return True
            except Exception:
                _log.exception("the candidate crashed; its work is stopped first")
                await self._clean_up_after_crash()
                now = self._clock.now()
                decision = ledger.decide(Restart.PERMANENT, ChildExit.CRASHED, now)
                if decision is not Decision.RESTART:
                    _log.error("the candidate crashed too often: this node ends")
                    return False
                self.loop = self._make_loop()
                if self._stopping.is_set():
                    self.loop.shut_down()

    async def _clean_up_after_crash(self) -> None:
        """Stop the work before anything else; the watchdog ends the process if it does not stop."""
        election = self.loop.election
        session = election.tenure.session if election.tenure else election.sessions.current
        if self._work is not None:
            self._work.end_lease(suspended=False, reason=LostReason.CRASHED.value)
            await self._work.stop(None)
            self._host.watchdog.disarm(self._paths.election)
            await self._work.retire()
        if election.tenure is not None:
            self.telemetry.emit(
                LostLeadership, term=election.tenure.term, reason=LostReason.CRASHED
            )
        if session is not None:
            with contextlib.suppress(ConsulError):
                await self._consul.session_destroy(session)
