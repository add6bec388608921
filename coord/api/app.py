"""The node's HTTP API: health endpoints, the cluster, recent events, metrics. All of it reads only.

The health endpoints answer by `PROBES`, the one table of state and endpoint, from what the node
knows by itself: they need no Consul. `/api/cluster` and `/api/polls` read Consul, each at most once
a second however often it is asked.

Every answer but the metrics is JSON; an error is ``{"error": code}``, with ``field`` and ``fix``
where there is something to put right.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from coord.api.cache import ClusterCache, ReadCache
from coord.api.event_stream import MEDIA_TYPE, STREAMS_MOST, EventStreams
from coord.api.health_table import PROBES, ElectionView, row_of
from coord.api.replies import Plain, error_response, json_response, on_crash, on_http_error
from coord.clock import Clock, SystemClock
from coord.consul import ConsulError, ConsulNotPermitted, ConsulUnavailable
from coord.election.reasons import WhyNot
from coord.identity import Identity
from coord.members import Listing, Member, best_by_node
from coord.polling.overview import PollOverview
from coord.status import ClusterStatus, to_dict
from coord.status.as_json import encoded, plain_value
from coord.supervisor import ChildStatus
from coord.telemetry import RECENT_EVENTS, Telemetry
from coord.telemetry import to_dict as event_to_dict

if TYPE_CHECKING:
    from coord.api.answers import Child, Counted, Events, Health, Index, Probe, Summary

DOCUMENT: Final = Path(__file__).with_name("openapi.json")
"""The description of all this as OpenAPI, which `make docs` writes."""

METRICS_S: Final = 0.1
"""How long the metrics serve once they are made, in seconds: it takes the loop some milliseconds,
which the election would lack if they were made for each of a crowd that asks at once."""

SUMMARY_WAIT_S: Final = 0.5
"""How long `/api/health` waits for a summary of the cluster before it answers without one."""

LIMIT_DIGITS: Final = 5
"""How long the number may be that `/api/events` takes as its limit."""

CLUSTER_WAIT_S: Final = 10.0
"""How long `/api/cluster` and `/api/polls` wait for Consul in all."""


class RendersMetrics(Protocol):
    """What the API needs of the metrics."""

    def render(self) -> tuple[bytes, str]:
        """The text and its content type."""
        ...


class NodeView(Protocol):
    """What the API needs of a node. None of it may block."""

    @property
    def identity(self) -> Identity: ...
    @property
    def telemetry(self) -> Telemetry: ...
    @property
    def metrics(self) -> RendersMetrics: ...

    def election_view(self) -> ElectionView:
        """The election as this node sees it now."""
        ...

    async def cluster_status(self) -> ClusterStatus:
        """Read the cluster from Consul; raises ConsulError. The API calls it once a second at
        most, and never twice at a time."""
        ...

    async def polls(self) -> PollOverview:
        """Read from Consul what is polled; as `cluster_status`."""
        ...


# --- the endpoints -------------------------------------------------------------------------------


class _Endpoints:
    def __init__(self, node: NodeView, clock: Clock) -> None:
        self._node = node
        self.streams = EventStreams(node.telemetry, node.identity.boot_id)
        self.cache = ClusterCache(node.cluster_status, clock)
        self.polls_cache = ReadCache(lambda: _encoded(node.polls()), clock)
        self._document = DOCUMENT.read_bytes()
        self._clock = clock
        self._metrics: tuple[float, bytes, str] | None = None

    async def index(self, request: Request) -> Response:
        answer: Index = {"node": self._node.identity.node, "urls": list(URLS)}
        return json_response(answer)

    async def document(self, request: Request) -> Response:
        return Response(self._document, media_type="application/json")

    async def health(self, request: Request) -> Response:
        view, identity = self._node.election_view(), self._node.identity
        probes = PROBES[row_of(view)]
        wanted = request.query_params.get("cluster", "true")
        if wanted not in ("true", "false"):
            fix = "give true, or false: without the cluster, which the node reads from Consul"
            return error_response(HTTPStatus.BAD_REQUEST, "bad_request", field="cluster", fix=fix)
        summary = await self._summary(view) if wanted == "true" else None
        body: Health = {
            **_told(view, ok=probes.health),
            "node": identity.node,
            "node_type": identity.node_type,
            "eligible": identity.eligible,
            "eligible_why": identity.eligible_why,
            "election": identity.election,
            "leader_node": view.leader_node,
            "leader_term": view.leader_term,
            "term": view.term,
            "lease_remaining_s": view.lease_remaining_s,
            "consul": view.consul,
            "work": [_child(child) for child in view.work],
            "cluster": summary,
        }
        return json_response(body, probes.status("health"))

    async def _summary(self, view: ElectionView) -> Summary | None:
        """Who is there, in short; None where that is not to be had at once."""
        if view.consul != "ok":
            return None
        try:
            return _short(await self.cache.get(SUMMARY_WAIT_S))
        except (ConsulError, TimeoutError):
            return None

    async def live(self, request: Request) -> Response:
        return self._probe("live")

    async def ready(self, request: Request) -> Response:
        return self._probe("ready")

    async def leader(self, request: Request) -> Response:
        return self._probe("leader")

    def _probe(self, probe: str) -> Response:
        view = self._node.election_view()
        probes = PROBES[row_of(view)]
        return json_response(_told(view, ok=getattr(probes, probe)), probes.status(probe))

    async def cluster(self, request: Request) -> Response:
        try:
            status = await self.cache.get(CLUSTER_WAIT_S)
        except (ConsulError, TimeoutError) as error:
            return _not_read(error)
        return json_response(to_dict(status))

    async def polls(self, request: Request) -> Response:
        try:
            body, age_ms = await self.polls_cache.read(CLUSTER_WAIT_S)
        except (ConsulError, TimeoutError) as error:
            return _not_read(error)
        # Encoded where it was read: thousands of schedules take their time.
        aged = b'{"age_ms": %d, ' % age_ms + body.removeprefix(b"{")
        return Response(aged, media_type="application/json")

    async def events(self, request: Request) -> Response:
        streamed = MEDIA_TYPE in request.headers.get("accept", "")
        text = request.query_params.get("limit", "0" if streamed else str(RECENT_EVENTS))
        limit = int(text) if text.isascii() and text.isdigit() and len(text) <= LIMIT_DIGITS else -1
        if limit < (0 if streamed else 1):
            return error_response(
                HTTPStatus.BAD_REQUEST,
                "bad_request",
                field="limit",
                fix=f"give a whole number from 1 on, of at most {LIMIT_DIGITS} digits; "
                f"the node keeps {RECENT_EVENTS} events",
            )
        if streamed:
            return self._stream(request, limit)
        recent = list(self._node.telemetry.recent)[-limit:]
        answer: Events = {"events": [event_to_dict(event) for event in recent]}
        return json_response(answer)

    def _stream(self, request: Request, limit: int) -> Response:
        if self.streams.full:
            return error_response(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too_many_streams",
                fix=f"end one of the {STREAMS_MOST} streams of this node, or ask another node",
            )
        return self.streams.open(request, limit)

    async def metrics(self, request: Request) -> Response:
        now = self._clock.now()
        if self._metrics is None or now - self._metrics[0] >= METRICS_S:
            self._metrics = (now, *self._node.metrics.render())
        _, body, content_type = self._metrics
        return Response(body, headers={"content-type": content_type})


URLS: Final = (
    "/api/health",
    "/api/health/live",
    "/api/health/ready",
    "/api/health/leader",
    "/api/cluster",
    "/api/polls",
    "/api/events",
    "/api/openapi.json",
    "/metrics",
)
"""What `/` names."""


def _told(view: ElectionView, *, ok: bool) -> Probe:
    """What every health endpoint says."""
    return {
        "status": "ok" if ok else "unavailable",
        "state": view.state,
        "why_not_leader": view.why_not,
        "why_not_detail": view.why_not_detail,
    }


def _child(child: ChildStatus) -> Child:
    # Without its last error: that is the work's own text, and this is no place for secrets in it.
    return {"id": child.id, "state": child.state, "restarts": child.restarts}


def _short(status: ClusterStatus) -> Summary:
    record = status.health.record
    return {
        "leader_node": status.leader_node,
        "election_state": status.leader.condition,
        "term": status.term.value,
        "verdict": record.verdict if record and status.health_is_current else None,
        "age_ms": status.age_ms,
        "candidates": _counted(status.candidates),
        "observers": _counted(status.observers),
        "pollers": _counted(status.pollers),
    }


def _counted(listing: Listing[Member]) -> Counted:
    # Nodes, not instances: an earlier start of one may still be listed.
    nodes = best_by_node(listing.items).values()
    return {
        "seen": listing.seen,
        "passing": sum(item.passing for item in nodes),
        "registered": len(nodes),
    }


async def _encoded(reading: Awaitable[PollOverview]) -> bytes:
    """What is polled, as JSON without its age."""
    overview = await reading

    def encode() -> bytes:
        answer = plain_value(overview)
        del answer["age_ms"]
        return encoded(answer, indent=None).encode("ascii")

    return await asyncio.to_thread(encode)


def _not_read(error: ConsulError | TimeoutError) -> Response:
    match error:
        case ConsulNotPermitted():
            fix = "give the node's Consul token the rights of a reader"
            return _unavailable(WhyNot.NOT_PERMITTED, fix)
        case ConsulUnavailable(no_leader=True):
            return _unavailable(WhyNot.NO_CONSUL_LEADER, "see that Consul's servers have one")
        case _:
            fix = "see that the Consul agent runs and that CONSUL_HTTP_ADDR names it"
            return _unavailable(WhyNot.CONSUL_UNREACHABLE, fix)


def _unavailable(why: WhyNot, fix: str) -> Response:
    return error_response(HTTPStatus.SERVICE_UNAVAILABLE, why.value, fix=fix)


def create_api(
    node: NodeView, *, clock: Clock | None = None, routes: Sequence[BaseRoute] = ()
) -> Starlette:
    """The node's application for an ASGI server; `routes` are mounted beside its own.

    A reading of Consul that is under way when it shuts down is ended in its lifespan. A server
    waits for streams of events, so end them before: `app.state.close_streams()`.
    """
    ends = _Endpoints(node, clock or SystemClock())

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await ends.cache.aclose()
        await ends.polls_cache.aclose()

    get = ["GET"]
    app = Starlette(
        routes=[
            Route("/", ends.index, methods=get),
            Route("/api/health", ends.health, methods=get),
            Route("/api/health/live", ends.live, methods=get),
            Route("/api/health/ready", ends.ready, methods=get),
            Route("/api/health/leader", ends.leader, methods=get),
            Route("/api/cluster", ends.cluster, methods=get),
            Route("/api/polls", ends.polls, methods=get),
            Route("/api/events", ends.events, methods=get),
            Route("/api/openapi.json", ends.document, methods=get),
            Route("/metrics", ends.metrics, methods=get),
            *routes,
        ],
        middleware=[Middleware(Plain)],
        exception_handlers={HTTPException: on_http_error, Exception: on_crash},
        lifespan=lifespan,
    )
    # A redirect would be made from the Host header that the client chose.
    app.router.redirect_slashes = False
    app.state.close_streams = ends.streams.close
    return app
