"""Whatever Consul answers, and whatever others wrote there: the doctor says what it can, and ends.

Answers of a real Consul are spoiled on their way, one call at a time; what others may write is
written into a real Consul.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable

import httpx
import pytest
from consul_agents import ConsulAgent
from doctor_bench import TERM, Ward, ago
from rich.console import Console

from coord.consul import ConsulAddress, ConsulClient
from coord.doctor import Code, Report, Subject, render_report, to_json
from coord.records import Paths

EVIL = "\x1b[2J\x1b]0;x\x07[bold]\u202e\u2028" + "x" * 600

CALLS: dict[str, Callable[[str], bool]] = {
    "agent": lambda path: path == "/v1/agent/self",
    "agent services": lambda path: path == "/v1/agent/services",
    "candidates": lambda path: path.endswith("-candidate"),
    "leader service": lambda path: path.endswith("-coordinator"),
    "consul": lambda path: path == "/v1/health/service/consul",
    "health": lambda path: path.startswith("/v1/health/"),
    "nodes": lambda path: path == "/v1/catalog/nodes",
    "services": lambda path: path == "/v1/catalog/services",
    "sessions": lambda path: path.startswith("/v1/session/"),
    "session list": lambda path: path == "/v1/session/list",
    "leader": lambda path: path == "/v1/status/leader",
    "keys": lambda path: path.startswith("/v1/kv/"),
    "transactions": lambda path: path == "/v1/txn",
    "everything": lambda path: True,
}
ANSWERS: dict[str, tuple[int, bytes]] = {
    "a page": (200, b"<html>welcome</html>"),
    "nothing": (200, b""),
    "null": (200, b"null"),
    "an empty list": (200, b"[]"),
    "an empty object": (200, b"{}"),
    "other types": (200, b'[{"ID": 7, "Node": [], "Service": null, "Key": {}, "Value": 3}]'),
    "true": (200, b"true"),
    "deep": (200, b"[" * 100_000),
    "not text": (200, b"\xff\xfe\x00"),
    "denied": (403, b"Permission denied"),
    "not there": (404, b""),
    "too many": (429, b""),
    "broken": (500, b"rpc error"),
    "no leader": (500, b"No cluster leader"),
    "elsewhere": (302, b""),
}

BLIND = ("sessions", "everything")
"""Here the id of the scratch session is never learnt: it ends by its TTL."""


class Spoiling(httpx.AsyncBaseTransport):
    """Carries requests to a real Consul, and puts other answers in the place of some."""

    def __init__(self, spoils: Callable[[str], bool], status: int, body: bytes) -> None:
        self._inner = httpx.AsyncHTTPTransport()
        self._spoils, self._status, self._body = spoils, status, body

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if not self._spoils(request.url.path):
            return response
        await response.aread()
        return httpx.Response(self._status, content=self._body)

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.fixture
async def sound(consul: ConsulClient, name: str) -> Ward:
    ward = Ward(consul, Paths(f"{name}-x"))
    await ward.sound()
    await ward.new_session("core-9", ["serfHealth"])
    await ward.control(ward.paths.request, kind="step_down", expected_term=TERM - 1)
    return ward


def shown(report: Report) -> str:
    """The report as it would stand on a terminal, without its colours."""
    console = Console(width=100, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(render_report(report))
    return capture.get()


def is_clean(text: str) -> bool:
    """Whether nothing in it controls a terminal, or turns the writing round."""
    return all(char == "\n" or unicodedata.category(char)[0] != "C" for char in text)


@pytest.mark.parametrize("call", CALLS)
async def test_answers_that_no_consul_gives(
    consul_agent: ConsulAgent, sound: Ward, call: str
) -> None:
    for status, body in ANSWERS.values():
        transport = Spoiling(CALLS[call], status, body)
        address = ConsulAddress(consul_agent.http_url)
        async with ConsulClient(address, request_timeout_s=10.0, http=transport) as consul:
            ward = Ward(consul, sound.paths)
            report = await ward.examine(fix=True)
        assert report.findings or report.skipped or report.fine
        assert is_clean(shown(report))
        json.loads(to_json(report))
    # Whatever it was told, what it must never touch is as it was.
    leader = (await sound.consul.kv_get(sound.paths.leader)).value
    assert leader is not None
    assert leader.session == sound.sessions["core-1"]
    if call not in BLIND:
        scratch = f"{sound.paths.election} doctor-"
        assert not [s for s in await sound.consul.session_list() if s.name.startswith(scratch)]
    assert (await sound.consul.kv_keys(f"{sound.paths.root}doctor/")).value == ()
    for session in sound.sessions.values():
        assert await sound.consul.session_info(session) is not None


@pytest.mark.parametrize(
    ("denied", "unseen"),
    [
        (CALLS["candidates"], {Subject.CANDIDATES, Subject.TIMING, Subject.SERVICES}),
        (CALLS["sessions"], {Subject.SESSIONS}),
        (CALLS["keys"], {Subject.CONTROLS, Subject.AUDIT, Subject.JOURNAL}),
        (
            lambda path: path.startswith(("/v1/kv/", "/v1/txn")),
            {Subject.KEYS, Subject.LEADER, Subject.CONTROLS, Subject.AUDIT, Subject.JOURNAL},
        ),
    ],
)
async def test_what_is_kept_back_is_never_called_fine(
    consul_agent: ConsulAgent, sound: Ward, denied: Callable[[str], bool], unseen: set[Subject]
) -> None:
    address = ConsulAddress(consul_agent.http_url)
    transport = Spoiling(denied, 403, b"Permission denied")
    async with ConsulClient(address, request_timeout_s=10.0, http=transport) as consul:
        report = await Ward(consul, sound.paths).examine()
    skipped = {s.subject for s in report.skipped}
    assert unseen <= skipped
    assert not skipped & set(report.fine)


async def test_what_others_wrote(sound: Ward) -> None:
    """Names, reasons, notes and times that somebody made up, everywhere that is looked at."""
    consul, paths = sound.consul, sound.paths
    boot = "evil"
    await sound.candidate("core-3", boot=boot, session=False, state=EVIL[:100], why_not=EVIL[:100])
    await consul.session_create(
        name=f"{paths.election} candidate {EVIL}", checks=["serfHealth"], lock_delay_s=1.0
    )
    for at in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00"):
        await sound.control(paths.pause, for_ms=1000, at=at, reason=EVIL[:400], actor=EVIL[:100])
        await sound.control(
            f"{paths.audit}{at[:4]}", operation=EVIL[:60], at=at, actor=EVIL[:100], new_term=1
        )
        report = await sound.examine()
        assert is_clean(shown(report))
        json.loads(to_json(report))
    await consul.kv_put(f"{paths.control}drain/{'y' * 100}", EVIL.encode())
    await consul.kv_put(f"{paths.journal}{'z' * 200}", EVIL.encode())
    for number, body in enumerate((b"[]", b"{}", b'{"event": "x", "at_ms": -1, "term": 1e99}')):
        await consul.kv_put(f"{paths.journal}9999999999999-core-1-00000000-{number:08d}", body)
    await sound.journal(9, "core-1", at=ago(1), event=EVIL, cause=[EVIL], term=2**70)
    await consul.kv_put(paths.term, b"9" * 200)
    report = await sound.examine()
    assert is_clean(shown(report))
    assert is_clean(to_json(report))
    found = {finding.code for finding in report.findings}
    assert {
        Code.ORPHANED_SESSION,
        Code.CONTROL_UNREADABLE,
        Code.JOURNAL_UNREADABLE,
        Code.TERM_KEY_UNREADABLE,
        Code.AUDIT_UNFINISHED,
    } <= found
