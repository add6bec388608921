"""The random mixture: faults that nobody thought of together, drawn by lot, for a set time.

Each round is a scenario of its own: one to three faults, at moments drawn by lot, on the leader of
that moment or on anybody; some are put right while others still last. A round is drawn from its
seed alone, so it can be played again.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from demo.fleet import Node
from tests.chaos.scenarios import FENCED, Scenario, Scene
from tests.chaos.stage import CANDIDATES, HOSTS, PLACES, SERVERS
from tests.chaos.switch import Weather

LONGEST_PAUSE_S = 8.0
"""From one fault to the next thing that happens: longer than any takeover from a dead process."""

Undo = Callable[[], Awaitable[None]]
Strike = Callable[[Scene], Awaitable[Undo]]

Pairs = frozenset[tuple[str, str]]


async def _nothing() -> None:
    """What is not undone before the round is over."""


def _some_node(scene: Scene, leader: str) -> Node | None:
    """The leader, mostly; else any node. None: its process is not there."""
    name = leader if scene.random.random() < 0.6 else scene.random.choice(sorted(PLACES))
    node = scene.stage.fleet[name]
    return node if node.running else None


async def _leader(scene: Scene) -> str:
    """Who works in the newest term."""
    report = await scene.stage.witness.report()
    return max(report.terms, key=lambda term: term.term).node


# --- processes of nodes --------------------------------------------------------------------------


async def _signal(scene: Scene, number: signal.Signals, *statuses: int) -> Undo:
    node = _some_node(scene, await _leader(scene))
    if node is None:
        return _nothing
    scene.may_end.setdefault(node.name, set()).update(statuses)
    scene.note(f"{number.name} {node.name}")
    send = {signal.SIGKILL: node.kill, signal.SIGTERM: node.terminate, signal.SIGSTOP: node.freeze}
    send[number]()
    if number is signal.SIGTERM:
        scene.stage.ending.add(node.name)

    async def start() -> None:
        await node.wait_exit()
        scene.note(f"start {node.name}")
        await node.start()
        scene.stage.ending.discard(node.name)

    async def wake() -> None:
        if node.running:
            scene.note(f"SIGCONT {node.name}")
            node.wake()

    return wake if number is signal.SIGSTOP else start


async def _kill(scene: Scene) -> Undo:
    return await _signal(scene, signal.SIGKILL, -signal.SIGKILL)


async def _terminate(scene: Scene) -> Undo:
    return await _signal(scene, signal.SIGTERM, 0)


async def _freeze(scene: Scene) -> Undo:
    return await _signal(scene, signal.SIGSTOP, *FENCED)


async def _kill_candidates(scene: Scene) -> Undo:
    """All of them at once, as a bad rollout does."""
    killed = [node for name in CANDIDATES if (node := scene.stage.fleet[name]).running]
    scene.note("SIGKILL every candidate")
    for node in killed:
        scene.may_end.setdefault(node.name, set()).add(-signal.SIGKILL)
        node.kill()

    async def start() -> None:
        for node in killed:
            await node.wait_exit()
        scene.note("start every candidate")
        await asyncio.gather(*(node.start() for node in killed))

    return start


# --- agents and servers --------------------------------------------------------------------------


async def _agent_dies(scene: Scene, name: str, *, wipe: bool = False) -> Undo:
    agent = scene.stage.agents[name]
    if not agent.running:
        return _nothing
    scene.note(f"SIGKILL the agent of {name}{', its data lost' if wipe else ''}")
    agent.kill()
    if wipe:
        agent.start(wipe=True)
        return _nothing

    async def start() -> None:
        scene.note(f"start the agent of {name}")
        agent.start()

    return start


async def _agent_stands_still(scene: Scene, name: str) -> Undo:
    agent = scene.stage.agents[name]
    if not agent.running:
        return _nothing
    scene.note(f"SIGSTOP the agent of {name}")
    await asyncio.to_thread(agent.freeze)

    async def wake() -> None:
        if agent.running:
            scene.note(f"SIGCONT the agent of {name}")
            agent.wake()

    return wake


async def _some_host(scene: Scene) -> str:
    """The leader's, mostly; else any node's."""
    if scene.random.random() < 0.6:
        return scene.stage.host_of(await _leader(scene))
    return scene.random.choice(HOSTS)


def _some_server(scene: Scene) -> str:
    """Consul's leader of when the round began, half of the time; else any."""
    return scene.random.choice((scene.at_first.consul_leader, scene.random.choice(SERVERS)))


