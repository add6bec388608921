"""What a runbook's source says to the tests: which commands, on which stage, and what they show.

Beside what `coord.runbooks` reads there are comments, which no reader sees:

    <!-- stage: NAME -->         what follows happens on a new stage of that name (`runbook_stages`)
    <!-- do: ACTION WORD … -->   what the text tells to do without a command: the stage does it
    <!-- exit: N -->             the next command ends with N, not with 0

What a command shows is compared as `shown_as` makes it, with what differs from run to run masked. A
line "…" stands for any number of lines, "…" within a line for anything.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

from coord.runbooks import Step, parse_runbook

_COMMENT = re.compile(r"<!--\s*(stage|do|exit):\s*(.*?)\s*-->")
_ANY = "…"


@dataclass(frozen=True, slots=True)
class Do:
    """Something that the stage does."""

    action: str
    words: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Run:
    """A command that the shell runs, and the exit status that it ends with."""

    step: Step
    exit_status: int


@dataclass(slots=True)
class Act:
    """What happens on one stage, in its order."""

    book: str
    stage: str
    line: int
    parts: list[Do | Run] = field(default_factory=list)

    @property
    def runs(self) -> list[Run]:
        """The commands alone."""
        return [part for part in self.parts if isinstance(part, Run)]


def acts_of(name: str, text: str) -> list[Act]:
    """The acts of a runbook.

    Raises:
        ValueError: a command or a deed before the first stage, or a comment that means nothing.
    """
    acts: list[Act] = []
    expected = 0
    for line, item in sorted(_items(name, text), key=lambda pair: pair[0]):
        if isinstance(item, Step):
            _last(acts, name, line).parts.append(Run(item, expected))
            expected = 0
            continue
        kind, said = item
        if kind == "stage":
            acts.append(Act(name, said, line))
        elif kind == "exit":
            expected = int(said)
        else:
            action, *words = said.split()
            _last(acts, name, line).parts.append(Do(action, tuple(words), line))
    if expected:
        raise ValueError(f"{name}: an exit status that is no command's")
    return acts


def _items(name: str, text: str) -> Iterator[tuple[int, Step | tuple[str, str]]]:
    for step in parse_runbook(name, text).steps:
        yield step.line, step
    for number, line in enumerate(text.splitlines(), start=1):
        found = _COMMENT.findall(line)
        if line.count("<!--") != len(found):
            raise ValueError(f"{name}, line {number}: {line} means nothing")
        for kind, said in found:
            yield number, (kind, said)


def _last(acts: list[Act], name: str, line: int) -> Act:
    if not acts:
        raise ValueError(f"{name}, line {line}: this has no stage")
    return acts[-1]


# --- what is shown ---------------------------------------------------------------------------

_TIME = r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?: UTC|Z|\+00:00)?"
_UNIT = r"(?:ms|s|min|h|d|seconds?|minutes?|hours?)\b"

MASKS: tuple[tuple[str, str], ...] = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"),
    (_TIME, "<time>"),
    (r"\d\d:\d\d:\d\d(?:\.\d+)?", "<time>"),
    (r"\b\d+\.\d+\.\d+\.\d+:\d+", "<address>"),
    (r"\b[0-9a-f]{16}\b", "<request>"),
    (r"\b[0-9a-f]{8}\b", "<boot>"),
    (r"[\w.-]+@[\w.-]+", "<actor>"),
    (r"[+-]?\d+(?:\.\d+)?(?: (?:to|and) \d+(?:\.\d+)?)? ?" + _UNIT, "<span>"),
    (r"<span>(?: <span>)+", "<span>"),
    (r"just now|<span> ago", "<ago>"),
    (r"(Index\"?: )\d+", r"\1<index>"),
    (r"(\"Value\": )\"[A-Za-z0-9+/=]*\"", r"\1<value>"),
    (r"(version )\d+\.\d+\.\d+\S*", r"\1<version>"),
    (r"(gap <span> \()[^)]*\)", r"\1…)"),
    (r" {2,}", "  "),
)

PASSING = re.compile(r"<span>  (?:answered|lock given back|has seen it)")
"""What goes by too fast to be seen each time: lines of a time line that may be missing."""


def shown_as(line: str) -> str:
    """The line with what differs from run to run masked."""
    for pattern, mask in MASKS:
        line = re.sub(pattern, mask, line)
    return line.strip()


def shows(expected: str, shown: str) -> bool:
    """Whether that is what the runbook shows."""
    pattern = "".join(_pattern(line) for line in _lasting(expected))
    said = "".join(f"{line}\n" for line in _lasting(shown))
    return re.fullmatch(pattern, said) is not None


def _lasting(text: str) -> Iterator[str]:
    for line in map(shown_as, text.splitlines()):
        if not PASSING.match(line):
            yield line


def _pattern(line: str) -> str:
    if line == _ANY:
        return r"(?:[^\n]*\n)*"
    return ".*".join(re.escape(part) for part in line.split(_ANY)) + r"\n"


def difference(expected: str, shown: str) -> str:
    """Both, for whoever has to see what is wrong."""
    parts = ("the runbook shows", textwrap.indent(expected, "  | "))
    return "\n".join((*parts, "but it was", textwrap.indent(shown, "  | ")))


def rewritten(text: str, step: Step, shown: str) -> str:
    """The runbook with what that step shows put in its place."""
    lines = text.splitlines()
    first = step.line - 1 + len(step.command.splitlines())
    old = step.shown.splitlines()
    assert lines[first : first + len(old)] == old, (step, lines[first : first + len(old)])
    lines[first : first + len(old)] = [line.rstrip() for line in shown.splitlines()]
    return "\n".join(lines) + "\n"
