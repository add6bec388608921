"""A node of the test's own making under the HTTP API, and every cell of the table it answers by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import httpx

from coord.api import ElectionView, create_api
from coord.election.reasons import WhyNot
from coord.election.states import State
from coord.identity import Identity
from coord.node_type import EligibleWhy, NodeType
from coord.polling.overview import PollOverview
from coord.status import (
    ClusterStatus,
    Condition,
    ConsulStatus,
    HealthStatus,
    LeaderStatus,
    Listing,
    Seen,
    TermCondition,
    TermStatus,
)
from coord.telemetry import Telemetry

SECRET = "s3cr3t-token"
IDENTITY = Identity(
    node="core-1",
    node_type=NodeType.CORE,
    election="coordinator",
    eligible=True,
    eligible_why=EligibleWhy.NODE_TYPE_MAY_LEAD,
    boot_id="b" * 32,
    advertise="127.0.0.1:8610",
)
STATUS = ClusterStatus(
    election="coordinator",
    at_ms=1,
    leader=LeaderStatus(condition=Condition.HELD, locked=True, node="core-2", term=7),
    term=TermStatus(condition=TermCondition.KNOWN, value=7),
    candidates=Listing(Seen.KNOWN),
    observers=Listing(Seen.UNKNOWN),
    pollers=Listing(Seen.NOT_PERMITTED),
    leader_service=Listing(Seen.KNOWN),
    consul=ConsulStatus(leader="127.0.0.1:8300"),
    health=HealthStatus(Seen.KNOWN),
)

OVERVIEW = PollOverview(
    election="coordinator",
    at_ms=1,
    schedules_seen=Seen.KNOWN,
    results_seen=Seen.KNOWN,
    jobs_seen=Seen.KNOWN,
    fares={},
    schedules=(),
    left_out=0,
    pollers=Listing(Seen.UNKNOWN),
)


class HandClock:
    """Time moves when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def wall_ms(self) -> int:
        return 1_700_000_000_000


class Metrics:
    """One metric: how often it was asked for."""

    def __init__(self) -> None:
        self.rendered = 0

    def render(self) -> tuple[bytes, str]:
        self.rendered += 1
        return b"coordinator_up %d\n" % self.rendered, "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Node:
    """A `NodeView` whose every answer the test chooses."""

    view: ElectionView = field(default_factory=lambda: ElectionView(state="standby"))
    answer: ClusterStatus | Exception = STATUS
    overview: PollOverview = OVERVIEW
    reads: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event | None = None
    identity: Identity = IDENTITY
    telemetry: Telemetry = field(default_factory=lambda: Telemetry(IDENTITY, HandClock()))
    metrics: Metrics = field(default_factory=Metrics)

    def election_view(self) -> ElectionView:
        return self.view

    async def cluster_status(self) -> ClusterStatus:
        self.reads += 1
        self.began.set()
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def polls(self) -> PollOverview:
        self.reads += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.overview


@asynccontextmanager
async def serving(node: Node, clock: HandClock | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of its API."""
    app = create_api(node, clock=clock or HandClock())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        yield client


LEADER, FOLLOWER = (200, 200, 200, 200), (200, 200, 503, 200)
ALIVE, DEAD = (200, 503, 503, 503), (503, 503, 503, 503)
URLS = ("/api/health/live", "/api/health/ready", "/api/health/leader", "/api/health")

# As the design's table has it: /live, /ready, /leader, /api/health.
TABLE = {
    State.LEADING: LEADER,
    State.STANDBY: FOLLOWER,
    State.WAITING: FOLLOWER,
    State.ACQUIRING: FOLLOWER,
    State.COOLING: FOLLOWER,
    State.OBSERVER: FOLLOWER,
    State.SUSPENDED: ALIVE,
    State.STEPPING_DOWN: ALIVE,
    State.JOINING: ALIVE,
    State.STOPPED: ALIVE,
}
NO_CONSUL = (WhyNot.CONSUL_UNREACHABLE, WhyNot.NO_CONSUL_LEADER, WhyNot.NOT_PERMITTED)


def views() -> Iterator[tuple[ElectionView, tuple[int, ...]]]:
    """Every state, with Consul and without, and hung; and what `URLS` answer in it."""
    for state, statuses in TABLE.items():
        lease = 1.5 if state is State.LEADING else None
        view = ElectionView(state=state.value, lease_remaining_s=lease)
        without = statuses if state is State.LEADING else ALIVE
        yield view, statuses
        for why in NO_CONSUL:
            yield replace(view, consul=why, why_not=why), without
        yield replace(view, loop_ok=False), DEAD


def name_of(value: object) -> str:
    """What a test of such a state is called."""
    if isinstance(value, ElectionView):
        return f"{value.state}-{value.consul}-{'ok' if value.loop_ok else 'hung'}"
    return str(value)
