"""The runbooks: what to do when an election needs somebody, for people and for the console.

They are Markdown files, in `runbooks/` of a checkout and inside an installed wheel; both are found.
What they look like, and what is read from them:

- `# Title`, and `## Section`: a section is named by its anchor, as on the web (`#no-leader`).
- A block fenced as `console` has commands: a line that begins with `$ ` is one (lines that begin
  with `> ` go on with it), and what follows until the next is what it shows. Each is a `Step`.
- A step whose command is an operation (`coord step-down …`, see `Operation`) can be done without a
  shell, by `coord.operations`: then the step names it. The node (which comes first of its words)
  and the reason in it are examples: whoever makes a button of it asks for them.
- HTML comments are for the tests, which run every command; they are not in any text here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

PACKED = "_runbooks"
"""Where they are inside the package, once it is built."""

_FENCE = re.compile(r"(?P<ticks>`{3,}|~{3,})\s*(?P<language>\S*)\s*")
_COMMENT = re.compile(r"^<!--.*?-->\n?|[ \t]*<!--.*?-->", re.DOTALL | re.MULTILINE)


class Operation(StrEnum):
    """The operations that a step may be, by their commands."""

    STEP_DOWN = "step-down"
    TRANSFER = "transfer"
    FORCE_RELEASE = "force-release"
    PAUSE = "pause"
    RESUME = "resume"
    DRAIN = "drain"
    UNDRAIN = "undrain"


class RunbookError(LookupError):
    """There is no such runbook, or no such section in it. known: what there is."""

    def __init__(self, what: str, known: tuple[str, ...]) -> None:
        super().__init__(f"{what}; there are {', '.join(known)}")
        self.known = known


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a runbook.

    shown: what it prints, as the runbook shows it; "…" stands for what is left out.
    line: where the command is in the file, counted from 1.
    """

    command: str
    shown: str
    line: int

    @property
    def words(self) -> tuple[str, ...]:
        """The command's words where it is one of `coord` alone; else none: it needs a shell."""
        if not self.command.startswith("coord "):
            return ()
        try:
            lexer = shlex.shlex(self.command, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words = tuple(lexer)
        except ValueError:  # a quotation that does not end
            return ()
        # Another word would have quotes around what the shell makes something of.
        return () if any(re.search(r"[|&;<>()$`\n]", word) for word in words) else words

    @property
    def operation(self) -> Operation | None:
        """Which operation it is; None: not one, or one that does nothing (`--dry-run`)."""
        words = self.words
        if len(words) < 2 or "--dry-run" in words:
            return None
        return next((each for each in Operation if each.value == words[1]), None)

    @property
    def example_node(self) -> str:
        """The node that the operation names, where it takes one: an example, to be asked for."""
        takes_one = self.operation in (Operation.TRANSFER, Operation.DRAIN, Operation.UNDRAIN)
        named = [word for word in self.words[2:3] if not word.startswith("-")]
        return named[0] if takes_one and named else ""


@dataclass(frozen=True, slots=True)
class Block:
    """Markdown that ends with a block of commands, or with the section; the steps in it."""

    text: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One section. text: its Markdown, heading and all, without comments."""

    title: str
    anchor: str
    text: str
    steps: tuple[Step, ...]
    line: int

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Its text in pieces, each with the steps that stand in it, so that they can be shown
        together."""
        found: list[Block] = []
        left = list(self.steps)
        lines = self.text.splitlines()
        begin = 0
        for end in (*_ends_of_blocks(lines), len(lines)):
            piece = lines[begin:end]
            count = len(list(_steps(piece, 0, len(piece))))
            if any(each.strip() for each in piece):
                found.append(Block("\n".join(piece), tuple(left[:count])))
            left, begin = left[count:], end
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Runbook:
    """One runbook. text: its Markdown, without comments; `intro`: what stands before a section."""

    name: str
    title: str
    text: str
    intro: str
    sections: tuple[Section, ...]

    def section(self, anchor: str) -> Section:
        """The section of that anchor.

        Raises:
            RunbookError: there is none.
        """
        for section in self.sections:
            if section.anchor == anchor.lower():
                return section
        known = tuple(section.anchor for section in self.sections)
        raise RunbookError(f"runbook {self.name} has no section {anchor!r}", known)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All commands, in their order."""
        return tuple(step for section in self.sections for step in section.steps)


# --- finding them ----------------------------------------------------------------------------


def _directory() -> Traversable:
    packed = files("coord").joinpath(PACKED)
    return packed if packed.is_dir() else Path(__file__).resolve().parent.parent / "runbooks"


def runbook_names() -> tuple[str, ...]:
    """The names of all runbooks, sorted; none where they were left out of an installation."""
    directory = _directory()
    if not directory.is_dir():
        return ()
    found = (each.name for each in directory.iterdir())
    return tuple(sorted(name.removesuffix(".md") for name in found if name.endswith(".md")))


def read_runbook(name: str) -> Runbook:
    """The runbook of that name.

    Raises:
        RunbookError: there is none.
    """
    known = runbook_names()
    if name not in known:
        raise RunbookError(f"there is no runbook {name!r}", known)
    return parse_runbook(name, _directory().joinpath(f"{name}.md").read_text(encoding="utf-8"))


def find(reference: str) -> tuple[Runbook, Section | None]:
    """The runbook, and the section of it if one is named: `debug-election#no_session`.

    The file's name does as well (`debug-election.md#no_session`), with or without a directory, and
    so does a section's name alone, such as an alert's, if no runbook is called so.

    Raises:
        RunbookError: there is no such runbook or section.
    """
    name, _, anchor = reference.partition("#")
    name = name.rpartition("/")[2].removesuffix(".md")
    if not anchor and name not in runbook_names():
        for book in map(read_runbook, runbook_names()):
            for section in book.sections:
                if section.anchor == name.lower():
                    return book, section
    book = read_runbook(name)
    return book, book.section(anchor) if anchor else None


# --- reading them ----------------------------------------------------------------------------


def parse_runbook(name: str, text: str) -> Runbook:
    """Make sense of a runbook's Markdown.

    Raises:
        ValueError: it has no title, two sections of one anchor, or a block that does not end.
    """
    lines = text.splitlines()
    heads = list(_headings(lines))
    if not heads or heads[0][1] != 1:
        raise ValueError(f"runbook {name} does not begin with a title")
    starts = [line for line, level, _ in heads if level == 2]
    ends = [*starts[1:], len(lines)]
    titles = [title for _, level, title in heads if level == 2]
    sections = tuple(
        Section(
            title=title,
            anchor=anchor_of(title),
            text=_shown("\n".join(lines[start:end])),
            steps=tuple(_steps(lines, start, end)),
            line=start + 1,
        )
        for title, start, end in zip(titles, starts, ends, strict=True)
    )
    anchors = [section.anchor for section in sections]
    if len(set(anchors)) < len(anchors):
        raise ValueError(f"runbook {name} has two sections of one anchor")
    return Runbook(
        name=name,
        title=heads[0][2],
        text=_shown(text),
        intro=_shown("\n".join(lines[heads[0][0] + 1 : starts[0] if starts else None])),
        sections=sections,
    )


def anchor_of(title: str) -> str:
    """The anchor of a heading: lower case, spaces as dashes, without punctuation."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def _shown(text: str) -> str:
    return _COMMENT.sub("", text).strip() + "\n"


def _headings(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """Line from 0, level, title."""
    for number, line, language in _fenced(lines):
        found = re.fullmatch(r"(#{1,6}) +(.*?) *", line)
        if language is None and found:
            yield number, len(found[1]), found[2].replace("`", "")


def _fenced(lines: list[str]) -> Iterator[tuple[int, str, str | None]]:
    """Each line with its number and the language of the block it is in; None outside of blocks.

    The fences themselves are left out.
    """
    fence, language = "", ""
    for number, line in enumerate(lines):
        if fence:
            if line.strip() == fence:
                fence = ""
            else:
                yield number, line, language
        elif opened := _FENCE.fullmatch(line):
            fence, language = opened["ticks"], opened["language"]
        else:
            yield number, line, None
    if fence:
        raise ValueError(f"a block that begins with {fence}{language} does not end")


def _ends_of_blocks(lines: list[str]) -> Iterator[int]:
    """The numbers of the lines that follow a block of commands, from 0."""
    fence, language = "", ""
    for number, line in enumerate(lines):
        if not fence and (opened := _FENCE.fullmatch(line)):
            fence, language = opened["ticks"], opened["language"]
        elif fence and line.strip() == fence:
            fence = ""
            if language == "console":
                yield number + 1


def _steps(lines: list[str], start: int, end: int) -> Iterator[Step]:
    command, shown, began, last = "", [""], -1, -1
    for number, line, language in _fenced(lines[:end]):
        if number < start or language != "console":
            continue
        if line.startswith("$ ") or number != last + 1:
            if command:
                yield Step(command, "\n".join(shown), began + 1)
            command, shown, began = line.removeprefix("$ "), [], number
        elif line.startswith("> ") and not shown:
            command += "\n" + line.removeprefix("> ")
        else:
            shown.append(line)
        last = number
    if command:
        yield Step(command, "\n".join(shown), began + 1)
