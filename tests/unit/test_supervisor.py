"""The supervisor in virtual time: restarts, children that come and go, progress."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from supervisor_bench import FOREVER, Bench, Stubborn, Work
from virtual_time import settle, virtual

from coord.leadership import Leadership, LeadershipLost
from coord.restart_policy import Restart, RestartPolicy
from coord.supervisor import (
    ChildSpec,
    ChildState,
    CoordinatorSupervisor,
    FailureReason,
)

Run = Callable[[Leadership], Awaitable[None]]


async def returns(leadership: Leadership) -> None:
    """Ends at once."""


async def raises(leadership: Leadership) -> None:
    raise ValueError("broken")


async def exits(leadership: Leadership) -> None:
    raise SystemExit(3)


async def cancels_itself(leadership: Leadership) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def awaits_something_cancelled(leadership: Leadership) -> None:
    future: asyncio.Future[None] = asyncio.Future()
    future.cancel()
    await future


async def raises_in_a_group(leadership: Leadership) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(FOREVER))
        group.create_task(raises(leadership))


def raises_without_awaiting(leadership: Leadership) -> Awaitable[None]:
    raise ValueError("broken")


CRASHES: list[Run] = [
    raises,
    exits,
    cancels_itself,
    awaits_something_cancelled,
    raises_in_a_group,
    raises_without_awaiting,
]

# --- restarts ---


@pytest.mark.parametrize("run", [returns, *CRASHES])
@pytest.mark.parametrize("restart", list(Restart))
@virtual
async def test_each_kind_of_child_at_each_exit(run: Run, restart: Restart) -> None:
    bench = Bench(RestartPolicy(max_restarts=1))
    await bench.start(ChildSpec("child", run, restart=restart))
    await settle()
    crashed = run is not returns
    restarted = restart is Restart.PERMANENT or (restart is Restart.TRANSIENT and crashed)
    (status,) = bench.supervisor.status()
    assert (status.last_error is not None) is crashed
    if restarted:  # it does the same again, which is once more than allowed
        assert bench.kinds_told() == ["restarted", "failed"]
        assert bench.told[-1] == ("failed", FailureReason.RESTART_LIMIT, "child")
        assert (status.state, status.restarts) == (ChildState.FAILED, 1)
    else:
        assert bench.kinds_told() == ["ended"]
        assert (status.state, status.restarts) == (ChildState.ENDED, 0)
    assert (await bench.supervisor.stop()).complete


@virtual
async def test_a_crash_restarts_that_child_alone_and_at_once() -> None:
    bench = Bench()
    a, b = Work("a"), Work("b")
    await bench.start(a.spec(), b.spec())
    before = bench.clock.now()
    a.order.set_result(ValueError("broken"))
    await settle()
    assert bench.clock.now() == before
    assert (a.starts, b.starts) == (2, 1)
    assert bench.told == [("restarted", "a", "ValueError: broken", 1)]
    assert a.handles[0] is not a.handles[1]
    assert bench.states() == {"a": ChildState.RUNNING, "b": ChildState.RUNNING}
    assert (await bench.supervisor.stop()).ended == ("b", "a")


@virtual
async def test_restarts_of_all_children_count_together_and_the_failure_is_told_once() -> None:
    bench = Bench(RestartPolicy(max_restarts=2, within_s=5.0))
    works = [Work("a"), Work("b")]
    await bench.start(*(work.spec() for work in works))
    for n in range(5):
        order = works[n % 2].order
        if not order.done():
            order.set_result(ValueError("broken"))
        await settle()
    assert [work.starts for work in works] == [2, 2]
    assert bench.kinds_told() == ["restarted", "restarted", "failed"]
    assert bench.told[-1] == ("failed", FailureReason.RESTART_LIMIT, "a")


@pytest.mark.parametrize(("pause_s", "given_up"), [(2.5, True), (2.51, False)])
@virtual
async def test_the_window_moves_on(pause_s: float, given_up: bool) -> None:
    bench = Bench(RestartPolicy(max_restarts=2, within_s=5.0))
    work = Work()
    await bench.start(work.spec())
    for _ in range(20):
        if not work.order.done():
            work.order.set_result(ValueError("broken"))
        await asyncio.sleep(pause_s)
    assert ("failed" in bench.kinds_told()) is given_up
    assert work.starts == (3 if given_up else 21)
    await bench.supervisor.stop()


@virtual
async def test_a_callback_that_fails_does_not_disturb_the_work() -> None:
    bench = Bench()
    handled: list[object] = []
    bench.clock.loop.set_exception_handler(lambda loop, context: handled.append(context))
    supervisor = CoordinatorSupervisor(
        RestartPolicy(),
        bench.clock,
        on_failed=lambda reason, child: None,
        on_child_restarted=lambda child, error, n: 1 // 0,  # type: ignore[arg-type]
    )
    work = Work()
    await supervisor.start([work.spec()], bench.leadership)
    await settle()
    work.order.set_result(ValueError("broken"))
    await settle()
    assert work.starts == 2
    assert len(handled) == 1
    assert (await supervisor.stop()).complete


# --- children that come and go ---


@virtual
async def test_a_child_can_be_started_and_stopped_while_leading() -> None:
    bench = Bench()
    a, b = Work("a"), Work("b")
    await bench.start(a.spec())
    await bench.supervisor.start_child(b.spec())
    await settle()
    assert b.handles[0].term == bench.leadership.term
    assert await bench.supervisor.stop_child("a")
    assert a.log[-1] == "a stops"
    assert bench.states() == {"b": ChildState.RUNNING}
    assert bench.told == []
    with pytest.raises(ValueError, match="'a'"):
        await bench.supervisor.stop_child("a")
    await bench.supervisor.start_child(a.spec())
    await settle()
    assert (await bench.supervisor.stop()).ended == ("a", "b")
    with pytest.raises(RuntimeError):
        await bench.supervisor.start_child(b.spec())


@virtual
async def test_a_child_that_runs_cannot_be_started_twice_one_that_ended_can() -> None:
    bench = Bench()
    work = Work()
    await bench.start(work.spec(restart=Restart.TEMPORARY))
    with pytest.raises(ValueError, match="'work'"):
        await bench.supervisor.start_child(work.spec())
    work.order.set_result(None)
    await settle()
    await bench.supervisor.start_child(work.spec())
    await settle()
    assert work.starts == 2


@virtual
async def test_a_child_that_does_not_end_when_stopped_alone_stays_known() -> None:
    bench = Bench()
    stubborn = Stubborn()
    await bench.start(ChildSpec("child", stubborn.run, stop_timeout_s=1.0))
    await settle()
    assert not await bench.supervisor.stop_child("child")
    assert bench.states() == {"child": ChildState.NOT_ENDED}
    assert (await bench.supervisor.stop()).not_ended == ("child",)
    stubborn.let_go.set_result(None)


@virtual
async def test_start_child_needs_the_lease() -> None:
    bench = Bench()
    await bench.start()
    bench.lease.suspend()
    with pytest.raises(LeadershipLost):
        await bench.supervisor.start_child(Work().spec())
    assert bench.states() == {}


@virtual
async def test_start_refuses_what_is_wrong() -> None:
    bench = Bench()
    with pytest.raises(ValueError, match="twin"):
        await bench.start(Work("twin").spec(), Work("twin").spec())
    await bench.start()
    with pytest.raises(RuntimeError):
        await bench.start()


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"stop_timeout_s": 0.0},
        {"stop_timeout_s": FOREVER},
        {"progress_timeout_s": -1.0},
    ],
)
def test_impossible_specs_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ChildSpec(**{"id": "child", "run": returns, **wrong})


# --- progress ---


@virtual
async def test_a_child_without_progress_is_told_once_and_in_time() -> None:
    bench = Bench()
    started = bench.clock.now()
    told_at: list[float] = []

    def on_failed(reason: FailureReason, child: str) -> None:
        told_at.append(bench.clock.now())
        bench.told.append((reason, child))

    supervisor = CoordinatorSupervisor(RestartPolicy(), bench.clock, on_failed=on_failed)
    await supervisor.start([Work().spec(progress_timeout_s=4.0)], bench.leadership)
    await asyncio.sleep(60)
    assert bench.told == [(FailureReason.NO_PROGRESS, "work")]
    assert told_at == [pytest.approx(started + 4.0)]
    assert (await supervisor.stop()).complete


@virtual
async def test_progress_keeps_a_child_in_good_standing() -> None:
    bench = Bench()

    async def run(leadership: Leadership) -> None:
        for _ in range(20):
            leadership.progress()
            await asyncio.sleep(3.9)
        await asyncio.sleep(FOREVER)

    await bench.start(ChildSpec("child", run, progress_timeout_s=4.0))
    await asyncio.sleep(19 * 3.9 + 3.9)
    assert bench.told == []
    await asyncio.sleep(4.0)
    assert bench.told == [("failed", FailureReason.NO_PROGRESS, "child")]


@virtual
async def test_a_restarted_child_has_its_whole_time_again() -> None:
    bench = Bench()
    work = Work()
    await bench.start(work.spec(progress_timeout_s=4.0))
    await asyncio.sleep(3.0)
    work.order.set_result(ValueError("broken"))
    await asyncio.sleep(3.5)
    assert bench.kinds_told() == ["restarted"]
    await asyncio.sleep(1.0)
    assert bench.kinds_told() == ["restarted", "failed"]


@virtual
async def test_one_childs_progress_does_not_count_for_another() -> None:
    bench = Bench()

    async def busy(leadership: Leadership) -> None:
        while True:
            leadership.progress()
            await asyncio.sleep(1.0)

    await bench.start(
        ChildSpec("busy", busy, progress_timeout_s=4.0), Work("stuck").spec(progress_timeout_s=4.0)
    )
    await asyncio.sleep(30)
    assert bench.told == [("failed", FailureReason.NO_PROGRESS, "stuck")]
    await bench.supervisor.stop()


@pytest.mark.parametrize("stuck", [True, False])
@virtual
async def test_a_pause_of_the_whole_process_is_not_held_against_the_child(stuck: bool) -> None:
    bench = Bench()

    async def run(leadership: Leadership) -> None:
        # The first round waits for longer than what is left after the pause began.
        while True:
            leadership.progress()
            await asyncio.sleep(FOREVER if stuck else 3.0)

    await bench.start(ChildSpec("child", run, progress_timeout_s=4.0))
    await asyncio.sleep(0.5)
    bench.clock.jump(20.0)
    await asyncio.sleep(60.0)
    assert bench.told == ([("failed", FailureReason.NO_PROGRESS, "child")] if stuck else [])
    await bench.supervisor.stop()


@virtual
async def test_pauses_excuse_a_child_only_once() -> None:
    bench = Bench()
    await bench.start(Work().spec(progress_timeout_s=4.0))
    for _ in range(2):
        await asyncio.sleep(0.5)
        assert bench.told == []
        bench.clock.jump(20.0)
    await asyncio.sleep(0.5)
    assert bench.told == [("failed", FailureReason.NO_PROGRESS, "work")]


@virtual
async def test_without_the_lease_no_progress_is_asked_for() -> None:
    bench = Bench()
    await bench.start(Work().spec(progress_timeout_s=4.0))
    await settle()
    bench.lease.suspend()
    await asyncio.sleep(60)
    assert bench.told == []
    bench.lease.extend(FOREVER)
    await asyncio.sleep(6)
    assert bench.told == [("failed", FailureReason.NO_PROGRESS, "work")]


@virtual
async def test_an_ended_child_owes_no_progress() -> None:
    bench = Bench()
    await bench.start(
        ChildSpec("child", returns, restart=Restart.TEMPORARY, progress_timeout_s=1.0)
    )
    await asyncio.sleep(60)
    assert bench.kinds_told() == ["ended"]
