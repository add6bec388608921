"""A poller: runs the checks that the leader sends, and refuses leaders of older terms.

``POST /v1/poll`` takes a `PollRequest` and answers 200 with a `PollReply`. Otherwise it answers
with ``{"code": …, "detail": …}``, for wrong fields with ``"field"`` too:

| status | code | meaning |
|---|---|---|
| 400 | bad_json | the body is not JSON |
| 401 | not_permitted | the bearer token is missing or wrong |
| 403 | foreign_host | no token is set, and `Host` is neither loopback nor the advertised host |
| 403 | foreign_origin | no token is set, and there is an `Origin`: it is sent for a web page |
| 408 | too_slow | the body did not arrive in time |
| 409 | older_term | a newer term was seen, or stands in the term key |
| 409 | unknown_term | the term key stands at an older term: nobody was given this one |
| 409 | other_election | this poller serves another election |
| 413 | too_large | the body is too large |
| 415 | not_json | the content type is not JSON |
| 422 | bad_field | a field is wrong |
| 422 | other_checks | that attempt was asked for before, with other checks: it is not run twice |
| 429 | busy | it runs as many polls as it may: shed, nothing is queued |
| 503 | stopping | it is ending |

``GET /health/live`` answers 200. The routes are mounted in the node's one server.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
from typing import Any

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coord.config import Problem, Settings, SettingsError
from coord.config.values import HostPort, InvalidValueError, parse_host_port
from coord.consul import Consistency, ConsulError, KVEntry
from coord.polling.answers import Answers, Attempt, OtherChecksError
from coord.polling.checks import CheckRunner
from coord.polling.dialling import Dialler
from coord.polling.events import AttemptBegun
from coord.polling.fence import Seen
from coord.polling.kinds import CheckContext, load_kinds
from coord.polling.networks import Networks
from coord.polling.records import PollReply, PollRequest, clip
from coord.records import RecordError, decode_term
from coord.telemetry.lasting_fault import LastingFault
from coord.telemetry.logs import log_fault
from coord.workloads import WorkContext

MAX_BODY_BYTES = 64 * 1024
BODY_TIMEOUT_S = 5.0
DRAIN_S = 2.0
TERM_READ_S = 1.0
"""How long the term key may be read for, in seconds, before a new term is taken on trust."""

_log = logging.getLogger("coord.polling.poller")


def check_listen(settings: Settings) -> None:
    """A poller that others can reach must ask for a token.

    Raises:
        SettingsError: it listens on more than loopback, and no token is set.
    """
    if settings.poller_token is None and not settings.listen.is_loopback:
        problem = f"a poller that listens on {settings.listen} must demand a token"
        fix = "set COORDINATOR_POLLER_TOKEN, the same on all nodes, or listen on 127.0.0.1"
        source = settings.sources.get("listen")
        raise SettingsError((Problem("listen", source, problem, fix),))


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """A request that is answered with an error. `extra` goes into the body."""

    def __init__(self, status: int, code: str, detail: str, **extra: object) -> None:
        super().__init__(status, code, detail)
        self.status = status
        self.body = {"code": code, "detail": clip(detail), **extra}


class Poller:
    """What a poller knows and does; `routes` mounts it. Close it at the end.

    Attributes:
        polls, shed, refused: how many requests it ran, shed as busy, and refused for their term.

    Raises:
        PluginError: a kind of check that the settings name cannot be used.
    """

    def __init__(self, context: WorkContext, *, body_timeout_s: float = BODY_TIMEOUT_S) -> None:
        self._body_timeout_s = body_timeout_s
        token = context.settings.poller_token
        self._token = None if token is None else token.get_secret_value().encode()
        self._advertised = parse_host_port(context.identity.advertise).host.lower()
        self._capacity = context.settings.poller_capacity
        self._election = context.identity.election
        self._node = context.identity.node
        self._consul = context.consul
        self._clock = context.clock
        self._telemetry = context.telemetry
        self._paths = context.paths
        self._faults = LastingFault(context.clock, log_fault)
        self._answers = Answers()
        self._runner = _make_runner(context)
        self._stopping = False
        self._closed = False
        self._seen = Seen()
        self.polls = 0
        self.shed = 0
        self.refused = 0

    @property
    def seen_term(self) -> int:
        """The newest term it knows of; older ones are refused. 0: none yet."""
        return self._seen.term

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of check that it has."""
        return self._runner.kinds

    @property
    def running(self) -> int:
        """How many polls run at this moment."""
        return self._answers.running

    def stop(self) -> None:
        """Take no new polls; those that run go on."""
        self._stopping = True

    async def aclose(self) -> None:
        """Take no new polls, let those that run end for at most `DRAIN_S`, close connections."""
        self.stop()
        if running := self._answers.to_come():
            await asyncio.wait(running, timeout=DRAIN_S)
        self._closed = True
        await self._runner.aclose()

    def take_term(self, entry: KVEntry | None) -> int | None:
        """Note what the term key holds; gives the term, None if there is none to be read.

        Never lowers `seen_term`, however the key was read: see `confirm_term`.
        """
        read = self._decode(entry)
        if read is None:
            return None
        self._seen = self._seen.raised(read)
        return read.term

    async def confirm_term(self) -> bool:
        """Read the term key consistently; lowers `seen_term` if Consul itself went back.

        False: it could not be read.
        """
        before = self._seen
        try:
            reply = await self._consul.kv_get(
                self._paths.term, consistency=Consistency.CONSISTENT, deadline_s=TERM_READ_S
            )
        except ConsulError as error:
            _log.debug("the term key could not be confirmed: %s", error)
            return False
        read = self._decode(reply.value)
        if read is None:
            return True
        known, self._seen = self._seen, self._seen.confirmed(before, read)
        if self._seen.term < known.term:
            _log.warning(
                "Consul went back: the term key stands at %d, after term %d was seen; polls of %d "
                "and later are taken from now on",
                read.term,
                before.term,
                read.term,
            )
        return True

    def _decode(self, entry: KVEntry | None) -> Seen | None:
        if entry is None:
            return None
        try:
            term = decode_term(entry.value)
        except RecordError as error:
            self._faults.happened("term_unreadable", str(error))
            return None
        self._faults.over("term_unreadable")
        return Seen(term, entry.create_index, entry.modify_index)

    async def poll(self, request: Request) -> Response:
        """Answer ``POST /v1/poll``."""
        try:
            reply = await self._poll(request)
        except Refusal as refusal:
            return JSONResponse(refusal.body, refusal.status)
        return Response(reply.encode(), media_type="application/json")

    async def live(self, request: Request) -> Response:
        """Answer ``GET /health/live``."""
        return JSONResponse({"status": "live", "node": self._node})

    async def _poll(self, request: Request) -> PollReply:
        self._check_token(request)
        asked = _parse(await _read_body(request, self._body_timeout_s))
        if asked.election != self._election:
            raise Refusal(409, "other_election", f"this poller serves election {self._election}")
        await self._check_term(asked.term)
        attempt = Attempt.of(asked)
        try:
            known = self._answers.known(attempt)
        except OtherChecksError:
            problem = f"attempt {asked.attempt} of {asked.job} had other checks"
            raise Refusal(422, "other_checks", problem) from None
        if isinstance(known, PollReply):
            return known
        if known is not None:
            return await self._await_first(known)
        if self._stopping:
            raise Refusal(503, "stopping", "this poller is ending")
        if self._answers.running >= self._capacity:
            self.shed += 1
            raise Refusal(429, "busy", f"it runs {self._capacity} polls already")
        return await self._run(asked, attempt)

    async def _run(self, asked: PollRequest, attempt: Attempt) -> PollReply:
        self.polls += 1
        started = self._clock.now()
        self._answers.begin(attempt)
        self._telemetry.emit(AttemptBegun(term=asked.term, job=asked.job, attempt=asked.attempt))
        try:
            results = await self._runner.run_all(asked.checks, asked.timeout_ms / 1000)
            if self._closed:
                # Our own end may have cut the checks: that says nothing about their targets.
                raise Refusal(503, "stopping", "this poller ended while it ran the checks")
            now = self._clock.now()
            reply = PollReply(
                job=asked.job,
                attempt=asked.attempt,
                term=asked.term,
                poller=self._node,
                took_ms=round((now - started) * 1000, 3),
                results=results,
            )
            self._answers.finish(attempt, reply, now)
            return reply
        finally:
            self._answers.drop(attempt)

    async def _await_first(self, first: asyncio.Future[PollReply]) -> PollReply:
        await asyncio.wait((first,))
        if first.cancelled():
            raise Refusal(503, "stopping", "the first of these requests was called off")
        return first.result()

    def _check_token(self, request: Request) -> None:
        if self._token is None:
            self._check_sender(request)
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # Headers are decoded as latin-1, so this gives back the bytes that were sent.
        same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), self._token)
        if scheme.lower() != "bearer" or not same:
            raise Refusal(401, "not_permitted", "the bearer token is missing or wrong")

    def _check_sender(self, request: Request) -> None:
        """Without a token: that no web page sends it, whatever name it gave to our address."""
        if "origin" in request.headers:
            raise Refusal(403, "foreign_origin", "a web page may not ask a poller without a token")
        given = request.headers.getlist("host")
        host = _host_of(given[0]) if len(given) == 1 else None
        if host is None or not (host.is_loopback or host.host == self._advertised):
            raise Refusal(403, "foreign_host", f"ask for {self._advertised}, or set a token")

    async def _check_term(self, term: int) -> None:
        if term < self.seen_term:
            await self.confirm_term()
        if term > self.seen_term:
            granted = await self._read_term()
            if granted is not None and term > granted:
                # Taking it on trust would lock the real leader out.
                self.refused += 1
                raise Refusal(
                    409, "unknown_term", f"the term key stands at {granted}", seen=granted
                )
        if term < self.seen_term:
            self.refused += 1
            raise Refusal(409, "older_term", f"term {self.seen_term} was seen", seen=self.seen_term)
        self._seen = self._seen.raised(Seen(term))

    async def _read_term(self) -> int | None:
        """What the term key says now; None if it does not say: then a new term is believed."""
        try:
            reply = await self._consul.kv_get(self._paths.term, deadline_s=TERM_READ_S)
        except ConsulError as error:
            _log.debug("the term key could not be read: %s", error)
            return None
        return self.take_term(reply.value)


