"""The actions, and which of them there are just now, as the screen shows it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from console.snapshot import Snapshot
from console.view.headline import banner
from console.view.line import text_of
from coord.operations import Ask, Leading, Operation
from coord.operations.preview import leading
from coord.operations.refusals import refusal
from coord.status import ClusterStatus
from coord.status.words import plain

READ_ONLY = "read-only"
"""What stands at the top of a screen from which nothing can be done."""

NO_NODE = "no node is under the cursor"
NOTHING_READ = "nothing is known of the election yet"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done: the key for it, its name, and what it does.

    does: in a sentence; `{leader}` and `{node}` are replaced by names.
    """

    operation: Operation
    key: str
    title: str
    does: str


ACTIONS = (
    Action(Operation.STEP_DOWN, "s", "Step down", "{leader} hands over to the best of the others"),
    Action(Operation.TRANSFER, "t", "Transfer", "{leader} hands over to {node}"),
    Action(Operation.FORCE_RELEASE, "f", "Force release", "takes the lock from {leader}"),
    Action(Operation.PAUSE, "p", "Pause", "nobody new takes the lead for a while"),
    Action(Operation.RESUME, "r", "Resume", "ends the pause"),
    Action(Operation.DRAIN, "d", "Drain", "{node} does not lead unless nobody else does"),
    Action(Operation.UNDRAIN, "u", "Undrain", "{node} may lead again"),
)
"""All of them, in the order in which they are offered."""

BY_OPERATION: Mapping[Operation, Action] = MappingProxyType({a.operation: a for a in ACTIONS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """What may be done at all.

    read_only: why nothing is; "" unless it was asked for.
    denied: why an operation is not permitted, by operation, as far as that is known.
    no_run: why no run of a schedule is permitted; "": it may be, as far as that is known.
    """

    read_only: str = ""
    denied: Mapping[Operation, str] = field(default_factory=lambda: MappingProxyType({}))
    no_run: str = ""

    @property
    def word(self) -> str:
        """What stands at the top of the screen: "" while anything can be done."""
        if self.read_only:
            return READ_ONLY
        return "no rights to act" if len(self.denied) == len(ACTIONS) else ""

    @property
    def why_nothing(self) -> str:
        """Why nothing at all can be done; "" if something may be."""
        if self.read_only:
            return self.read_only
        return next(iter(self.denied.values())) if self.word else ""

    def why_not(self, operation: Operation) -> str:
        """Why this is not permitted; "" if it may be."""
        return self.read_only or self.denied.get(operation, "")

    @property
    def why_no_run(self) -> str:
        """Why no run of a schedule may be asked for; "" if one may be."""
        return self.read_only or self.no_run


def no_right(why: str) -> str:
    """That it is not permitted, and what helps."""
    return f"{why}; give an operator's token, in CONSUL_HTTP_TOKEN_FILE"


@dataclass(frozen=True, slots=True)
class Offer:
    """An action as it is offered.

    does: what it would do, with the names of now.
    why_not: why it cannot be done; "" if it can.
    """

    action: Action
    does: str
    why_not: str = ""


def offers(snapshot: Snapshot, now: float, node: str, mode: Mode) -> tuple[Offer, ...]:
    """All actions, as they are at monotonic time `now`. node: what is under the cursor, or ""."""
    return tuple(offer(action, snapshot, now, node, mode) for action in ACTIONS)


def offer(action: Action, snapshot: Snapshot, now: float, node: str, mode: Mode) -> Offer:
    """One action, as it is then."""
    status = snapshot.status
    who = status.leader_node if status is not None else None
    leader = plain(who) if who else "the leader"
    does = action.does.format(leader=leader, node=plain(node) or "the node under the cursor")
    operation = action.operation
    why_not = mode.why_not(operation) or unsure(snapshot, now)
    if not why_not and status is not None:
        why_not = _refused(status, operation, node)
    return Offer(action, does, why_not)


def _refused(status: ClusterStatus, operation: Operation, node: str) -> str:
    if operation.needs_node and not node:
        return NO_NODE
    try:
        ask = Ask(
            operation=operation, node=node if operation.needs_node else "", actor="-", reason="-"
        )
        found = refusal(status, status.controls.asked, ask, leading(status))
    except ValueError as error:  # what is shown has a name that none can have
        return plain(str(error), 200)
    # What may be done all the same is offered: its dialog says what speaks against it.
    return "" if found is None or found.anyway else plain(found.sentence, 200)


def unsure(snapshot: Snapshot, now: float) -> str:
    """Why what is shown is no ground to act on; "" if it is one."""
    said = banner(snapshot, now)
    if said:
        return text_of(said[:1]).lstrip("✖! ")
    return NOTHING_READ if snapshot.status is None else ""


def seen_term(snapshot: Snapshot) -> int | None:
    """The term on the screen: what is asked is decided on it. None: nobody leads there."""
    leader = leading(snapshot.status) if snapshot.status is not None else None
    return leader.term if leader is not None else None


def moved_on(snapshot: Snapshot, seen: Leading | None) -> str:
    """Who leads by now, where that is no longer who was seen to; else ""."""
    if snapshot.status is None or seen_term(snapshot) == (seen.term if seen else None):
        return ""
    leader = leading(snapshot.status)
    if leader is None:
        return "nobody leads now"
    return f"{plain(leader.node) or 'somebody'} leads now, under term {leader.term}"
