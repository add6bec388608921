"""One operation as it is seen from the moment it was confirmed: frozen, and what is told of it.
Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from console.controls.actions import BY_OPERATION
from console.controls.parts import Part, Row
from console.view.by_key import by_key
from console.view.failover import phase_lines
from console.view.headline import failure_words
from console.view.line import LONG, Line, Span, Tone, line
from coord.consul import ConsulError, ConsulNotPermitted
from coord.operations import (
    Operation,
    Outcome,
    OutcomeWord,
    PhaseName,
    Preview,
    RefusalCode,
    Refused,
    Step,
    StepKind,
)
from coord.operations.text import STEPS, outcome_lines, seconds, step_words
from coord.status.words import plain, span

DONE, NOW, LATER, FAILED = "✔", "◔", "○", "✖"

_WIDTH = 10
"""Of a time, in columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What has been seen of it.

    plan: what was confirmed. began: when, in seconds by the monotonic clock.
    called_off: it was taken back before it was begun.
    refused: it was not begun, as it is no longer as it was shown.
    error: it was not begun, as Consul could not be asked. mistake: something of ours went wrong.
    """

    plan: Preview
    began: float
    steps: tuple[Step, ...] = ()
    outcome: Outcome | None = None
    called_off: bool = False
    refused: Refused | None = None
    error: ConsulError | None = None
    mistake: str = ""

    @property
    def id(self) -> str:
        """The same for the same operation."""
        return self.plan.ask.request_id

    @property
    def title(self) -> str:
        """What it is called, and of whom."""
        ask = self.plan.ask
        return f"{BY_OPERATION[ask.operation].title} {plain(ask.node)}".rstrip()

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return bool(self.outcome or self.called_off or self.refused or self.error or self.mistake)

    @property
    def ok(self) -> bool:
        """Whether it ended as asked."""
        return self.outcome is not None and self.outcome.ok

    @property
    def refusal(self) -> Refused | None:
        """Why it was not begun, where it was refused."""
        return self.refused or (self.outcome.refusal if self.outcome is not None else None)

    @property
    def not_permitted(self) -> str:
        """Why the token does not allow it, where that is what came of it; else ""."""
        if self.outcome is not None and self.outcome.word is OutcomeWord.NOT_PERMITTED:
            return self.outcome.detail
        if self.refused is not None and self.refused.code is RefusalCode.NOT_PERMITTED:
            return self.refused.sentence
        return str(self.error) if isinstance(self.error, ConsulNotPermitted) else ""

    @property
    def can_be_taken_back(self) -> bool:
        """Whether it is asked of a leader that may not have taken it up yet."""
        seen = {step.kind for step in self.steps}
        return (
            self.plan.ask.operation.of_leader
            and not self.ended
            and StepKind.REQUESTED in seen
            and not seen & {StepKind.ANSWERED, StepKind.RELEASED, StepKind.SESSION_DESTROYED}
        )


def expected(plan: Preview) -> tuple[StepKind, ...]:
    """The steps on the way to where it was to end, in their order."""
    ends = plan.ask.operation in (Operation.RESUME, Operation.UNDRAIN)
    first = StepKind.TAKEN_AWAY if ends else StepKind.REQUESTED
    if not plan.interrupts:
        return (first,)
    forced = plan.ask.operation is Operation.FORCE_RELEASE
    heard = StepKind.SESSION_DESTROYED if forced else StepKind.ANSWERED
    return (first, heard, StepKind.RELEASED, StepKind.ACQUIRED, StepKind.WORKS)


def time_line(course: Course, now: float) -> Iterator[Part]:
    """Each step with when it was seen; then what is waited for, and what is to come after it."""
    for step in course.steps:
        lost = step.kind is StepKind.LOST_CONTACT
        symbol = Span("! ", Tone.WARN) if lost else Span(f"{DONE} ", Tone.GOOD)
        yield Row(_head(symbol, seconds(step.at_ms)), line(plain(step_words(step), LONG)))
    if course.ended:
        return
    way = expected(course.plan)
    seen = [way.index(step.kind) for step in course.steps if step.kind in way]
    left = way[max(seen, default=-1) + 1 :]
    waits_for = STEPS[left[0]] if left else _last_wait(course)
    since = f"{elapsed_ms(course, now) / 1000:.1f} s"
    yield Row(_head(Span(f"{NOW} ", Tone.WARN), since), line(waits_for))
    for kind in left[1:]:
        yield Row(_head(Span(f"{LATER} ", Tone.DIM)), line(Span(STEPS[kind], Tone.DIM)))


def _head(symbol: Span, time: str = "") -> Line:
    return line(symbol, Span(time.rjust(_WIDTH), Tone.DIM))


def _last_wait(course: Course) -> str:
    if course.plan.interrupts:
        return "until the new leader has told how long nobody worked"
    return "until the nodes say so"


def elapsed_ms(course: Course, now: float) -> int:
    """How long it goes on already, in milliseconds; to a tenth of a second."""
    return max(0, round((now - course.began) * 10)) * 100


def going_on(course: Course, now: float) -> Line:
    """How it stands, in a line: how long nobody works by now, against what was expected."""
    gap = course.plan.gap
    at = {step.kind: step.at_ms for step in course.steps}
    if gap is None or StepKind.RELEASED not in at or StepKind.WORKS in at:
        return ()
    idle_ms = max(0, elapsed_ms(course, now) - at[StepKind.RELEASED])
    most_ms = gap.expected_ms if gap.until_ms is None else gap.until_ms
    late = idle_ms > most_ms + 1000
    said = f"nobody works since {span(idle_ms)}; {span(gap.expected_ms)} were expected"
    if gap.until_ms is not None:
        said += f", {span(gap.until_ms)} possible"
    return line(Span(said, Tone.BAD if late else Tone.WARN))


def outcome_parts(course: Course, width: int) -> Iterator[Part]:
    """What came of it: the word first, the gap by its phases, what helps."""
    if course.outcome is not None:
        first, *rest = outcome_lines(course.outcome)
        symbol, tone = (DONE, Tone.GOOD) if course.ok else (FAILED, Tone.BAD)
        yield _told(symbol, first, tone)
        yield from (_told("", text.strip()) for text in rest)
        phases = course.outcome.phases
        told = [(name.value, phases[name.value]) for name in PhaseName if name.value in phases]
        if told:
            yield ()
            yield from phase_lines(told, width)
    elif course.called_off:
        yield _told(FAILED, "taken back before it was begun", Tone.BAD)
    elif course.refused is not None:
        yield from refused_parts(course.refused)
    elif course.error is not None:
        yield from error_parts(course.error)
    elif course.mistake:
        yield _told(FAILED, f"internal error: {course.mistake}", Tone.BAD)
        yield _told("", "it may have been done: look at the audit")


def _told(symbol: str, text: str, tone: Tone = Tone.PLAIN) -> Part:
    return Row(line(Span(symbol, tone)), line(Span(plain(by_key(text), LONG), tone)))


def refused_parts(refused: Refused) -> Iterator[Part]:
    """Why it is not begun, and what helps."""
    yield _told(FAILED, f"refused: {refused.sentence}", Tone.BAD)
    if refused.hint:
        yield _told("", refused.hint)
    yield _told("", "nothing was changed", Tone.DIM)


def error_parts(error: ConsulError) -> Iterator[Part]:
    """That Consul could not be asked."""
    yield _told(FAILED, failure_words(error), Tone.BAD)
    yield _told("", str(error))
    yield _told("", "nothing was changed", Tone.DIM)


def in_a_word(course: Course) -> str:
    """What came of it, for a notice."""
    if course.outcome is not None:
        return plain(outcome_lines(course.outcome)[0], LONG)
    if course.called_off:
        return "taken back before it was begun"
    if course.refused is not None:
        return f"refused: {plain(course.refused.sentence, LONG)}"
    if course.error is not None:
        return failure_words(course.error)
    return f"internal error: {plain(course.mistake, LONG)}" if course.mistake else "goes on"
