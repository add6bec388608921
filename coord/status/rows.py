"""Which rows a snapshot has for people: one for each process, the gone ones folded away. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from coord.consul import CheckStatus
from coord.election.reasons import WhyNot
from coord.election.state import State
from coord.members import Listing, Member, Role
from coord.status.model import ClusterStatus, Condition, ControlStatus, LeaderStatus
from coord.status.words import ms_of, pause_left_ms

_PASSED = (State.LEADING, State.SUSPENDED, State.WAITING, State.ACQUIRING)
"""What nobody is while another holds the leader key."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process start of a node, by all that it is registered as, in the order of `Role`."""

    parts: tuple[Member, ...]

    @property
    def main(self) -> Member:
        """What it is first of all."""
        return self.parts[0]

    @property
    def node(self) -> str:
        """What it calls itself."""
        return self.main.node

    @property
    def status(self) -> CheckStatus:
        """The worst of its parts."""
        return max((part.status for part in self.parts), key=lambda status: status.severity)

    @property
    def gone(self) -> bool:
        """Whether all of it is gone."""
        return all(part.gone for part in self.parts)


@dataclass(frozen=True, slots=True)
class Folded:
    """The processes that have a row, and by node how many earlier ones, all gone, have none."""

    shown: tuple[Process, ...]
    earlier: Mapping[str, int]


def fold(found: Iterable[Member]) -> Folded:
    """One row for each process that is there, and for each node one if it is gone altogether."""
    nodes: dict[str, list[Process]] = {}
    for process in processes(found):
        nodes.setdefault(process.node, []).append(process)
    shown: list[Process] = []
    earlier: dict[str, int] = {}
    for node in sorted(nodes):
        every = nodes[node]
        kept = [process for process in every if not process.gone] or every[:1]
        shown.extend(kept)
        if len(every) > len(kept):
            earlier[node] = len(every) - len(kept)
    return Folded(tuple(shown), earlier)


def processes(found: Iterable[Member]) -> tuple[Process, ...]:
    """The members, those of one process put together."""
    parts: dict[tuple[str, str], list[Member]] = {}
    for item in found:
        boot = item.boot_id or item.address or item.service_id
        parts.setdefault((item.node, boot), []).append(item)
    order = list(Role)
    return tuple(
        Process(tuple(sorted(each, key=lambda item: order.index(item.role))))
        for each in parts.values()
    )


def leading_member(candidates: Iterable[Member], leader: LeaderStatus) -> Member | None:
    """The one passing candidate that the leader key means; None: nobody leads, or it is not seen.

    By name and, where the record has one, by address: two nodes may have been given one name.
    """
    if not leader.locked or not leader.node:
        return None
    fitting = [
        item
        for item in candidates
        if item.role is Role.CANDIDATE
        and item.passing
        and item.node == leader.node
        and leader.address in ("", item.address)
    ]
    # After a quick restart the boot before may still pass for a moment, at the same address.
    said = (item for item in fitting if item.state == "leading")
    return next(said, fitting[0] if fitting else None)


def in_the_light_of(
    leader: LeaderStatus, found: Listing[Member], controls: ControlStatus, now_ms: int
) -> Listing[Member]:
    """The candidates, where the leader key says better what they are.

    A candidate tells what it is only once that has lasted some seconds, so it may still tell that
    it leads, or waits for a vacancy, while another holds the key; and that another leads while
    nobody does.
    """
    if leader.locked and leader.node:
        return Listing(found.seen, tuple(_while_held(item, leader) for item in found.items))
    if not leader.locked and leader.condition is not Condition.NOT_PERMITTED:
        items = (_while_vacant(item, leader, controls, now_ms) for item in found.items)
        return Listing(found.seen, tuple(items))
    return found


def _while_held(item: Member, leader: LeaderStatus) -> Member:
    if item.state not in _PASSED or item.node == leader.node or item.gone:
        return item
    return replace(
        item,
        state=State.STANDBY.value,
        why_not=WhyNot.HELD_BY_OTHER.value,
        since_ms=None if leader.since is None else ms_of(leader.since),
        until_ms=None,
    )


def _while_vacant(
    item: Member, leader: LeaderStatus, controls: ControlStatus, now_ms: int
) -> Member:
    """Nobody takes a vacancy sooner than what is asked, or how it was left, allows."""
    if item.reason is not WhyNot.HELD_BY_OTHER:
        return item
    pause = controls.asked.pause
    if pause is not None and pause_left_ms(pause, now_ms) > 0:
        reason = WhyNot.PAUSED
    elif item.node in controls.asked.drained:
        reason = WhyNot.DRAINED
    else:
        reason = WhyNot.WAITING_TURN if leader.handed_over else WhyNot.LOCK_DELAY
    state = State.WAITING.value
    return replace(item, state=state, why_not=reason.value, since_ms=None, until_ms=None)


def namesakes(status: ClusterStatus) -> Mapping[str, tuple[str, ...]]:
    """The names that several passing nodes have, each with their addresses, sorted."""
    found: dict[str, set[str]] = {}
    for item in (*status.candidates.items, *status.observers.items):
        if item.passing:
            found.setdefault(item.node, set()).add(item.address)
    return {
        name: tuple(sorted(addresses))
        for name, addresses in sorted(found.items())
        if len(addresses) > 1
    }
