"""The scenarios: what is done to the cluster, and how long nobody may work because of it.

A scenario only strikes, and waits for what must come of it; `conduct` puts everything right and
judges.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from coord.application import EXIT_FATAL
from coord.election.timing import Budget, Timing
from demo.fleet import Node, NodeError
from demo.judge import TermSeen
from demo.witness import WitnessError
from tests.chaos.settled import Settled
from tests.chaos.stage import CANDIDATES, LOOK_S, PLACES, SERVERS, Stage, StageError
from tests.chaos.switch import Weather

PATIENCE_S = 60.0
"""For what must come of a fault."""

FEW_CONFIRM_S = 7.4
"""How much later a lost host is missed where Consul's leader hears from one other host alone that
missed it too: memberlist then waits 11.4 s, and with two of them 4 s. Chance decides."""

CUT_OFF_TERMS = 2
"""The heal of a host that was cut off is a fault of its own: it tells the others that a host which
it could not reach has failed, and before that one denies it, Consul's leader has ended its
sessions."""

CONSUL_ELECTION_S = 5.0
"""How long Consul may be without a leader of its own at raft_multiplier 1: 2.3 to 4.1 s were
measured."""

RESUME_S = 1.0
"""How long work that was suspended may take to go on when Consul is back."""

NO_QUORUM_S = 16.0

FENCED = frozenset({1, EXIT_FATAL, -signal.SIGSEGV})
"""How a process ends that was frozen past its fence: its watchdog ends it with 1, or dies of
looking at threads that move, which ends it as well; or the election is first, and ends it itself.
"""


@dataclass(slots=True)
class Scene:
    """What a scenario finds, and what it says of itself.

    repeat: how often the scenario was done before in this run.
    may_end: with which exit statuses a node's process may end because of it.
    """

    stage: Stage
    at_first: Settled
    random: random.Random
    repeat: int = 0
    may_end: dict[str, set[int]] = field(default_factory=dict)

    @property
    def leader(self) -> Node:
        """The node that leads when the scenario begins."""
        return self.stage.fleet[self.at_first.leader]

    @property
    def host(self) -> str:
        """Its host."""
        return self.stage.host_of(self.at_first.leader)

    def note(self, what: str) -> float:
        """Into the timeline; gives the moment."""
        return self.stage.note(what)

    async def next_leader(self, after_term: int | None = None) -> TermSeen:
        """Wait until another term works. Raises StageError."""
        term = self.at_first.term if after_term is None else after_term
        try:
            seen = await self.stage.witness.next_leader(term, timeout_s=PATIENCE_S)
        except WitnessError as error:
            raise StageError(f"nobody took over from term {term}: {error}") from error
        self.note(f"{seen.node} works in term {seen.term}")
        return seen

    async def all_told(self) -> None:
        """Wait until the catalog has what each candidate said last. Raises StageError."""
        consul = self.stage.consuls[self.at_first.consul_leader]
        wanted = {name: "standby" for name in CANDIDATES} | {self.at_first.leader: "leading"}
        end = time.monotonic() + PATIENCE_S
        while True:
            reply = await consul.health_service(self.stage.paths.candidate_service, passing=True)
            told = {each.meta["node"]: each.meta.get("state", "") for each in reply.value}
            if told == wanted:
                return
            if time.monotonic() > end:
                raise StageError(f"the catalog has not been told: {told}")
            await asyncio.sleep(LOOK_S)

    async def work_goes_on(self, after: float) -> None:
        """Wait until somebody works, whoever it is. Raises StageError."""
        try:
            await self.stage.witness.work(after=after, timeout_s=PATIENCE_S)
        except WitnessError as error:
            raise StageError(f"the work does not go on: {error}") from error


Act = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One fault, by name.

    budget_s: how long nobody may work, of what `coord config` prints, with what Consul takes where
        its own leader is gone; None: there is no bound for it.
    most_terms: so many terms may begin because of it; None: any number.
    takes_long: much longer than the others.
    """

    name: str
    title: str
    act: Act
    budget_s: Callable[[Budget], float | None]
    most_terms: int | None = 1
    takes_long: bool = False


async def _kill(scene: Scene) -> None:
    node = scene.leader
    scene.may_end[node.name] = {-signal.SIGKILL}
    scene.note(f"SIGKILL {node.name}")
    node.kill()
    await node.wait_exit()
    await scene.next_leader()


async def _freeze(scene: Scene) -> None:
    node = scene.leader
    scene.may_end[node.name] = set(FENCED)
    scene.note(f"SIGSTOP {node.name}")
    node.freeze()
    await scene.next_leader()
    scene.note(f"SIGCONT {node.name}")
    node.wake()
    await end_or_stand_by(scene, node)


