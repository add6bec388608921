"""The witness as a process: what is sent to it is what it reports."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator

import pytest

from demo.line import Line
from demo.witness import Witness, WitnessError
from processes import wait_gone


@pytest.fixture
async def witness() -> AsyncIterator[Witness]:
    async with Witness() as started:
        yield started


def work(line: Line, node: str, term: int) -> None:
    line.send(line.message("work", node, term))


async def test_it_sees_an_overlap_that_was_sent(witness: Witness) -> None:
    old, new = Line(witness.address), Line(witness.address)
    work(old, "a", 1)
    work(new, "b", 2)
    work(old, "a", 1)
    newer_at = await witness.work(after=0.0, term=2)
    await witness.work(after=newer_at, term=1)
    report = await witness.report()
    assert report.overlapped
    assert [(stale.node, stale.term) for stale in report.stale] == [("a", 1)]
    assert (report.messages, report.lost, report.unreadable) == (3, 0, 0)


async def test_next_leader_waits_for_a_newer_term(witness: Witness) -> None:
    line = Line(witness.address)
    work(line, "a", 1)
    assert (await witness.next_leader()).node == "a"
    waiting = asyncio.create_task(witness.next_leader(1))
    work(line, "a", 1)
    await witness.work(after=0.0)
    assert not waiting.done()
    work(line, "b", 2)
    assert (await waiting).node == "b"


async def test_next_leader_that_never_comes_is_an_error(witness: Witness) -> None:
    with pytest.raises(WitnessError):
        await witness.next_leader(timeout_s=0.05)


async def test_work_tells_when_it_arrived(witness: Witness) -> None:
    line = Line(witness.address)
    before = time.monotonic()
    waiting = asyncio.create_task(witness.work(after=before, node="a"))
    work(line, "a", 1)
    assert before <= await waiting <= time.monotonic()


async def test_nonsense_does_not_end_it(witness: Witness) -> None:
    host, _, port = witness.address.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"nonsense", (host, int(port)))
    work(Line(witness.address), "a", 1)
    await witness.next_leader()
    assert (await witness.report()).unreadable == 1


async def test_it_ends_when_stopped(witness: Witness) -> None:
    pid = witness.pid
    await witness.stop()
    assert await asyncio.to_thread(wait_gone, pid, 10.0)
    with pytest.raises(WitnessError):
        await witness.report()


async def test_a_write_is_answered_and_one_of_an_older_term_refused(witness: Witness) -> None:
    host, _, port = witness.writes_address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))

    async def write(term: int, looked_at: float) -> dict[str, object]:
        step = {"kind": "step", "node": f"n{term}", "term": term, "pid": term, "seq": 0}
        writer.write(json.dumps(step | {"sent": looked_at}).encode() + b"\n")
        answer: dict[str, object] = json.loads(await reader.readline())
        return answer

    now = time.monotonic()
    assert await write(1, now) == {"taken": True, "newest": 1}
    assert await write(2, now) == {"taken": True, "newest": 2}
    assert await write(1, now - 5) == {"taken": False, "newest": 2}
    report = await witness.report()
    assert (report.late_count, report.refused, report.overlapped) == (1, 1, False)
    assert await write(1, time.monotonic()) == {"taken": False, "newest": 2}
    assert (await witness.report()).overlapped
    writer.close()
