"""Many processes in one virtual time: their clocks, their stillness, their end, and their order."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest

from coord.testing import SimulatedConsul
from coord.testing.world import ProcessEnded, ProcessLoop, Spinning, World

REPO = Path(__file__).resolve().parents[3]


async def ticking(told: list[float], loop: ProcessLoop, every_s: float, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(every_s)
        told.append(loop.time())


def test_time_passes_only_when_nothing_else_can_happen() -> None:
    world = World()

    async def main() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    assert world.run(main(), within_s=100_000) == pytest.approx(86_400)
    assert world.happened == 1


def test_a_fast_clock_shows_more_and_waits_less() -> None:
    world = World()
    fast = world.process("fast", rate=1.05, offset=100.0)
    told: list[float] = []
    fast.create_task(ticking(told, fast, 1.05, 3))
    world.run_until(3.001)
    assert told == pytest.approx([101.05, 102.10, 103.15])
    assert world.time == 3.001


def test_what_is_due_at_one_moment_happens_in_the_order_asked() -> None:
    world = World()
    told: list[int] = []
    for number in range(5):
        world.at(1.0, lambda number=number: told.append(number))  # type: ignore[misc]
    cancelled = world.at(1.0, lambda: told.append(99))
    cancelled.cancel()
    world.run_until(2.0)
    assert told == [0, 1, 2, 3, 4]


def test_a_frozen_process_misses_nothing_and_does_nothing() -> None:
    world = World()
    loop = world.process("p")
    told: list[float] = []
    loop.create_task(ticking(told, loop, 1.0, 2))
    loop.freeze()
    world.run_until(10.0)
    assert told == []
    loop.thaw(timers_first=True)
    world.run_until(20.0)
    assert told == pytest.approx([11.0, 12.0]), "it had not even begun to wait"


@pytest.mark.parametrize("timers_first", [True, False])
def test_what_fell_due_and_what_came_are_both_there_after_a_thaw(timers_first: bool) -> None:
    world = World()
    loop = world.process("p")
    told: list[str] = []

    async def main() -> None:
        answer: asyncio.Future[None] = loop.create_future()
        answer.add_done_callback(lambda _: told.append("came"))
        loop.call_later(1.0, told.append, "due")
        world.at(2.0, lambda: answer.set_result(None))
        await asyncio.Event().wait()

    loop.create_task(main())
    world.run_until(0.5)
    loop.freeze()
    world.run_until(5.0)
    assert told == []
    loop.thaw(timers_first=timers_first)
    world.run_until(5.0)
    assert told == (["due", "came"] if timers_first else ["came", "due"])


def test_a_process_may_be_ended_just_as_it_wakes() -> None:
    world = World()
    loop = world.process("p")
    told: list[float] = []
    tasks = [loop.create_task(ticking(told, loop, 1.0, 1)) for _ in range(3)]
    world.run_until(0.5)
    loop.freeze()
    world.run_until(5.0)
    ended: list[float] = []

    def end() -> None:
        loop.kill()
        ended.append(world.time)

    loop.thaw(timers_first=True, steps=2, end=end)
    world.run_until(10.0)
    assert ended == [5.0]
    assert told == [], "two timers fired, and nothing came of them any more"
    assert not any(task.done() for task in tasks)


def test_nothing_of_a_killed_process_runs_or_complains(
    recwarn: pytest.WarningsRecorder, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World()
    loop = world.process("p")
    told: list[str] = []

    async def main() -> None:
        try:
            await asyncio.sleep(5.0)
        finally:
            await asyncio.sleep(1.0)
            told.append("cleaned up")

    loop.create_task(main())
    world.run_until(1.0)
    loop.kill()
    world.run_until(20.0)
    world.close()
    assert told == []
    assert not list(recwarn)
    assert capsys.readouterr().err == ""


def test_a_process_that_ends_itself_does_nothing_more() -> None:
    world = World()
    loop = world.process("p")
    errors: list[Any] = []
    loop.on_error = errors.append
    told: list[str] = []

    async def main() -> None:
        loop.kill()
        try:
            raise ProcessEnded
        finally:
            loop.call_soon(told.append, "went on")

    loop.create_task(main())
    world.run_until(1.0)
    world.close()
    assert (told, errors) == ([], [])


def test_what_nobody_handles_is_told() -> None:
    world = World()
    loop = world.process("p")
    errors: list[dict[str, Any]] = []
    loop.on_error = errors.append

    def fail() -> None:
        raise ValueError("nobody handles this")

    loop.call_later(1.0, fail)
    world.run_until(2.0)
    assert isinstance(errors[0]["exception"], ValueError)


def test_a_process_that_lets_no_time_pass_is_found_out() -> None:
    world = World()
    loop = world.process("p")

    async def spin() -> None:
        while True:  # noqa: ASYNC110 - it waits for nothing
            await asyncio.sleep(0)

    loop.create_task(spin())
    with pytest.raises(Spinning, match="p at 0"):
        world.run_until(1.0)


@pytest.mark.parametrize("seed", range(20))
def test_a_timer_never_fires_before_its_time_on_the_clock_of_its_process(seed: int) -> None:
    """However the moment is rounded on its way to true time and back."""
    random = Random(seed)
    world = World()
    loop = world.process("p", rate=random.uniform(0.95, 1.05), offset=random.uniform(0, 1e5))
    early: list[float] = []

    async def main() -> None:
        for _ in range(2000):
            when = loop.time() + random.uniform(0, 3)
            fired = loop.create_future()
            loop.call_at(when, fired.set_result, None)
            await fired
            if loop.time() < when:
                early.append(when)

    loop.create_task(main())
    world.run_until(10_000)
    assert early == []


def test_a_process_that_waits_for_no_time_at_all_is_found_out() -> None:
    world = World()
    loop = world.process("p")

    def again() -> None:
        loop.call_later(0.0, again)

    again()
    with pytest.raises(Spinning, match="the world at 0"):
        world.run_until(1.0)


def test_a_run_that_does_not_end_is_told() -> None:
    with pytest.raises(TimeoutError, match="10 simulated seconds"):
        World().run(asyncio.Event().wait(), within_s=10.0)


ORDER = """
import asyncio
from coord.testing.world import World

