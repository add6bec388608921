"""The supervisor in virtual time: stopping, and what it does when leading ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from supervisor_bench import FOREVER, Bench, Stubborn, Work
from virtual_time import settle, virtual

from coord.leadership import Leadership, LeadershipLost
from coord.restart_policy import Restart, RestartPolicy
from coord.supervisor import (
    LAST_CHANCE_S,
    ChildSpec,
    ChildState,
    StopReport,
)

Run = Callable[[Leadership], Awaitable[None]]


# --- stopping ---


@virtual
async def test_children_stop_one_after_the_other_in_reverse_order() -> None:
    bench = Bench()
    log: list[str] = []
    await bench.start(*(Work(name, log, cleanup_s=1.0).spec() for name in "abc"))
    await settle()
    log.clear()
    report = await bench.supervisor.stop()
    assert report == StopReport(ended=("c", "b", "a"), not_ended=())
    assert report.complete
    expected = ["c is told", "c stops", "b is told", "b stops", "a is told", "a stops"]
    assert log == expected
    assert set(bench.states().values()) == {ChildState.ENDED}
    assert not bench.supervisor.running
    assert bench.told == []


@virtual
async def test_without_the_lease_all_are_told_at_once() -> None:
    bench = Bench()
    log: list[str] = []
    await bench.start(*(Work(name, log, cleanup_s=1.0).spec() for name in "abc"))
    await settle()
    log.clear()
    bench.lease.suspend()
    before = bench.clock.now()
    assert (await bench.supervisor.stop()).complete
    assert log[:3] == ["c is told", "b is told", "a is told"]
    assert bench.clock.now() - before == pytest.approx(1.0)


@virtual
async def test_stopped_means_ended() -> None:
    bench = Bench()
    work = Work(cleanup_s=4.9)
    await bench.start(work.spec(stop_timeout_s=5.0))
    await settle()
    before = bench.clock.now()
    assert (await bench.supervisor.stop()).complete
    assert work.log[-1] == "work stops"
    assert bench.clock.now() - before == pytest.approx(4.9)


@virtual
async def test_a_child_that_swallows_cancellation_is_reported_not_ended() -> None:
    bench = Bench()
    stubborn, work = Stubborn(), Work()
    await bench.start(work.spec(), ChildSpec("stubborn", stubborn.run, stop_timeout_s=2.0))
    await settle()
    before = bench.clock.now()
    report = await bench.supervisor.stop()
    assert report == StopReport(ended=("work",), not_ended=("stubborn",))
    assert not report.complete
    assert bench.clock.now() - before == pytest.approx(2.0 + LAST_CHANCE_S)
    assert bench.states()["stubborn"] is ChildState.NOT_ENDED
    with pytest.raises(RuntimeError):
        await bench.start()
    stubborn.let_go.set_result(None)
    assert await bench.supervisor.stop() == StopReport(ended=("stubborn", "work"), not_ended=())
    assert bench.states()["stubborn"] is ChildState.ENDED
    await bench.start(work.spec())
    assert bench.states() == {"work": ChildState.RUNNING}


@virtual
async def test_a_child_that_loses_one_cancellation_gets_another() -> None:
    bench = Bench()
    await bench.start(ChildSpec("child", Stubborn(swallows=1).run, stop_timeout_s=2.0))
    await settle()
    before = bench.clock.now()
    assert (await bench.supervisor.stop()).complete
    assert bench.clock.now() - before == pytest.approx(2.0)


@virtual
async def test_the_deadline_bounds_all_children_together() -> None:
    bench = Bench()
    stubborn = [Stubborn() for _ in range(3)]
    work = Work()
    specs = [ChildSpec(f"s{n}", s.run, stop_timeout_s=10.0) for n, s in enumerate(stubborn)]
    await bench.start(work.spec(), *specs)
    await settle()
    deadline = bench.clock.now() + 3.0
    report = await bench.supervisor.stop(deadline)
    assert bench.clock.now() == pytest.approx(deadline)
    assert report == StopReport(ended=("work",), not_ended=("s2", "s1", "s0"))
    for each in stubborn:
        each.let_go.set_result(None)


@virtual
async def test_a_second_stop_shortens_the_first() -> None:
    bench = Bench()
    a, b = Work("a"), Work("b", cleanup_s=50.0)
    await bench.start(a.spec(), b.spec(stop_timeout_s=60.0))
    await settle()
    first = asyncio.create_task(bench.supervisor.stop())
    await settle()
    assert a.log == ["a starts"]
    bench.lease.suspend()
    deadline = bench.clock.now() + 1.0
    # The last chance at the deadline interrupts b's cleaning up.
    assert await bench.supervisor.stop(deadline) == StopReport(ended=("b", "a"), not_ended=())
    assert bench.clock.now() == pytest.approx(deadline)
    assert (await first).complete
    assert "b stops" not in b.log


@virtual
async def test_a_stop_that_was_cancelled_can_be_finished() -> None:
    bench = Bench()
    work = Work(cleanup_s=2.0)
    await bench.start(work.spec())
    await settle()
    first = asyncio.create_task(bench.supervisor.stop())
    await settle()
    first.cancel()
    assert (await bench.supervisor.stop()).complete
    assert work.log == ["work starts", "work is told", "work stops"]


@virtual
async def test_a_crash_while_stopping_is_kept_and_not_restarted() -> None:
    bench = Bench()

    async def run(leadership: Leadership) -> None:
        try:
            await asyncio.sleep(FOREVER)
        finally:
            raise ValueError("cleaning up went wrong")

    await bench.start(ChildSpec("child", run))
    await settle()
    assert (await bench.supervisor.stop()).complete
    await settle()
    (status,) = bench.supervisor.status()
    assert status.last_error == "ValueError: cleaning up went wrong"
    assert (status.state, status.restarts) == (ChildState.ENDED, 0)
    assert bench.told == []


@pytest.mark.parametrize("alone", [True, False])
@virtual
async def test_a_crash_at_the_moment_of_the_stop_is_not_restarted(alone: bool) -> None:
    bench = Bench()

    async def run(leadership: Leadership) -> None:
        raise ValueError("broken")

    await bench.supervisor.start([ChildSpec("child", run)], bench.leadership)
    # One step: the task is done, and what follows from that has not been called yet.
    await asyncio.sleep(0)
    if alone:
        assert await bench.supervisor.stop_child("child")
    else:
        assert (await bench.supervisor.stop()).complete
    await settle()
    assert bench.told == []


@virtual
async def test_stopping_twice_and_stopping_nothing_is_fine() -> None:
    bench = Bench()
    assert await bench.supervisor.stop() == StopReport((), ())
    await bench.start(Work().spec())
    assert await bench.supervisor.stop() == await bench.supervisor.stop()


@virtual
async def test_a_new_start_begins_with_a_clean_slate() -> None:
    bench = Bench(RestartPolicy(max_restarts=1))
    work = Work()
    for _ in range(3):
        await bench.start(work.spec())
        work.order.set_result(ValueError("broken"))
        await settle()
        (status,) = bench.supervisor.status()
        assert (status.state, status.restarts) == (ChildState.RUNNING, 1)
        await bench.supervisor.stop()
    assert bench.kinds_told() == ["restarted"] * 3


# --- leading ends ---


async def loses(leadership: Leadership) -> None:
    raise LeadershipLost(leadership.term, "fenced_session")


async def loses_in_a_group(leadership: Leadership) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(FOREVER))
        group.create_task(loses_in_an_inner_group(leadership))


async def loses_in_an_inner_group(leadership: Leadership) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(loses(leadership))


@pytest.mark.parametrize("run", [loses, loses_in_a_group])
@virtual
async def test_leadership_lost_is_no_crash_and_is_told_while_the_lease_still_runs(run: Run) -> None:
    bench = Bench()
    await bench.start(ChildSpec("child", run))
    await settle()
    assert bench.told == [("lost", "fenced_session")]
    assert bench.lease.revoked
    (status,) = bench.supervisor.status()
    assert (status.state, status.restarts, status.last_error) == (ChildState.ENDED, 0, None)


@virtual
async def test_what_an_old_term_has_lost_is_a_crash_in_this_one() -> None:
    bench = Bench(RestartPolicy(max_restarts=0))

    async def run(leadership: Leadership) -> None:
        raise LeadershipLost(leadership.term - 1, "lease_over")

    await bench.start(ChildSpec("child", run))
    await settle()
    assert bench.kinds_told() == ["failed"]
    assert not bench.lease.revoked


@pytest.mark.parametrize("error", [LeadershipLost(7, "lease_over"), ValueError("broken"), None])
@virtual
async def test_nothing_starts_without_the_lease_and_all_runs_again_with_it(
    error: Exception | None,
) -> None:
    bench = Bench(RestartPolicy(max_restarts=0))
    work = Work()
    await bench.start(work.spec())
    bench.lease.suspend()
    work.order.set_result(error)
    await asyncio.sleep(30)
    assert work.starts == 1
    assert bench.states() == {"work": ChildState.LAPSED}
    bench.lease.extend(FOREVER)
    await asyncio.sleep(1)
    assert work.starts == 2
    assert bench.states() == {"work": ChildState.RUNNING}
    assert bench.told == []
    assert (await bench.supervisor.stop()).ended == ("work",)


@virtual
async def test_what_was_not_to_be_restarted_stays_ended_through_a_lapse() -> None:
    bench = Bench()
    work = Work()
    await bench.start(work.spec(restart=Restart.TEMPORARY))
    bench.lease.suspend()
    work.order.set_result(None)
    await settle()
    bench.lease.extend(FOREVER)
    await asyncio.sleep(1)
    assert work.starts == 1
    assert bench.states() == {"work": ChildState.ENDED}


@pytest.mark.parametrize("ends_first", [True, False])
@virtual
async def test_a_revoked_lease_is_never_worked_under_again(ends_first: bool) -> None:
    bench = Bench()
    work = Work()
    await bench.start(work.spec())
    if ends_first:
        bench.lease.suspend()
        work.order.set_result(ValueError("broken"))
        await settle()
    bench.lease.revoke("held_by_other")
    if not ends_first:
        work.order.set_result(ValueError("broken"))
    await asyncio.sleep(1)
    bench.lease.extend(FOREVER)
    await asyncio.sleep(30)
    assert work.starts == 1
    assert bench.states() == {"work": ChildState.ENDED}
    assert bench.told == []


@virtual
async def test_a_lapsed_child_is_not_started_after_the_stop() -> None:
    bench = Bench()
    work = Work()
    await bench.start(work.spec())
    bench.lease.suspend()
    work.order.set_result(ValueError("broken"))
    await settle()
    assert (await bench.supervisor.stop()).ended == ("work",)
    bench.lease.extend(FOREVER)
    await asyncio.sleep(30)
    assert work.starts == 1
    assert bench.states() == {"work": ChildState.ENDED}


@virtual
async def test_start_needs_the_lease() -> None:
    bench = Bench()
    bench.lease.suspend()
    work = Work()
    with pytest.raises(LeadershipLost):
        await bench.start(work.spec())
    await settle()
    assert work.starts == 0
    assert not bench.supervisor.running
