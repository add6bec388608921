"""What the health endpoints answer: the election as a node sees it, and one table over it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from coord.election.reasons import WhyNot
from coord.election.state import State
from coord.supervisor import ChildStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectionView:
    """The election as this node sees it now.

    state: a value of `State`.
    why_not: why it does not lead; None if it does.
    why_not_detail: for how long still, or what Consul said; "" where there is no more to say.
    leader_node, leader_term: who leads as far as it knows, and in which term.
    term: its own; None unless it leads.
    lease_remaining_s: None unless it leads.
    consul: ``ok``, or what keeps it from reading Consul.
    work: the children of the supervisor.
    loop_ok: the event loop has not just been away for longer than a lease.
    """

    state: str
    why_not: WhyNot | None = None
    why_not_detail: str = ""
    leader_node: str | None = None
    leader_term: int | None = None
    term: int | None = None
    lease_remaining_s: float | None = None
    consul: Literal["ok"] | WhyNot = "ok"
    work: tuple[ChildStatus, ...] = ()
    loop_ok: bool = True


_FAULTS: Final[Mapping[WhyNot, tuple[str, ...]]] = {
    WhyNot.CONSUL_UNREACHABLE: ("consul",),
    WhyNot.NO_CONSUL_LEADER: ("consul",),
    WhyNot.NOT_PERMITTED: ("keys_not_read", "no_session", "leader_key_not_watched"),
    WhyNot.NO_SESSION: ("no_session",),
}
_ALWAYS: Final = ("check_not_passed",)
"""Who cannot pass its check is out of it for all others, whatever it thinks itself."""


def detail_of(why_not: WhyNot | None, left_s: float | None, faults: Mapping[str, str]) -> str:
    """What there is to say besides `why_not`.

    left_s: for how many seconds more that is so; None: not known.
    faults: what goes wrong at the moment, by the kinds of `coord.telemetry.words.FAULTS`, with
        what Consul said.
    """
    said = [f"for another {left_s:.1f} s"] if left_s is not None and left_s > 0 else []
    kinds = _FAULTS.get(why_not, ()) if why_not is not None else ()
    told = (faults[kind] for kind in (*kinds, *_ALWAYS) if kind in faults)
    return "; ".join(dict.fromkeys((*said, *told)))


class Probes(NamedTuple):
    """Which of the health endpoints answer 200; the others 503."""

    live: bool
    ready: bool
    leader: bool
    health: bool

    def status(self, probe: str) -> int:
        """The HTTP status of that endpoint."""
        return 200 if getattr(self, probe) else 503


class Row(StrEnum):
    """The rows that stand beside the states."""

    NO_CONSUL = "no_consul"
    """Consul cannot be read, for whatever reason."""
    HUNG = "hung"
    """The event loop hangs."""


_LEADER: Final = Probes(live=True, ready=True, leader=True, health=True)
_FOLLOWER: Final = Probes(live=True, ready=True, leader=False, health=True)
_ALIVE: Final = Probes(live=True, ready=False, leader=False, health=False)
_DEAD: Final = Probes(live=False, ready=False, leader=False, health=False)

PROBES: Final[Mapping[State | Row, Probes]] = {
    State.LEADING: _LEADER,
    State.STANDBY: _FOLLOWER,
    State.WAITING: _FOLLOWER,
    State.ACQUIRING: _FOLLOWER,
    State.COOLING: _FOLLOWER,
    State.OBSERVER: _FOLLOWER,
    State.SUSPENDED: _ALIVE,
    State.STEPPING_DOWN: _ALIVE,
    State.JOINING: _ALIVE,
    State.STOPPED: _ALIVE,
    Row.NO_CONSUL: _ALIVE,
    Row.HUNG: _DEAD,
}
"""Every state and what the endpoints answer in it."""


def row_of(view: ElectionView) -> State | Row:
    """The row of `PROBES` that holds.

    A leader stays one while its lease runs, whether Consul answers or not; with its lease over it
    counts as suspended, also if it has not got round to it. A state unknown here counts as joining.
    """
    if not view.loop_ok:
        return Row.HUNG
    try:
        state = State(view.state)
    except ValueError:
        return State.JOINING
    if state is State.LEADING:
        lease_over = view.lease_remaining_s is not None and view.lease_remaining_s <= 0
        return State.SUSPENDED if lease_over else state
    return state if view.consul == "ok" or not PROBES[state].ready else Row.NO_CONSUL
