"""Runs one seed's world from its beginning to its end, and judges it.

The history has five parts. Faults come and go for as long as the plan says. Then all of them end,
and somebody must lead within `recovery_limit`. Then, on a sound fleet, one single fault hits the
leader, and somebody else must lead within what `coord config` promises for it. Polls must have gone
on. At last every node is ended gracefully, and nothing may be left of any.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from coord.election.timing import Timing, budget
from coord.testing.world import Spinning
from tests.simulation.checker import Checker, Violation
from tests.simulation.faults import KINDS, Faults
from tests.simulation.fleet import Fleet
from tests.simulation.history import History, What
from tests.simulation.leftovers import find_leftovers, late_schedules
from tests.simulation.plan import CLOCKS_OFF, Plan, draw
from tests.simulation.probes import PROBES, strike

WARM_UP_S = 12.0
CALM_S = 80.0
"""After somebody leads again: how long things go on quietly before the last fault. Longer than a
lost answer of a blocking query goes unnoticed."""
AFTERMATH_S = 370.0
"""After the last node has ended: as long as an agent keeps a service that nobody passes, by its
own clock, and until it looks next."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed came to.

    elections: terms in which work was begun. happened: things that happened in its world.
    seconds: simulated. recovered_s: from the end of all faults until somebody led;
    recovery_limit_s: how long that may take there.
    probe, probe_s: the last fault, and from then until somebody else led; None: nobody did;
    probe_limit_s: how long that may take there; None: no time is promised.
    kept: whether the leadership outlived the last outage; None: it was no outage.
    stale_refused: messages of an old term that the receiver had to refuse.
    tolerated: how often two worked at once for a moment after a restore under a running fleet.
    digest: a hash of every line of its history.
    """

    seed: int
    violations: tuple[Violation, ...]
    elections: int
    happened: int
    seconds: float
    recovered_s: float | None
    recovery_limit_s: float
    probe: str
    probe_s: float | None
    probe_limit_s: float | None
    kept: bool | None
    stale_refused: int
    tolerated: int
    digest: str


def recovery_limit(timings: tuple[Timing, ...]) -> float:
    """How long after the end of any number of faults somebody must lead again, in true seconds."""
    return max(budget(timing).recovery for timing in timings) / (1 - CLOCKS_OFF)


def probe_of(seed: int) -> str:
    """The last fault of that seed's world."""
    return Random(f"probe {seed}").choice(tuple(PROBES))


class Run:
    """One seed's world, run part by part."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.fleet = Fleet(plan)
        self.violations: list[Violation] = []
        self.recovered_s: float | None = None
        self.probe = probe_of(plan.seed)
        self.probe_s: float | None = None
        self.probe_limit_s: float | None = None
        self.kept: bool | None = None
        self._faults = Faults(self.fleet, plan)

    @property
    def history(self) -> History:
        """What happened so far."""
        return self.fleet.history

    def go(self) -> None:
        """Run it to its end."""
        with _no_other_chance(self.plan.seed):
            try:
                self._begin()
                self._harm()
                if self._recover() and self._strike_once():
                    self._look_at_polls()
                self._end()
            except Spinning as spinning:
                self._broken("spins", str(spinning))
            finally:
                self.fleet.world.close()

    def _broken(self, rule: str, detail: str) -> None:
        self.violations.append(Violation(self.fleet.world.time, rule, detail))

    def _phase(self, name: str) -> None:
        self.fleet.tell(What.PHASE, "world", name)

    # -- the parts -------------------------------------------------------------------------

    def _begin(self) -> None:
        self._phase("begin")
        self.fleet.run_operator(self.fleet.prepare())
        self.fleet.run_for(2.0)
        for member in self.fleet.members:
            member.start()
        self.fleet.run_for(WARM_UP_S)

    def _harm(self) -> None:
        self._phase("faults")
        self._faults.begin()
        self.fleet.run_for(self.plan.seconds)

    def _recover(self) -> bool:
        self._faults.end()
        fleet = self.fleet
        fleet.network.heal_all()
        for member in fleet.members:
            member.thaw()
            member.start()
            member.temper.crash = member.temper.stall = False
        self._phase("calm")
        fleet.run_operator(fleet.withdraw())
        began = fleet.world.time
        limit_s = recovery_limit(self.plan.timings)
        if not self.fleet.run_for(limit_s, stop=lambda: len(fleet.working) == 1):
            self._broken("nobody leads", f"{limit_s:.1f} s after all faults ended")
            return False
        self.recovered_s = fleet.world.time - began
        self.fleet.run_for(CALM_S)
        fleet.run_operator(fleet.put_schedules())
        if len(fleet.working) != 1:
            self._broken("nobody leads", "after a while without faults")
            return False
        return True

    def _strike_once(self) -> bool:
        self._phase(f"probe {self.probe}")
        struck = strike(self.fleet, self.probe, self.plan.timings)
        self.probe_s, self.probe_limit_s, self.kept = struck.seconds, struck.limit_s, struck.kept
        if struck.broken:
            self._broken("over budget", f"{self.probe}: {struck.broken}")
        self.fleet.run_for(CALM_S)
        return not struck.broken

    def _look_at_polls(self) -> None:
        for late in late_schedules(self.fleet):
            self._broken("not polled", late)

    def _end(self) -> None:
        fleet = self.fleet
        self._phase("end")
        for member in fleet.members:
            member.thaw()
        fleet.run_for(5.0)
        boots = [boot for each in fleet.members if (boot := each.node.boot_id)]
        for member in fleet.members:
            member.stop()
            if not member.agent.running:
                member.agent.start(wipe=False)
        longest = max(timing.shutdown_timeout for timing in self.plan.timings)
        everybody_gone = lambda: not any(each.node.running for each in fleet.members)  # noqa: E731
        if not self.fleet.run_for(longest + 15.0, stop=everybody_gone):
            staying = [each.name for each in fleet.members if each.node.running]
            self._broken("does not end", ", ".join(staying))
        self.fleet.run_for(5.0)
        for left in find_leftovers(fleet):
            if any(boot[:8] in left for boot in boots):
                self._broken("left behind", f"at a clean end: {left}")
        self.fleet.run_for(AFTERMATH_S)
        for left in find_leftovers(fleet):
            self._broken("left behind", left)


def run(seed: int, *, seconds: float = 300.0, storm: bool = False) -> tuple[Outcome, History]:
    """Run a seed's world and judge it; `seconds` and `storm` as for its plan."""
    world = Run(draw(seed, KINDS, seconds=seconds, storm=storm))
    world.go()
    checker = Checker()
    violations = checker.take(world.history)
    broken = {*violations, *world.violations}
    outcome = Outcome(
        seed=seed,
        violations=tuple(sorted(broken, key=lambda each: (each.at, str(each)))),
        elections=checker.elections,
        happened=world.fleet.world.happened,
        seconds=world.fleet.world.time,
        recovered_s=world.recovered_s,
        recovery_limit_s=recovery_limit(world.plan.timings),
        probe=world.probe,
        probe_s=world.probe_s,
        probe_limit_s=world.probe_limit_s,
        kept=world.kept,
        stale_refused=checker.stale_refused,
        tolerated=checker.tolerated,
        digest=world.history.digest(),
    )
    return outcome, world.history


@contextlib.contextmanager
def _no_other_chance(seed: int) -> Iterator[None]:
    """The code under test draws its jitter from the one generator that all share."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
