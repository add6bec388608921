"""The console's Polls screen before a real fleet: schedules, who runs them, and a run now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from acceptance import FAST, Bench, MakeBench
from console_polls import tcp
from consul_agents import client_of
from control_bench import ACTOR, Hands, at_console
from rights_bench import Rights

from console.screens.polls import PollsRoom
from console.screens.run import RunScreen
from console.view.rooms import Where
from console.view.schedules import ScheduleRow
from console.widgets.lines import Lines
from coord.clock import SystemClock
from coord.polling.paths import PollPaths
from coord.polling.records import ResultRecord, ScheduleRecord
from coord.polling.store import put_schedule
from coord.rights import Role

pytestmark = [pytest.mark.long, pytest.mark.also_with_acls]

WORK = "cluster-health,poll-orchestrator,demo.work:Pulse"


async def written(bench: Bench, id: str, target: str, **fields: str) -> None:
    """A schedule whose next turn comes long after the test."""
    made = {"id": id, "interval": "168h", "checks": [tcp(target)], **fields}
    record = ScheduleRecord.model_validate({**made, "since_ms": SystemClock().wall_ms()})
    await put_schedule(bench.consul, bench.paths, record)


async def last(bench: Bench, name: str) -> ResultRecord:
    entry = (await bench.consul.kv_get(PollPaths(bench.paths).result(name))).value
    assert entry is not None
    return ResultRecord.decode(entry.value)


@asynccontextmanager
async def before_the_polls(bench: Bench, rights: Rights) -> AsyncIterator[Hands]:
    """A console with an operator's rights, on the screen that is meant."""
    token = rights.secrets.get(Role.OPERATOR)
    async with (
        client_of(rights.agent, token=token) as operator,
        at_console(bench.consul, bench.paths, by=operator, size=(160, 45)) as hands,
    ):
        await hands.until(lambda: "LEADS" in hands.headline())
        await hands.press(Where.POLLS.key)
        yield hands


def room(hands: Hands) -> PollsRoom:
    found = hands.app.rooms[Where.POLLS]
    assert isinstance(found, PollsRoom)
    return found


def rows(hands: Hands) -> dict[str, ScheduleRow]:
    return {row.id: row for row in room(hands)._rows}


async def run_now(hands: Hands, name: str) -> None:
    """Press the key on that schedule, and confirm."""
    await hands.press("home")
    async with asyncio.timeout(30):
        while hands.app.schedule_under_cursor != name:
            await hands.press("down")
    await hands.press("r")
    await hands.until(lambda: isinstance(hands.app.screen, RunScreen))
    await hands.reads("run once, out of turn")
    await hands.press("left", "enter")


async def test_a_run_now_is_pressed_and_its_result_is_seen(
    make_bench: MakeBench, rights: Rights
) -> None:
    bench = await make_bench(env=FAST, workloads=WORK)
    await bench.fleet.start("core-1", "poller-1")
    await bench.working_leader()
    async with before_the_polls(bench, rights) as hands:
        await hands.until(lambda: "no schedules" in "\n".join(hands.picture()))
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        await written(bench, "open", f"{host}:{port}", name="Somebody listens")
        # Each runs once when it comes, as its first turn is due then.
        await hands.until(lambda: "open" in rows(hands) and rows(hands)["open"].runs)
        assert rows(hands)["open"].outcome == "up"
        assert rows(hands)["open"].poller == "poller-1"
        panel = str(room(hands).query_one("#pollers", Lines).render())
        assert "● poller-1  0 of" in panel
        before = await last(bench, "open")

        await run_now(hands, "open")
        await hands.reads("✔ up")
        assert "run: attempt 1 at poller-1" in hands.text
        after = await last(bench, "open")
        assert (after.runs, after.asked_runs) == (before.runs + 1, before.asked_runs + 1)
        assert after.due_ms == before.due_ms
        await hands.press("escape")
        await hands.until(lambda: rows(hands)["open"].runs == after.runs)

        await hands.press(Where.AUDIT.key)
        await hands.until(lambda: "● asked" in "\n".join(hands.picture()))
        shown = "\n".join(hands.picture())
        assert "schedule_run" in shown
        assert ACTOR in shown
        await hands.press(Where.POLLS.key)

        # Nobody listens there any more: the run that is asked for finds it.
        server.close()
        await server.wait_closed()
        await run_now(hands, "open")
        await hands.reads("✖ down: refused")
        await hands.press("escape")
        await hands.until(lambda: rows(hands)["open"].outcome == "down: refused")
        assert list(rows(hands)) == ["open"]
        assert (await last(bench, "open")).asked_runs == before.asked_runs + 2


async def test_without_a_leader_it_is_refused_and_without_a_poller_unanswered(
    make_bench: MakeBench, rights: Rights
) -> None:
    bench = await make_bench(env=FAST, workloads=WORK)
    await bench.fleet.start("core-1")
    leader, _ = await bench.working_leader()
    await written(bench, "db", "127.0.0.1:9")
    async with before_the_polls(bench, rights) as hands:
        await hands.until(lambda: "db" in rows(hands) and rows(hands)["db"].runs)
        assert rows(hands)["db"].outcome == "no answer: no_poller"
        await run_now(hands, "db")
        await hands.reads("no answer: no_poller")
        assert "no poller's check passes" in hands.text
        await hands.press("escape")
        await leader.stop()
        await hands.until(lambda: hands.app.snapshot.status and not locked(hands))
        await hands.press("r")
        await hands.reads("✖ not now: nobody leads")


def locked(hands: Hands) -> bool:
    status = hands.app.snapshot.status
    return status is not None and status.leader.locked