async def _doze(scene: Scene) -> None:
    """Frozen for about as long as it takes to lose the lease, not always long enough to be lost."""
    node = scene.leader
    scene.may_end[node.name] = set(FENCED)
    pause_s = scene.random.uniform(0.5, 5.5)
    scene.note(f"SIGSTOP {node.name} for {pause_s:.2f} s")
    node.freeze()
    await asyncio.sleep(pause_s)
    woken = scene.note(f"SIGCONT {node.name}")
    node.wake()
    await scene.work_goes_on(woken)


async def end_or_stand_by(scene: Scene, node: Node) -> None:
    """Wait until a node that has lost its term has ended, or is a candidate again."""
    try:
        state = await node.state("standby", "waiting", "cooling", "joining", timeout_s=PATIENCE_S)
        scene.note(f"{node.name} went on: {state}")
    except NodeError:
        if node.running:
            raise
        scene.note(f"{node.name} ended with {await node.wait_exit()}")


async def _cut(scene: Scene, way: str) -> None:
    network = scene.stage.network
    scene.note(f"cut {scene.host}, {way}")
    network.set(Weather(cut=network.between([scene.host], way=way)))
    await scene.next_leader()
    # What it still does now, believing what it may, is what the witness is there for.
    await asyncio.sleep(scene.random.uniform(0.0, 3.0))


async def _cut_both(scene: Scene) -> None:
    await _cut(scene, "both")


async def _cut_out(scene: Scene) -> None:
    await _cut(scene, "out")


async def _cut_in(scene: Scene) -> None:
    await _cut(scene, "in")


async def _minority(scene: Scene) -> None:
    """The leader with one server against all others; with Consul's own leader every other time."""
    network, consul_leader = scene.stage.network, scene.at_first.consul_leader
    others = [name for name in SERVERS if name != consul_leader]
    server = scene.random.choice(others) if scene.repeat % 2 else consul_leader
    scene.note(f"cut {scene.host} and {server} from the rest")
    network.set(Weather(cut=network.between([scene.host, server])))
    await scene.next_leader()
    await asyncio.sleep(scene.random.uniform(0.0, 3.0))


async def _cut_briefly(scene: Scene) -> None:
    """For less than it takes to find a host missing. The leader mostly goes on under its term; not
    if its agent was writing to the catalog just then, and so took no pass of its check."""
    network = scene.stage.network
    pause_s = scene.random.uniform(2.0, 3.0)
    scene.note(f"cut {scene.host} for {pause_s:.2f} s")
    network.set(Weather(cut=network.between([scene.host])))
    await asyncio.sleep(pause_s)
    network.heal()
    await scene.work_goes_on(scene.note(f"heal {scene.host}"))


async def _no_quorum(scene: Scene) -> None:
    """The servers do not reach each other, so that Consul has no leader; the agents reach them.

    It begins when nobody has anything to tell the catalog: an agent that is just writing to it when
    the servers are cut takes no pass of any check until that is over, and the session may go. It
    may go all the same: the servers' connections to each other, and so every answer, can take as
    long again to come back as they were cut.
    """
    await scene.all_told()
    pairs = {(a, b) for a in SERVERS for b in SERVERS if a != b}
    away_s = scene.random.uniform(8.0, NO_QUORUM_S)
    scene.note(f"cut the servers from each other for {away_s:.1f} s")
    scene.stage.network.set(Weather(cut=frozenset(pairs)))
    await asyncio.sleep(away_s)
    scene.stage.network.heal()
    await scene.work_goes_on(scene.note("heal the servers"))


async def _no_servers(scene: Scene) -> None:
    """Its agent still gossips with the other nodes' agents, so that nobody finds it missing; only
    the session's own TTL gives the lock back."""
    pairs = {(scene.host, server) for server in SERVERS}
    scene.note(f"cut {scene.host} from the servers alone")
    scene.stage.network.set(Weather(cut=frozenset(pairs | {(b, a) for a, b in pairs})))
    await scene.next_leader()


async def _agent(scene: Scene) -> None:
    agent = scene.stage.agents[scene.host]
    away_s = scene.random.uniform(0.2, 4.0)
    scene.note(f"SIGKILL the agent of {scene.host} for {away_s:.2f} s")
    agent.kill()
    await asyncio.sleep(away_s)
    back = scene.note(f"start the agent of {scene.host}")
    agent.start()
    await scene.stage.ready(scene.host)
    await scene.work_goes_on(back)


async def _consul_leader(scene: Scene) -> None:
    name = scene.at_first.consul_leader
    scene.note(f"SIGKILL {name}, Consul's leader")
    scene.stage.agents[name].kill()
    new = await scene.stage.other_consul_leader(name)
    await scene.work_goes_on(scene.note(f"Consul is led by {new}"))


