"""The commands that stand in a page of the documentation."""

from __future__ import annotations

import shlex
from pathlib import Path

INDENT = "    "
SHELL_FENCES = ("```", "```sh", "```bash")


def shell_blocks(page: Path) -> list[list[str]]:
    """The blocks that are indented or fenced without a language, as commands, in their order.

    What its quotes hold together is one command.
    """
    blocks: list[list[str]] = []
    fence, begins = "", True
    lines: list[str] = []
    for line in [*page.read_text(encoding="utf-8").splitlines(), ""]:
        if line.startswith("```"):
            if fence in SHELL_FENCES and fence:
                blocks.append(_commands(lines))
            fence, lines = ("" if fence else line), []
        elif fence:
            lines.append(line)
        elif line.startswith(INDENT) and (begins or lines):
            lines.append(line.removeprefix(INDENT))
        elif lines:
            blocks.append(_commands(lines))
            lines = []
        begins = not line
    return [block for block in blocks if block]


def _commands(lines: list[str]) -> list[str]:
    commands: list[str] = []
    open_ = ""
    for line in lines:
        open_ = f"{open_}\n{line}" if open_ else line
        if _whole(open_):
            commands.append(open_.strip())
            open_ = ""
    assert not open_, f"a quote that is not closed: {open_}"
    return [command for command in commands if command]


def _whole(text: str) -> bool:
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True
