"""Conducts one scenario: from a settled cluster through the fault to a settled cluster, and judges.

Whatever a scenario leaves behind is put right here, also when it failed.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from coord.consul import ConsulError
from coord.election.timing import Timing, budget
from coord.polling.events import AttemptBegun
from coord.polling.records import ResultRecord
from demo.fleet import NodeError
from demo.judge import WitnessReport
from tests.chaos.network import NetworkError
from tests.chaos.runs import (
    PollCount,
    Run,
    count_polls,
    longest_gap_s,
    problem_of_gap,
    problems_of_work,
    run_twice,
)
from tests.chaos.scenarios import Scenario, Scene
from tests.chaos.settled import Settled, settle
from tests.chaos.stage import POLLERS, Stage, StageError
from tests.chaos.watchers import Watchers

POLLS_S = 60.0
"""For every schedule to be run twice more, once all is well."""

Say = Callable[[str], None]
Conducted = Callable[..., Awaitable[Run]]
"""How tests have a scenario conducted: by it and its seed."""


async def conduct(
    stage: Stage, watchers: Watchers, scenario: Scenario, seed: str, *, repeat: int, say: Say
) -> Run:
    """Do it once. What did not hold is in the run's problems.

    seed: for what is drawn by lot in it. repeat: how often it was done before.

    Raises:
        StageError: the cluster was not settled to begin with.
    """
    at_first = await settle(stage, say=say)
    # Every schedule has a result then: what has none before the scenario could not be counted.
    if not await stage.polls.more_runs(1, timeout_s=POLLS_S):
        raise StageError(f"not every schedule was run within {POLLS_S:g} s")
    before = await stage.witness.report()
    polls_before = await _results(stage)
    scene = Scene(stage, at_first, random.Random(seed), repeat)
    first_note = len(stage.timeline)
    problems: list[str] = []
    ended: dict[str, int] = {}
    began = scene.note(f"scenario {scenario.name}: {at_first.leader} leads in {at_first.term}")
    say(f"{at_first.leader} leads in term {at_first.term}")
    try:
        await scenario.act(scene)
    except (StageError, NodeError, NetworkError) as error:
        problems.append(f"the scenario failed: {error}")
    at_last: Settled | None = None
    try:
        await put_right(stage)
        at_last = await _settle_again(scene, ended, problems, say)
        await _polls_go_on(stage, problems)
    except (StageError, NodeError, NetworkError) as error:
        problems.append(str(error))
    after = await stage.witness.report()
    misled, moments = watchers.misled(after, began)
    problems += misled + _written_back(watchers)
    polls, uncounted = await _count_polls(stage, polls_before)
    run = _run_of(scenario, scene, before, after, began)
    return replace(
        run,
        seed=seed,
        what=tuple(note.what for note in stage.timeline[first_note:]),
        new_leader=at_last.leader if at_last else "",
        polls=polls,
        ended=ended,
        moments_misled=moments,
        problems=(*problems, *uncounted, *run.problems),
    )


def _run_of(
    scenario: Scenario, scene: Scene, before: WitnessReport, after: WitnessReport, began: float
) -> Run:
    gap_s = longest_gap_s(after, began)
    limit_s = scenario.budget_s(budget(Timing()))
    terms = sum(1 for term in after.terms if term.first_at > began)
    problems = [*problems_of_work(before, after, began), *problem_of_gap(gap_s, limit_s)]
    if scenario.most_terms is not None and terms > scenario.most_terms:
        problems.append(f"{terms} terms began, more than {scenario.most_terms}")
    late = after.late_count - before.late_count
    overlaps = after.stale_count + after.double_count - before.stale_count - before.double_count
    return Run(
        scenario=scenario.name,
        title=scenario.title,
        seed="",
        what=(),
        leader=scene.at_first.leader,
        new_leader="",
        terms=terms,
        gap_s=gap_s,
        budget_s=limit_s,
        overlaps=overlaps,
        stale_attempted=late + after.stale_count - before.stale_count,
        stale_refused=late,
        polls=PollCount(),
        ended={},
        took_s=time.monotonic() - began,
        problems=tuple(problems),
    )


async def put_right(stage: Stage) -> None:
    """Heal the network, wake what is frozen, start the agents that are not running."""
    stage.network.heal()
    for node in stage.running_nodes():
        node.wake()
    stopped = []
    for name, agent in stage.agents.items():
        if agent.running:
            agent.wake()
        else:
            agent.start()
            stopped.append(name)
    stage.note("all put right")
    if stopped:
        await stage.ready(*stopped)


async def _settle_again(
    scene: Scene, ended: dict[str, int], problems: list[str], say: Say
) -> Settled:
    """Settle, and have back the nodes whose process has ended; note how it did."""

    async def mend() -> None:
        for name, status in scene.stage.ended_nodes().items():
            scene.note(f"{name} ended with {status}; start it again")
            ended[name] = status
            if status not in scene.may_end.get(name, ()):
                problems.append(f"{name} ended with {status}, unasked")
            await scene.stage.fleet[name].wait_exit()
            await scene.stage.fleet[name].start()
            scene.stage.ending.discard(name)

    at_last = await settle(scene.stage, mend=mend, say=say)
    scene.note(f"settled: {at_last.leader} leads in term {at_last.term}")
    return at_last


async def _polls_go_on(stage: Stage, problems: list[str]) -> None:
    if not await stage.polls.more_runs(2, timeout_s=POLLS_S):
        problems.append(f"not every schedule was run twice more within {POLLS_S:g} s")


async def _results(stage: Stage) -> dict[str, ResultRecord]:
    try:
        return await stage.polls.results()
    except ConsulError as error:
        raise StageError(f"the results of the polls cannot be read: {error}") from error


async def _count_polls(
    stage: Stage, before: Mapping[str, ResultRecord]
) -> tuple[PollCount, list[str]]:
    count, wrong = PollCount(), ["the results of the polls cannot be read"]
    with contextlib.suppress(StageError):
        count, wrong = count_polls(before, await _results(stage))
    begun = [said for name in POLLERS for said in stage.fleet[name].events(AttemptBegun.EVENT)]
    if not begun:
        wrong.append("no poller says what it runs")
    twice = run_twice(begun)
    wrong += [f"{attempt} was run twice" for attempt in twice]
    return replace(count, twice=len(twice)), wrong


def _written_back(watchers: Watchers) -> list[str]:
    return [
        f"in Consul a write of term {back.term} landed after one of {back.newer_term} "
        f"(index {back.modify_index})"
        for back in watchers.written_back()
    ]