async def _roll_nodes(scene: Scene) -> None:
    """Each node in turn, as a rollout does: asked to end, waited for, started again."""
    for name in PLACES:
        node = scene.stage.fleet[name]
        scene.note(f"SIGTERM {name}")
        scene.may_end[name] = {0}
        node.terminate()
        status = await node.wait_exit(timeout_s=PATIENCE_S)
        if status != 0:
            raise StageError(f"{name} was asked to end and ended with {status}")
        ended = scene.note(f"start {name}")
        await node.start()
        await scene.work_goes_on(ended)


async def _roll_servers(scene: Scene) -> None:
    """Each server in turn, Consul's leader last, as Consul's own instructions say."""
    stage, last = scene.stage, scene.at_first.consul_leader
    for name in sorted(SERVERS, key=lambda each: each == last):
        scene.note(f"SIGTERM {name}")
        await asyncio.to_thread(stage.agents[name].stop)
        stage.agents[name].start()
        await stage.ready(*SERVERS)
        up = scene.note(f"{name} is back")
        await scene.work_goes_on(up)


async def _weather(scene: Scene) -> None:
    loss, slow_s = scene.random.uniform(0.05, 0.2), scene.random.uniform(0.02, 0.2)
    scene.note(f"{loss:.0%} loss, up to {slow_s * 1000:.0f} ms delay")
    scene.stage.network.set(Weather(loss=loss, delay_s=(0.0, slow_s)))
    await asyncio.sleep(12.0)


def _host_lost(budget: Budget) -> float:
    return budget.host_loss + FEW_CONFIRM_S


def _consul_away(budget: Budget) -> float:
    return CONSUL_ELECTION_S + RESUME_S


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (
            Scenario(
                name="kill",
                title="leader killed (SIGKILL)",
                act=_kill,
                budget_s=lambda budget: budget.kill,
            ),
            Scenario(
                name="freeze",
                title="leader frozen, woken when another leads (SIGSTOP, SIGCONT)",
                act=_freeze,
                budget_s=lambda budget: budget.hang,
            ),
            Scenario(
                name="doze",
                title="leader frozen for 0.5 to 5.5 s",
                act=_doze,
                budget_s=lambda budget: budget.hang,
            ),
            Scenario(
                name="cut",
                title="leader's host cut off",
                act=_cut_both,
                budget_s=_host_lost,
                most_terms=CUT_OFF_TERMS,
            ),
            Scenario(
                name="cut-briefly",
                title="leader's host cut off, for less than it takes to be missed",
                act=_cut_briefly,
                budget_s=lambda budget: budget.host_loss,
            ),
            Scenario(
                name="cut-out",
                title="leader's host cut off one way: nothing leaves it",
                act=_cut_out,
                budget_s=_host_lost,
                most_terms=CUT_OFF_TERMS,
            ),
            Scenario(
                name="cut-in",
                title="leader's host cut off one way: nothing reaches it",
                act=_cut_in,
                budget_s=_host_lost,
                most_terms=CUT_OFF_TERMS,
            ),
            Scenario(
                name="minority",
                title="leader on the minority side, with one Consul server",
                act=_minority,
                budget_s=lambda budget: _host_lost(budget) + CONSUL_ELECTION_S,
                most_terms=CUT_OFF_TERMS,
            ),
            Scenario(
                name="no-servers",
                title="leader's host cut off from the Consul servers alone",
                act=_no_servers,
                # Consul lets a session's TTL run out after twice its length.
                budget_s=lambda budget: budget.kill + 2 * Timing().session_ttl,
                takes_long=True,
            ),
            Scenario(
                name="agent",
                title="leader's agent killed and restarted",
                act=_agent,
                budget_s=lambda budget: budget.host_loss,
            ),
            Scenario(
                name="consul-leader",
                title="Consul's leader killed",
                act=_consul_leader,
                budget_s=_consul_away,
            ),
            Scenario(
                name="no-quorum",
                title=f"Consul's servers cut from each other for 8 to {NO_QUORUM_S:g} s",
                act=_no_quorum,
                budget_s=lambda budget: NO_QUORUM_S + CONSUL_ELECTION_S + RESUME_S,
                takes_long=True,
            ),
            Scenario(
                name="roll-nodes",
                title="rolling restart of all nodes",
                act=_roll_nodes,
                budget_s=lambda budget: budget.clean_end,
                most_terms=len(PLACES),
            ),
            Scenario(
                name="roll-servers",
                title="rolling restart of all Consul servers",
                act=_roll_servers,
                # A session need not outlast several changes of Consul's leader in a row.
                budget_s=lambda budget: budget.host_loss + CONSUL_ELECTION_S,
            ),
            Scenario(
                name="weather",
                title="packets lost (5 to 20 %) and late (up to 200 ms)",
                act=_weather,
                budget_s=lambda budget: None,
                most_terms=None,
            ),
        )
    }
)
