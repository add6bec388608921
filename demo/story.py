"""The acts of the demo: what is done to the leader, what is waited for, what must have held."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from coord.consul import ConsulClient, ConsulError
from coord.election.timing import ROUND_TRIPS_S, Timing, budget
from coord.polling.records import Check
from demo.facts import tell_act, tell_polls, tell_terms, tell_verdict_of_witness
from demo.fleet import Fleet, Node, NodeError
from demo.judge import Stale, WitnessReport
from demo.ledger import Ledger
from demo.outcome import Act, Outcome, problems_of_act, problems_of_witness
from demo.polls import Polls, Tally, checks_of
from demo.telling import Narrator
from demo.witness import Witness, WitnessError

NODES = ("core-1", "core-2", "web-1", "poller-1", "poller-2")

CLEAN_LIMIT_S = 5.0
"""A clean hand-over must not take longer: the acceptance list."""
FAULT_LIMIT_S = 10.0
"""Nor the takeover from a leader that was killed or frozen, nor the first election."""

NEW_LEADER_WAIT_S = 20.0
POLLS_WAIT_S = 15.0
SETTLE_WAIT_S = 15.0


class StoryError(Exception):
    """The story cannot go on: what was waited for did not happen."""


@dataclass(frozen=True, slots=True)
class Now:
    """Who leads, and in which term."""

    node: Node
    term: int


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to the leader, when, and how polling stood then."""

    said: str | None
    at: float
    old: Now | None
    before: Tally
    at_fault: Tally
    budget_s: float
    limit_s: float