def _make_runner(context: WorkContext) -> CheckRunner:
    settings = context.settings
    dialler = Dialler(Networks.of(settings.poller_forbidden_networks))
    its = CheckContext(settings, context.identity, context.clock, dialler)
    kinds = load_kinds(settings.poller_checks, its)
    return CheckRunner(context.clock, dialler=dialler, kinds=kinds)


def routes(poller: Poller) -> list[Route]:
    """What a node's server mounts for its poller."""
    return [
        Route("/v1/poll", poller.poll, methods=["POST"]),
        Route("/health/live", poller.live, methods=["GET"]),
    ]


def _host_of(header: str) -> HostPort | None:
    """What `Host` names; None: nothing that is a host."""
    for text in (header, f"{header}:80"):
        with contextlib.suppress(InvalidValueError):
            return parse_host_port(text.lower())
    return None


async def _read_body(request: Request, timeout_s: float) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # Also keeps a web page from sending one: browsers ask first for this type.
        raise Refusal(415, "not_json", "send it as application/json")
    length = request.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length[:20]) > MAX_BODY_BYTES:
        raise Refusal(413, "too_large", f"at most {MAX_BODY_BYTES} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise Refusal(413, "too_large", f"at most {MAX_BODY_BYTES} bytes")
    except TimeoutError:
        raise Refusal(408, "too_slow", f"the body took over {timeout_s:g} s") from None
    except ClientDisconnect:
        raise Refusal(400, "bad_json", "the request ended early") from None
    return bytes(body)


def _parse(body: bytes) -> PollRequest:
    try:
        return PollRequest.model_validate_json(body)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        raise Refusal(400, "bad_json", first["msg"])
    field = ".".join(str(part) for part in first["loc"])
    raise Refusal(422, "bad_field", f"{field}: {first['msg']}", field=clip(field))