async def _kill_agent(scene: Scene) -> Undo:
    return await _agent_dies(scene, await _some_host(scene))


async def _wipe_agent(scene: Scene) -> Undo:
    return await _agent_dies(scene, await _some_host(scene), wipe=True)


async def _freeze_agent(scene: Scene) -> Undo:
    return await _agent_stands_still(scene, await _some_host(scene))


async def _kill_server(scene: Scene) -> Undo:
    return await _agent_dies(scene, _some_server(scene))


async def _freeze_server(scene: Scene) -> Undo:
    return await _agent_stands_still(scene, _some_server(scene))


# --- the network ---------------------------------------------------------------------------------


def _cut(scene: Scene, pairs: Pairs, what: str) -> Undo:
    network = scene.stage.network
    scene.note(f"cut {what}")
    network.set(replace(network.weather, cut=network.weather.cut | pairs))

    async def heal() -> None:
        scene.note(f"heal {what}")
        network.set(replace(network.weather, cut=network.weather.cut - pairs))

    return heal


async def _cut_host(scene: Scene) -> Undo:
    host, way = await _some_host(scene), scene.random.choice(("both", "in", "out"))
    return _cut(scene, scene.stage.network.between([host], way=way), f"{host}, {way}")


async def _cut_server(scene: Scene) -> Undo:
    server, way = _some_server(scene), scene.random.choice(("both", "in", "out"))
    return _cut(scene, scene.stage.network.between([server], way=way), f"{server}, {way}")


async def _split(scene: Scene) -> Undo:
    """Any hosts from all others."""
    names = sorted(scene.stage.network.hosts)
    some = scene.random.sample(names, scene.random.randint(2, len(names) // 2))
    return _cut(
        scene, scene.stage.network.between(some), f"{', '.join(sorted(some))} from the rest"
    )


async def _cut_pairs(scene: Scene) -> Undo:
    """One host from some others, one way or both: to each it looks as if others were at fault."""
    host = await _some_host(scene)
    others = sorted(set(scene.stage.network.hosts) - {host})
    some = set(scene.random.sample(others, scene.random.randint(1, len(others) - 1)))
    way = scene.random.choice(("both", "in", "out"))
    touched = scene.stage.network.between([host], way=way)
    pairs = frozenset(pair for pair in touched if some & set(pair))
    return _cut(scene, pairs, f"{host} and {', '.join(sorted(some))}, {way}")


async def _bad_weather(scene: Scene) -> Undo:
    network = scene.stage.network
    loss, slow_s = scene.random.uniform(0.0, 0.3), scene.random.uniform(0.0, 0.4)
    scene.note(f"{loss:.0%} loss, up to {slow_s * 1000:.0f} ms delay")
    network.set(replace(network.weather, loss=loss, delay_s=(0.0, slow_s)))

    async def clear() -> None:
        scene.note("the weather clears up")
        network.set(Weather(cut=network.weather.cut))

    return clear


STRIKES: Mapping[Strike, float] = MappingProxyType(
    {
        _kill: 2.0,
        _terminate: 1.5,
        _freeze: 3.0,
        _kill_candidates: 0.5,
        _kill_agent: 1.5,
        _wipe_agent: 1.0,
        _freeze_agent: 1.5,
        _kill_server: 1.5,
        _freeze_server: 1.5,
        _cut_host: 2.0,
        _cut_server: 1.0,
        _split: 1.5,
        _cut_pairs: 1.5,
        _bad_weather: 1.5,
    }
)
"""What can happen, and how often compared to the rest."""


async def _round(scene: Scene) -> None:
    draw = scene.random
    undo: list[Undo] = []
    for strike in draw.choices(list(STRIKES), list(STRIKES.values()), k=draw.choice((1, 2, 2, 3))):
        undo.append(await strike(scene))
        await asyncio.sleep(draw.uniform(0.0, LONGEST_PAUSE_S))
        if draw.random() < 0.4:
            await undo.pop(draw.randrange(len(undo)))()
            await asyncio.sleep(draw.uniform(0.0, LONGEST_PAUSE_S / 2))


MIXTURE = Scenario(
    name="mixture",
    title="random mixture: one to three faults at a time",
    act=_round,
    budget_s=lambda budget: None,
    most_terms=None,
)


def seeds(seed: int) -> Iterator[str]:
    """The rounds' own seeds, without end: ``5:1``, ``5:2``, …"""
    return (f"{seed}:{number}" for number in itertools.count(1))


def draw_seed() -> int:
    """A seed that is short enough to be typed."""
    return random.SystemRandom().randrange(1, 1_000_000)
