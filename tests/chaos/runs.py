"""One run of a scenario as a record, and what is wrong with it. PURE."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from coord.polling.records import ResultRecord
from demo.judge import WitnessReport
from demo.polls import INTERVAL_S

LEAST_SLACK_S = 3.0
MOST_SLACK_S = 15.0

_INTERVAL_MS = round(INTERVAL_S * 1000)


@dataclass(frozen=True, slots=True)
class PollCount:
    """What became of the polls that were due: all of them are run, or recorded as something else.

    run: had an answer. failed: recorded as failed or timed out. missed: recorded as left out.
    lost: due, and not recorded at all; below zero: recorded twice. retried: further attempts.
    twice: attempts of which pollers themselves say that they ran them more than once.
    """

    run: int = 0
    failed: int = 0
    missed: int = 0
    lost: int = 0
    retried: int = 0
    twice: int = 0

    @classmethod
    def between(cls, before: ResultRecord, after: ResultRecord) -> Self:
        """Of one schedule, by its record before and after."""
        ended = after.runs - before.runs
        missed = after.missed - before.missed
        failed = after.failed + after.timed_out - before.failed - before.timed_out
        due = round((after.due_ms - before.due_ms) / _INTERVAL_MS)
        retried = after.retried - before.retried
        return cls(ended - failed, failed, missed, due - ended - missed, retried)

    def __add__(self, other: PollCount) -> PollCount:
        return PollCount(
            self.run + other.run,
            self.failed + other.failed,
            self.missed + other.missed,
            self.lost + other.lost,
            self.retried + other.retried,
            self.twice + other.twice,
        )


def count_polls(
    before: Mapping[str, ResultRecord], after: Mapping[str, ResultRecord]
) -> tuple[PollCount, list[str]]:
    """Over all schedules; and which of them do not add up."""
    total, wrong = PollCount(), []
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            wrong.append(f"schedule {name} has lost its result")
            continue
        count = PollCount.between(old, new)
        if count.lost:
            wrong.append(f"schedule {name}: {count.lost} of its runs are not accounted for")
        total += count
    return total, wrong


def run_twice(begun: Iterable[Mapping[str, Any]]) -> list[str]:
    """Which attempts at polls were run more than once, by all `AttemptBegun` of all pollers."""
    counted = Counter(f"attempt {said['attempt']} of {said['job']}" for said in begun)
    return [attempt for attempt, times in counted.items() if times > 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a scenario. Times in seconds.

    leader, new_leader: who led before and after, which may be the same; terms: how many began.
    gap_s: the longest time in which nobody worked, from the last work to the first.
    budget_s: how long that may be: what `coord config` prints for that fault, or what the scenario
        adds up where more than one thing happens; None: no bound is promised.
    overlaps: messages that show two at work at once. stale_attempted: writes of an older term that
        reached the receiver after work of a newer one; stale_refused: those it did not take.
    ended: nodes whose process has ended, and with which status.
    moments_misled: how often discovery named two leaders at once for a moment.
    problems: what did not hold; empty: all of it held.
    """

    scenario: str
    title: str
    seed: str
    what: tuple[str, ...]
    leader: str
    new_leader: str
    terms: int
    gap_s: float
    budget_s: float | None
    overlaps: int
    stale_attempted: int
    stale_refused: int
    polls: PollCount
    ended: dict[str, int]
    took_s: float
    moments_misled: int = 0
    problems: tuple[str, ...] = ()

    @property
    def held(self) -> bool:
        """Whether all of it held."""
        return not self.problems

    @property
    def over_budget(self) -> bool:
        """Whether nobody worked for longer than the budget, if by no more than `slack_s`."""
        return self.budget_s is not None and self.gap_s > self.budget_s

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The other way round."""
        plain = dict(data) | {"polls": PollCount(**data["polls"])}
        plain["what"], plain["problems"] = tuple(data["what"]), tuple(data["problems"])
        return cls(**plain)


def longest_gap_s(report: WitnessReport, since: float) -> float:
    """The longest silence that ended after that moment; 0.0 if there was none worth the name."""
    ends = {term.term: term.first_at for term in report.terms}
    gaps = [gap.gap_s for gap in report.gaps if ends[gap.to_term] > since]
    pauses = [pause.pause_s for pause in report.pauses if pause.ended_at > since]
    return max((*gaps, *pauses), default=0.0)


def problems_of_work(before: WitnessReport, after: WitnessReport, since: float = 0.0) -> list[str]:
    """What the witness found between two reports; times are seconds since that moment."""
    found = [
        f"{stale.node} worked in term {stale.term}, while {stale.newer_node} worked in term "
        f"{stale.newer_term}, {stale.at - since:.3f} s after the beginning"
        for stale in after.stale[before.stale_count :]
    ]
    found += [
        f"term {double.term} had two workers: {double.first_node} (pid {double.first_pid}) and "
        f"{double.node} (pid {double.pid})"
        for double in after.doubles[before.double_count :]
    ]
    overlaps = after.stale_count + after.double_count - before.stale_count - before.double_count
    if overlaps and not found:
        found.append(f"two worked at once: {overlaps} messages show it")
    if after.lost > before.lost:
        found.append(f"{after.lost - before.lost} messages never reached the witness")
    if after.unreadable > before.unreadable:
        found.append("there were messages that the witness could not read")
    return found


def slack_s(budget_s: float) -> float:
    """What a busy machine may add to a budget, in seconds.

    Half of it, as what takes longer is held up more often; at least 3 s, as ten processes and
    eight agents may wait for two cores whatever the fault is; never more than 15 s.
    """
    return min(MOST_SLACK_S, max(LEAST_SLACK_S, budget_s / 2))


def problem_of_gap(gap_s: float, budget_s: float | None) -> list[str]:
    """Whether nobody worked for longer than even a busy machine explains."""
    if budget_s is None or gap_s <= budget_s + slack_s(budget_s):
        return []
    return [
        f"nobody worked for {gap_s:.2f} s, with a budget of {budget_s:.2f} s, to which a busy "
        f"machine may add {slack_s(budget_s):.2f} s"
    ]


_FIGURE = re.compile(r"(?<![\w-])\d+(?:\.\d+)?")


def grouped(problems: Iterable[str]) -> list[str]:
    """The problems to be shown: of those that differ in figures alone, the first and how many."""
    alike: dict[str, list[str]] = {}
    for problem in problems:
        alike.setdefault(_FIGURE.sub("#", problem), []).append(problem)
    return [
        each[0] + (f" (and {len(each) - 1} more like it)" if len(each) > 1 else "")
        for each in alike.values()
    ]
