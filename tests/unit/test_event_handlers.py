"""Handlers of events that users bring: nobody waits for them, whatever they do."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coord.config import Settings
from coord.config.values import HostPort
from coord.event_handlers import HandlerContext, load_handlers
from coord.identity import make_identity
from coord.plugins import PluginError
from coord.telemetry import BecameLeader, Event
from coord.telemetry.own_thread import QUEUE_LENGTH, OwnThread

SETTINGS = Settings(environ={}, node="core-1")
CONTEXT = HandlerContext(
    SETTINGS, make_identity(SETTINGS, boot_id="b" * 32, bound=HostPort("127.0.0.1", 1))
)
LONG_S = 30.0  # far more than it takes; waited for only where something is broken

SOURCE = """
heard = []

def chat(context):
    return lambda event: heard.append((context.identity.node, event.term))

def none(context):
    return None

def picky(context):
    raise RuntimeError("no chat")
"""


def event(term: int) -> Event:
    return BecameLeader(term=term)


async def closed(apart: OwnThread) -> None:
    apart.close()
    await apart.drained(LONG_S)


async def test_events_come_in_order_and_all_of_them_before_the_end() -> None:
    heard: list[int | None] = []
    apart = OwnThread(lambda event: heard.append(event.term))
    for term in range(100):
        apart(event(term))
    await closed(apart)
    assert heard == list(range(100))


async def test_whoever_tells_does_not_wait_for_a_handler_that_hangs() -> None:
    begun, go_on = threading.Event(), threading.Event()
    heard: list[int | None] = []

    def hang(event: Event) -> None:
        begun.set()
        assert go_on.wait(LONG_S)
        heard.append(event.term)

    apart = OwnThread(hang)
    apart(event(0))
    assert await asyncio.to_thread(begun.wait, LONG_S)
    for term in range(1, QUEUE_LENGTH + 4):
        apart(event(term))
    assert apart.dropped == 3
    assert heard == []
    apart.close()
    await apart.drained(0.01)  # that it does not come back is no reason to stay
    assert heard == []
    go_on.set()
    await apart.drained(LONG_S)
    assert heard == list(range(QUEUE_LENGTH + 1))


async def test_a_coroutine_is_run_on_a_loop_that_is_not_the_nodes() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def handle(event: Event) -> None:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())

    apart = OwnThread(handle)
    apart(event(1))
    apart(event(2))
    await closed(apart)
    assert len(loops) == 2
    assert loops[0] is loops[1] is not asyncio.get_running_loop()


@pytest.mark.parametrize("error", [ValueError("a"), SystemExit(1), asyncio.CancelledError()])
async def test_what_it_raises_is_counted_told_once_and_harms_no_later_event(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int | None] = []

    async def fail(event: Event) -> None:
        heard.append(event.term)
        raise error

    apart = OwnThread(fail)
    with caplog.at_level(logging.ERROR, "coord.telemetry"):
        for term in (1, 2, 3):
            apart(event(term))
        await closed(apart)
    assert heard == [1, 2, 3]
    assert apart.failures == 3
    assert len(caplog.records) == 1


async def test_after_the_end_nothing_is_taken() -> None:
    heard: list[Event] = []
    apart = OwnThread(heard.append)
    apart(event(1))
    await closed(apart)
    apart(event(2))
    assert len(heard) == 1
    unused = OwnThread(heard.append)
    await closed(unused)


# -- by name ---------------------------------------------------------------------------------


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "acme_chat.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "acme_chat"
    sys.modules.pop("acme_chat", None)


def test_it_is_made_with_what_it_may_know(acme: str) -> None:
    (handler,) = load_handlers([f"{acme}:chat"], CONTEXT)
    handler(event(7))
    assert sys.modules[acme].heard == [("core-1", 7)]


@pytest.mark.parametrize("attribute", ["none", "picky", "missing", "heard"])
def test_what_is_none_is_named_with_its_setting(acme: str, attribute: str) -> None:
    with pytest.raises(PluginError) as caught:
        load_handlers([f"{acme}:{attribute}"], CONTEXT)
    assert caught.value.field == "event_handlers"
    assert f"{acme}:{attribute}" in str(caught.value)
