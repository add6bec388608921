"""The last fault of each world: one, on a sound fleet, and what `coord config` promises of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from coord.election.timing import ROUND_TRIPS_S, Budget, Timing, budget
from tests.simulation.history import What
from tests.simulation.plan import CLOCKS_OFF

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet, Member

RESTART_S: Final = 0.3
"""How soon a process supervisor starts a killed process again."""
OUTAGE_S: Final = 20.0
"""How long Consul's servers are away, where that is to be ridden out."""
ELECTION_S: Final = 15.0
"""How long Consul may take afterwards until it has a leader that all agents know."""
SETTLE_S: Final = 30.0
"""How long after a handover everybody knows everything again, and nobody stays back."""
PAUSE_S: Final = 20.0
"""How long a pause lasts: longer than any leader that ends then is missed."""
PATIENCE_S: Final = 60.0
"""After that long nobody will come any more."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One fault that ends a leadership, and how soon another must begin.

    strike: does it to the leader. promised: which part of the budget it must keep to, in seconds.
    another: whether another node must follow, or the same one may lead again.
    not_before: how long nobody may follow, in seconds. heir: who must; None: anybody.
    """

    strike: Callable[[Fleet, Member], None]
    promised: Callable[[Budget], float]
    another: bool = True
    not_before: float = 0.0
    heir: Callable[[Fleet, Member], Member] | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """A fault that must not end a leadership.

    strike: begins it; gives what ends it. lasts: for how long, in seconds, going by the budget.
    noticed: whether the work may be suspended meanwhile.
    always: whether it must be ridden out each time. An agent that has anything to write to the
        catalog just when Consul loses its leader takes no pass of any check until that is done,
        and nothing that a node does or leaves can keep it from that.
    """

    strike: Callable[[Fleet, Member], Callable[[], None]]
    lasts: Callable[[Budget], float]
    noticed: bool
    always: bool = True


def _clean_end(fleet: Fleet, leader: Member) -> None:
    leader.stop()


def _step_down(fleet: Fleet, leader: Member) -> None:
    leader.step_down()


def _kill(fleet: Fleet, leader: Member) -> None:
    leader.node.kill()


def _kill_and_restart(fleet: Fleet, leader: Member) -> None:
    leader.node.kill()
    fleet.world.at(fleet.world.time + RESTART_S, leader.start)


def _hang(fleet: Fleet, leader: Member) -> None:
    leader.freeze()


def _host_loss(fleet: Fleet, leader: Member) -> None:
    leader.node.kill()
    leader.agent.kill()


def _freeze_servers(fleet: Fleet, leader: Member) -> Callable[[], None]:
    for server in fleet.consul.servers:
        server.freeze()

    def thaw() -> None:
        for server in fleet.consul.servers:
            server.thaw()

    return thaw


def _kill_servers(fleet: Fleet, leader: Member) -> Callable[[], None]:
    servers = fleet.consul.servers[:2]
    for server in servers:
        server.kill()

    def start() -> None:
        for server in servers:
            server.start()

    return start


def _freeze_agent(fleet: Fleet, leader: Member) -> Callable[[], None]:
    leader.agent.freeze()
    return leader.agent.thaw


def _ask_step_down(fleet: Fleet, leader: Member) -> None:
    fleet.run_operator(_done(fleet.operator.ask_step_down(0)))


def _heir(fleet: Fleet, leader: Member) -> Member:
    """The last whom the leader itself would name."""
    return [member for member in fleet.members if member is not leader][-1]


def _ask_transfer(fleet: Fleet, leader: Member) -> None:
    fleet.run_operator(_done(fleet.operator.ask_transfer(_heir(fleet, leader).name)))


def _drain(fleet: Fleet, leader: Member) -> None:
    fleet.run_operator(_done(fleet.operator.drain(leader.name)))


def _pause_and_kill(fleet: Fleet, leader: Member) -> None:
    fleet.run_operator(_done(fleet.operator.pause(PAUSE_S)))
    fleet.world.at(fleet.world.time + 1.0, leader.node.kill)


def _force_release(fleet: Fleet, leader: Member) -> None:
    fleet.run_operator(_done(fleet.operator.force_release()))


async def _done(asking: Coroutine[Any, Any, str]) -> None:
    await asking