class Story:
    """Five nodes on a Consul, from their start to the tally.

    `run` may be called once; it never raises what belongs to the story: that is a problem of the
    `Outcome`.
    """

    def __init__(
        self,
        fleet: Fleet,
        witness: Witness,
        consul: ConsulClient,
        consul_addr: str,
        targets: tuple[Check, ...],
        tell: Narrator,
    ) -> None:
        self._fleet = fleet
        self._witness = witness
        self._consul = consul
        self._consul_addr = consul_addr
        self._targets = targets
        self._tell = tell
        self._polls = Polls(consul, fleet.paths)
        self._ledger = Ledger()
        self._budget = budget(Timing())
        self._acts: list[Act] = []
        self._problems: list[str] = []
        self._overlaps = 0
        self._at_work = Tally()
        self._runs: dict[str, int] = {}

    async def run(self) -> Outcome:
        """Tell all of it."""
        async with self._reading_along():
            try:
                await self._acts_in_order()
            except (StoryError, NodeError, WitnessError) as error:
                self._problems.append(str(error))
            except (ConsulError, TimeoutError) as error:
                told = str(error) or "Consul did not answer as it should, in time"
                self._problems.append(told + self._logs())
            report = await self._final_report()
        return Outcome(
            acts=tuple(self._acts),
            witness=report,
            writes_seen=self._ledger.seen,
            writes_gone_back=self._ledger.went_back,
            polls=self._runs,
            took_s=self._tell.took_s,
            problems=tuple(self._problems),
        )

    @contextlib.asynccontextmanager
    async def _reading_along(self) -> AsyncIterator[None]:
        following = asyncio.create_task(self._ledger.follow(self._consul), name="ledger")
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _acts_in_order(self) -> None:
        now = await self._first_election()
        now = await self._clean_hand_over(now)
        now = await self._killed(now)
        now = await self._frozen(now)
        await self._tally_up()

    # -- the acts --------------------------------------------------------------------------

    async def _first_election(self) -> Now:
        wait_s = Timing().quarantine()
        self._tell.act(
            "1  First election",
            "Nobody knows who led before, and a leader may be out there that cannot be seen: "
            f"so all candidates leave the lock alone for {wait_s:g} s.",
        )
        with self._tell.waiting("starting five nodes"):
            await self._fleet.start(*NODES)
        up_at = time.monotonic()
        self._tell.say(f"up: {', '.join(NODES)}; pollers may not lead", at=up_at)
        urls = {name: node.url for name, node in self._fleet.nodes.items()}
        await self._polls.seed(checks_of(self._consul_addr, urls, self._targets))
        self._tell.say(f"{len(self._polls.ids)} schedules written, each due every second")
        fault = Fault(None, up_at, None, Tally(), Tally(), wait_s + ROUND_TRIPS_S, FAULT_LIMIT_S)
        led = await self._succession("first election", fault)
        await self._close_act("first election", fault, led)
        return led

    async def _clean_hand_over(self, now: Now) -> Now:
        self._tell.act(
            "2  Clean hand-over",
            "The leader is told to end. It stops its work, then gives the lock back and says so: "
            "nobody has to wait.",
        )
        before = await self._steady()
        fault = await self._fault(
            now, "SIGTERM", before, now.node.terminate, self._budget.clean_end, CLEAN_LIMIT_S
        )
        led = await self._succession("clean hand-over", fault)
        status = await now.node.wait_exit()
        self._tell.say(f"{now.node.name} has ended, with status {status}")
        self._expect(status == 0, f"{now.node.name} ended with {status} instead of 0", now.node)
        await self._comes_back(now.node, led)
        await self._close_act("clean hand-over", fault, led)
        return led

    async def _killed(self, now: Now) -> Now:
        self._tell.act(
            "3  Killed",
            "The leader gets SIGKILL and can say nothing. Its check runs out, then the others "
            "wait until it must have stopped, were it still alive.",
        )
        before = await self._steady()
        fault = await self._fault(
            now, "SIGKILL", before, now.node.kill, self._budget.kill, FAULT_LIMIT_S
        )
        led = await self._succession("killed", fault)
        await now.node.wait_exit()
        await self._comes_back(now.node, led)
        await self._close_act("killed", fault, led)
        return led

    async def _frozen(self, now: Now) -> Now:
        self._tell.act(
            "4  Frozen, and woken",
            "The leader gets SIGSTOP in the middle of its work, and SIGCONT only when another "
            "works. It still has its own work in hand; nothing of that may come through.",
        )
        before = await self._steady()
        fault = await self._fault(
            now, "SIGSTOP", before, now.node.freeze, self._budget.hang, FAULT_LIMIT_S
        )
        led = await self._succession("frozen", fault)
        woken_at = now.node.wake()
        self._tell.say(
            f"SIGCONT to {now.node.name}, {woken_at - fault.at:.1f} s later", at=woken_at
        )
        await self._ends_or_stands_by(now.node)
        if not now.node.running:
            await self._comes_back(now.node, led)
        await self._polls.more_runs(1, timeout_s=POLLS_WAIT_S)
        await self._close_act("frozen", fault, led)
        await self._what_the_woken_did(now, woken_at)
        return led

    async def _ends_or_stands_by(self, node: Node) -> None:
        try:
            state = await node.state(
                "standby", "waiting", "cooling", "joining", timeout_s=SETTLE_WAIT_S
            )
            self._tell.say(f"{node.name} finds its lease over and stands by ({state})")
        except NodeError:
            if node.running:
                raise
            status = await node.wait_exit()
            self._tell.say(f"{node.name} finds its lease over and ends at once (status {status})")

    async def _what_the_woken_did(self, old: Now, woken_at: float) -> None:
        report = await self._witness.report()
        late = [stale for stale in report.stale if _is_of(stale, old, woken_at)]
        wrote = [back for back in self._ledger.went_back if back.term == old.term]
        what = "nothing" if not late and not wrote else f"{len(late)} messages, {len(wrote)} writes"
        self._tell.fact("done after waking", what, good=not late and not wrote)

    async def _tally_up(self) -> None:
        self._tell.act("5  Tally", "What the witness heard, and what stands in Consul.")
        with self._tell.waiting("everything is polled once more"):
            own = [name for name in self._polls.ids if not name.startswith("target-")]
            if not await self._polls.all_up(own, timeout_s=POLLS_WAIT_S):
                self._problems.append("not everything is up at the end, as the polls say")
        report = await self._witness.report()
        results = await self._polls.results()
        self._runs = {name: result.runs for name, result in results.items()}
        tell_terms(self._tell, report)
        tell_polls(self._tell, [results[name] for name in self._polls.ids if name in results])
        tell_verdict_of_witness(self._tell, report, self._ledger)

    # -- what the acts have in common ------------------------------------------------------

    async def _steady(self) -> Tally:
        """Let every schedule run twice under the leader of now; gives the counts before that."""
        before = await self._polls.tally()
        with self._tell.waiting("polling goes on"):
            if not await self._polls.more_runs(2, timeout_s=POLLS_WAIT_S):
                raise StoryError("the schedules do not run, although somebody leads")
        return before

    async def _fault(
        self,
        now: Now,
        signal: str,
        before: Tally,
        send: Callable[[], float],
        budget_s: float,
        limit_s: float,
    ) -> Fault:
        at_fault = await self._polls.tally()
        at = send()
        self._tell.say(f"{signal} to {now.node.name}, leader in term {now.term}", at=at)
        return Fault(signal, at, now, before, at_fault, budget_s, limit_s)

    async def _succession(self, title: str, fault: Fault) -> Now:
        """Wait until somebody else works, and until polling works again."""
        old_term = fault.old.term if fault.old else None
        with self._tell.waiting("nobody works"):
            try:
                seen = await self._witness.next_leader(old_term, timeout_s=NEW_LEADER_WAIT_S)
            except WitnessError as error:
                raise StoryError(f"{title}: {error}{self._logs()}") from None
        self._at_work = await self._polls.tally()
        led = Now(self._fleet[seen.node], seen.term)
        self._tell.say(f"{seen.node} works, in term {seen.term}", at=seen.first_at)
        with self._tell.waiting("polls come back"):
            if not await self._polls.completed_in(led.term, timeout_s=POLLS_WAIT_S):
                raise StoryError(
                    f"{title}: not every schedule was polled in term {led.term} within "
                    f"{POLLS_WAIT_S:g} s{self._logs(led.node)}"
                )
        self._tell.say("every schedule has been polled by order of the new leader")
        return led

    async def _close_act(self, title: str, fault: Fault, led: Now) -> None:
        """Measure, tell, and note what did not hold."""
        report = await self._witness.report()
        seen = report.term(led.term)
        assert seen is not None
        gap = report.gap_to(led.term)
        after = await self._polls.tally()
        overlaps = report.stale_count + report.double_count - self._overlaps
        self._overlaps += overlaps
        act = Act(
            title=title,
            fault=fault.said,
            old_leader=fault.old.node.name if fault.old else None,
            new_leader=led.node.name,
            term=led.term,
            fault_to_work_s=round(seen.first_at - fault.at, 4),
            work_to_work_s=round(gap.gap_s, 4) if gap else None,
            budget_s=fault.budget_s,
            limit_s=fault.limit_s,
            phases=_phases(led),
            polls_before=(fault.at_fault - fault.before).runs,
            polls_during=(self._at_work - fault.at_fault).runs,
            polls_after=(after - self._at_work).runs,
            polls_missed=(after - fault.at_fault).missed,
            overlaps=overlaps,
        )
        self._acts.append(act)
        self._problems += problems_of_act(act)
        tell_act(self._tell, act)
        await self._is_discovered(title, led)

    async def _is_discovered(self, title: str, led: Now) -> None:
        """The passing instances of the leader's service are the leader, and only it."""
        passing = (
            await self._consul.health_service(self._fleet.paths.leader_service, passing=True)
        ).value
        names = sorted(str(instance.meta.get("node", instance.id)) for instance in passing)
        good = names == [led.node.name]
        self._tell.fact("discovery names", ", ".join(names) or "nobody", good=good)
        self._expect(good, f"{title}: passing as coordinator are {names}, not {led.node.name}")

    async def _comes_back(self, node: Node, led: Now) -> None:
        """Start it again: it must stand by, and the incumbent must stay."""
        with self._tell.waiting(f"starting {node.name} again"):
            await node.restart()
        self._tell.say(f"{node.name} is started again")
        state = await node.state("standby", timeout_s=SETTLE_WAIT_S)
        record = await self._fleet.leader_record(timeout_s=SETTLE_WAIT_S)
        await self._witness.work(node=led.node.name, term=led.term, timeout_s=SETTLE_WAIT_S)
        stays = (record.node, record.term) == (led.node.name, led.term)
        self._expect(stays, f"{led.node.name} lost term {led.term} when {node.name} came back")
        self._tell.say(f"{node.name} is in {state}; {record.node} leads on in term {record.term}")

    async def _final_report(self) -> WitnessReport | None:
        try:
            report = await self._witness.report()
        except WitnessError as error:
            self._problems.append(str(error))
            return None
        self._problems += problems_of_witness(report, self._ledger.went_back)
        if not self._ledger.seen:
            self._problems.append("no write of any leader was seen in Consul")
        return report

    def _expect(self, held: bool, problem: str, node: Node | None = None) -> None:
        if not held:
            self._problems.append(problem + (self._logs(node) if node else ""))

    def _logs(self, *nodes: Node) -> str:
        """For a failure: where the logs are, with the end of those that matter most."""
        said = [f"\nlogs {self._fleet.run_dir}"]
        for node in nodes or self._fleet.nodes.values():
            said.append(f"{node.log_path} ends with\n{node.log_tail(6)}")
        return "\n".join(said)


def _is_of(stale: Stale, old: Now, woken_at: float) -> bool:
    return stale.term == old.term and stale.at >= woken_at


def _phases(led: Now) -> dict[str, int]:
    """Where the time went, as the new leader's own event has it."""
    told = [e for e in led.node.events("leader_changed") if e.get("term") == led.term]
    names = ("detect", "quarantine", "acquire", "start")
    if not told:
        return {}
    values = {name: told[-1].get(f"{name}_ms") for name in names}
    return {name: int(ms) for name, ms in values.items() if ms is not None}