async def child(name, told):
    try:
        await asyncio.sleep(100)
    finally:
        told.append(name)

async def main():
    told = []
    try:
        async with asyncio.timeout(1), asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(child(f"c{number}", told))
    except TimeoutError:
        return told

print(World().run(main()))
"""


def test_a_task_group_is_cancelled_in_the_same_order_in_every_run() -> None:
    """In plain asyncio it is the order of the tasks' addresses."""

    def run(hash_seed: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", ORDER],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    first = run("1")
    assert first.count("'c") == 40
    assert {run("2"), run("3")} == {first}


def test_a_consul_in_a_world_as_the_package_shows_it() -> None:
    world = World()
    consul = SimulatedConsul(world, rng=Random(1))

    async def test() -> bytes:
        client = consul.client()
        await client.kv_put("key", b"value")
        await asyncio.sleep(600)
        entry = (await client.kv_get("key")).value
        assert entry is not None
        return entry.value

    assert world.run(test()) == b"value"
    assert world.time >= 600


async def _connects() -> None:
    await asyncio.open_connection("127.0.0.1", 9)


async def _waits_for_a_thread() -> None:
    await asyncio.to_thread(print)


async def _starts_a_process() -> None:
    await asyncio.create_subprocess_exec("true")


@pytest.mark.parametrize("what", [_connects, _waits_for_a_thread, _starts_a_process])
def test_what_is_outside_virtual_time_is_refused_in_words(
    what: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    with World() as world, pytest.raises(NotImplementedError, match="in virtual time; "):
        world.run(what())


FAILS = """
import random
from coord.testing import SimulatedConsul, World
from coord.testing.node import SimulatedNode
from coord.testing import be_quiet
be_quiet()
with World() as world:
    consul = SimulatedConsul(world, rng=random.Random(1))
    node = SimulatedNode.on(consul, "core-1")
    node.start()
    world.run_for(10)
    assert node.term is None, "as a test fails"
"""


def test_a_test_that_fails_says_nothing_but_that() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILS], capture_output=True, text=True, check=False, cwd=REPO
    )
    assert done.stdout == ""
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.endswith("AssertionError: as a test fails\n")