PROBES: Final[dict[str, Probe | Outage]] = {
    "clean_end": Probe(_clean_end, lambda b: b.clean_end),
    "step_down": Probe(_step_down, lambda b: b.clean_end),
    "asked_step_down": Probe(_ask_step_down, lambda b: b.clean_end),
    "asked_transfer": Probe(_ask_transfer, lambda b: b.clean_end, heir=_heir),
    "drained": Probe(_drain, lambda b: b.clean_end),
    "forced": Probe(_force_release, lambda b: b.kill, another=False),
    "paused": Probe(
        _pause_and_kill,
        lambda b: PAUSE_S + ROUND_TRIPS_S,
        another=False,
        not_before=PAUSE_S,
    ),
    "kill": Probe(_kill, lambda b: b.kill),
    "kill_and_restart": Probe(_kill_and_restart, lambda b: b.kill, another=False),
    "hang": Probe(_hang, lambda b: b.hang),
    "host_loss": Probe(_host_loss, lambda b: b.host_loss),
    "outage_unnoticed": Outage(_freeze_servers, lambda b: b.outage_unnoticed, noticed=False),
    "outage_ridden_out": Outage(
        _kill_servers,
        lambda b: min(OUTAGE_S, b.outage_ridden_out - ELECTION_S),
        noticed=True,
        always=False,
    ),
    "agent_outage_ridden_out": Outage(
        _freeze_agent, lambda b: b.agent_outage_ridden_out, noticed=True
    ),
}
"""Each by its name, which is that of its part of the budget where it has one of its own."""


@dataclass(slots=True)
class Struck:
    """What a probe came to. seconds: until work began, if it ended; limit_s: what was promised of
    that; kept: whether the leadership outlived an outage; broken: what was not kept of a promise.
    """

    seconds: float | None = None
    limit_s: float | None = None
    kept: bool | None = None
    broken: str = ""


def strike(fleet: Fleet, name: str, timings: tuple[Timing, ...]) -> Struck:
    """Do it to whoever leads, and see what comes of it."""
    leader = _fresh_leader(fleet)
    probe = PROBES[name]
    if isinstance(probe, Outage):
        # Work that does not stop in its time ends with its process, and so does the leadership.
        leader.temper.stop_s = 0.0
        return _outage(fleet, leader, probe, timings)
    promised = max(probe.promised(budget(timing)) for timing in timings)
    limit_s = promised / (1 - CLOCKS_OFF) + leader.temper.stop_s / (1 - CLOCKS_OFF)
    began, before = fleet.world.time, fleet.begun
    probe.strike(fleet, leader)

    def follows() -> bool:
        # One that stands still has not ended its work, and may never be heard of again.
        worker = fleet.at_work
        return (
            fleet.begun != before
            and worker is not None
            and (worker is not leader or not probe.another)
        )

    struck = Struck(limit_s=limit_s)
    if fleet.run_for(PATIENCE_S, stop=follows):
        struck.seconds = fleet.world.time - began
    if struck.seconds is None or struck.seconds > limit_s:
        struck.broken = f"{struck.seconds} s, promised {limit_s:.2f} s"
    elif struck.seconds < probe.not_before * (1 - CLOCKS_OFF):
        struck.broken = f"{struck.seconds} s, not before {probe.not_before:.2f} s"
    elif probe.heir is not None and fleet.at_work is not probe.heir(fleet, leader):
        following = fleet.at_work.name if fleet.at_work is not None else "nobody"
        struck.broken = f"{following} follows, not {probe.heir(fleet, leader).name}"
    return struck


def _fresh_leader(fleet: Fleet) -> Member:
    """Whoever leads now hands over, and all is quiet again.

    A record that somebody edited by hand makes the next vacancy an unknown one, however it ends.
    """
    leader = fleet.at_work
    assert leader is not None
    leader.step_down()
    fleet.run_for(SETTLE_S)
    following = fleet.at_work
    assert following is not None
    return following


def _outage(fleet: Fleet, leader: Member, probe: Outage, timings: tuple[Timing, ...]) -> Struck:
    lasts_s = min(probe.lasts(budget(timing)) for timing in timings) * (1 - CLOCKS_OFF)
    if lasts_s <= 0:
        return Struck()
    before, working = fleet.begun, dict(fleet.working)
    told = len(fleet.history.entries)
    end = probe.strike(fleet, leader)
    fleet.run_for(lasts_s)
    end()
    fleet.run_for(ELECTION_S + PATIENCE_S)
    kept = fleet.working == working
    if not kept and not probe.always and len(fleet.working) == 1:
        return Struck(kept=False)
    if not kept:
        return Struck(broken=f"{working} before {lasts_s:.2f} s of it, {fleet.working} after")
    suspended = any(_suspended(fleet, told))
    if suspended and not probe.noticed:
        return Struck(broken=f"suspended by {lasts_s:.2f} s of it")
    if fleet.begun != before and not suspended:
        return Struck(broken="the work began anew, and nothing had stopped it")
    return Struck(kept=True)


def _suspended(fleet: Fleet, since: int) -> Iterator[bool]:
    for entry in fleet.history.entries[since:]:
        yield entry.what is What.TOLD and entry.details[0] == "suspended"
