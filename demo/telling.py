"""How the demo tells its story: a time line of at most 80 columns, plain where that is wanted."""

from __future__ import annotations

import contextlib
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

from rich.console import Console
from rich.text import Text

WIDTH = 80
_TIME = 8
_LABEL = 22

_NODE = r"\b(core|web|poller)-\d+\b"


class _Console(Console):
    """Leaves it to the caller what to do when nobody reads any more: there is more to end."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console_for(stream: TextIO) -> Console:
    """A console on that stream; colours only on a terminal without NO_COLOR (rich sees to it)."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")  # a name must not break the story on odd terminals
    console = _Console(file=stream, highlight=False, emoji=False, markup=False)
    console.width = min(console.width, WIDTH) if stream.isatty() else WIDTH
    return console


class Narrator:
    """Prints the story as it goes; times are seconds since it was made."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or console_for(sys.stdout)
        self._began = time.monotonic()

    @property
    def took_s(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def title(self, title: str, below: str) -> None:
        """The head of everything."""
        self._console.print(Text(title, style="bold"))
        self._block(below, indent=0, style="dim")

    def act(self, title: str, about: str) -> None:
        """A new act begins."""
        self._console.print()
        head = Text.assemble((f"── {title} ", "bold"))
        head.append("─" * max(2, self._console.width - head.cell_len), style="dim")
        self._console.print(head)
        self._block(about, indent=0, style="dim")

    def say(self, text: str, *, at: float | None = None, style: str = "") -> None:
        """Something happened, now or at that CLOCK_MONOTONIC time."""
        seconds = (time.monotonic() if at is None else at) - self._began
        lines = textwrap.wrap(text, self._console.width - _TIME)
        for number, line in enumerate(lines or [""]):
            stamp = f"{seconds:6.2f}  " if number == 0 else " " * _TIME
            self._console.print(Text(stamp, style="dim") + self._named(line, style))

    def fact(self, label: str, value: str, *, good: bool | None = None) -> None:
        """A result of the act; good or bad, if it can be either."""
        style = {True: "green", False: "bold red", None: ""}[good]
        width = self._console.width - _TIME - _LABEL
        for number, line in enumerate(textwrap.wrap(value, width) or [""]):
            head = f"{label:{_LABEL}}" if number == 0 else " " * _LABEL
            self._console.print(Text(" " * _TIME + head, style="dim") + Text(line, style=style))

    def rows(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A small table; the first column is to the left, the others to the right."""
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        for number, row in enumerate((head, *rows)):
            cells = [f"{row[0]:{widths[0]}}"]
            cells += [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
            line = " " * _TIME + "  ".join(cells)
            self._console.print(self._named(line.rstrip(), "dim" if number == 0 else ""))

    def blank(self) -> None:
        """An empty line."""
        self._console.print()

    def verdict(self, problems: Sequence[str]) -> None:
        """The last word."""
        self._console.print()
        if not problems:
            self._console.print(Text(f"All of it held, in {self.took_s:.0f} s.", "bold green"))
            return
        self._console.print(Text("It did not hold:", "bold red"))
        for problem in problems:
            first, *rest = problem.splitlines() or [""]
            lines = textwrap.wrap(first, self._console.width - 4)
            for number, line in enumerate(lines):
                self._console.print(Text(("  - " if number == 0 else "    ") + line))
            for line in rest:  # a log: as it is
                self._console.print(Text(f"    {line}", style="dim"), soft_wrap=True)

    def note(self, label: str, text: str) -> None:
        """A line to copy from: never wrapped."""
        self._console.print(Text(f"  {label:13}", style="dim") + Text(text), soft_wrap=True)

    def plain(self, text: str) -> None:
        """A paragraph."""
        self._block(text, indent=0, style="")

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show on a terminal that something is waited for."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(Text(text, style="dim"), spinner="line", spinner_style="dim"):
            yield

    def _block(self, text: str, *, indent: int, style: str) -> None:
        for line in textwrap.wrap(text, self._console.width - indent):
            self._console.print(Text(" " * indent) + self._named(line, style))

    @staticmethod
    def _named(line: str, style: str) -> Text:
        text = Text(line, style=style)
        text.highlight_regex(_NODE, style="cyan")
        return text
