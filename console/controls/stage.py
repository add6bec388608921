"""Where the dialog of an operation is, and what it shows there. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from console.controls.actions import BY_OPERATION, Mode, moved_on
from console.controls.course import (
    Course,
    error_parts,
    going_on,
    outcome_parts,
    refused_parts,
    time_line,
)
from console.controls.form import Field, Problem, fields_of
from console.controls.parts import Part, preview_parts
from console.snapshot import Snapshot
from console.view.line import LONG, Span, Tone, line
from coord.consul import ConsulError
from coord.operations import Operation, Preview, Refused
from coord.operations.text import what
from coord.status.words import duration, plain

GOES_ON = "it goes on; you are told its end, and the audit has it"


class Phase(Enum):
    """The parts of the dialog, in the order in which it comes to them."""

    NODE = auto()
    """It asks which node is meant."""
    LOOKING = auto()
    REFUSED = auto()
    """It is not to be done, or it cannot be seen what it would do."""
    ASKING = auto()
    """It shows what would be done, and asks whether and why."""
    GOING = auto()
    """It has begun, or has come to its end."""


class Key(Enum):
    """The buttons; the values are their ids."""

    DO = "do"
    ANYWAY = "anyway"
    AGAIN = "again"
    BACK = "back"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What the dialog knows.

    since: when the phase began, in seconds by the monotonic clock.
    plan: what would be done; shown while it is asked whether.
    against: what speaks against it, in the phase of that name.
    problem: what is wrong with what was typed.
    course: what was begun, once it was.
    """

    operation: Operation
    node: str = ""
    phase: Phase = Phase.LOOKING
    since: float = 0.0
    plan: Preview | None = None
    against: Refused | ConsulError | str = ""
    problem: Problem | None = None
    course: Course | None = None

    @property
    def title(self) -> str:
        """What it is called, and of whom."""
        return f"{BY_OPERATION[self.operation].title} {plain(self.node)}".rstrip()

    @property
    def under_way(self) -> bool:
        """Whether something was begun that has not ended."""
        return self.course is not None and not self.course.ended

    @property
    def fields(self) -> tuple[Field, ...]:
        """What can be typed now."""
        if self.phase is Phase.NODE:
            return (Field.NODE,)
        return fields_of(self.operation) if self.phase is Phase.ASKING else ()

    @property
    def close(self) -> str:
        """What the button says that leaves the dialog."""
        asks = self.phase in (Phase.NODE, Phase.LOOKING, Phase.ASKING)
        return "Cancel" if asks else "Close"

    def keys(self, mode: Mode) -> frozenset[Key]:
        """The buttons that mean something now."""
        shown = {Key.CLOSE}
        against = self.course.refusal if self.course is not None else self.against
        if self.phase in (Phase.NODE, Phase.ASKING):
            shown.add(Key.DO)
        elif against and not mode.why_not(self.operation):
            shown.add(Key.AGAIN)
            if isinstance(against, Refused) and against.anyway:
                shown.add(Key.ANYWAY)
        elif self.course is not None and self.course.can_be_taken_back:
            shown.add(Key.BACK)
        return frozenset(shown)


def body(stage: Stage, now: float, width: int) -> Iterator[Part]:
    """What is to be read."""
    course = stage.course
    if course is not None:
        yield line(Span(plain(what(course.plan.ask), LONG), Tone.STRONG))
        yield ()
        yield from time_line(course, now)
        if course.ended:
            yield from ((), *outcome_parts(course, width))
    elif stage.phase is Phase.NODE:
        yield line(Span("Which node?", Tone.STRONG))
    elif stage.phase is Phase.LOOKING:
        yield line(Span("… what would it do?", Tone.STRONG))
    elif stage.phase is Phase.ASKING and stage.plan is not None:
        yield from preview_parts(stage.plan)
    elif isinstance(stage.against, Refused):
        yield from refused_parts(stage.against)
    elif isinstance(stage.against, ConsulError):
        yield from error_parts(stage.against)
    else:
        yield line(Span(f"✖ not now: {stage.against}", Tone.BAD))


OTHER_ELECTION = "another election is looked at now"


def said(stage: Stage, snapshot: Snapshot, now: float) -> Iterator[Part]:
    """What stands above the buttons."""
    if stage.problem is not None:
        yield line(Span(f"✖ {plain(stage.problem.sentence, LONG)}", Tone.BAD))
    elif stage.phase is Phase.LOOKING:
        yield line(Span(f"asking Consul, {duration(now - stage.since)}", Tone.DIM))
    elif stage.phase is Phase.ASKING and stage.plan is not None:
        same = snapshot.election == stage.plan.election
        later = moved_on(snapshot, stage.plan.leader) if same else OTHER_ELECTION
        if later:
            yield line(Span(f"! {later}: this will be refused", Tone.BAD))
        else:
            button = BY_OPERATION[stage.operation].title
            said = f"nothing is done before you press {button}; esc cancels"
            yield line(Span(said, Tone.DIM))
    elif stage.course is not None and stage.under_way:
        if waits := going_on(stage.course, now):
            yield waits
        yield line(Span(f"esc closes this: {GOES_ON}", Tone.DIM))
