"""What the console looks like, beside what it looked like: SVG files under version control."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual.app import App
from textual.widgets import Input

from demo import REPO
from docs.pictures import normalised

KEPT = REPO / "tests" / "console" / "snapshots"
NEW = REPO / ".cache" / "snapshots"
WRITE = "COORD_WRITE_SNAPSHOTS"


def picture_of(app: App[None]) -> str:
    """What is on the screen now."""
    return normalised(app.export_screenshot(title="coord", simplify=True))


def stand_still(app: App[None]) -> None:
    """Let no cursor blink."""
    for each in app.screen.query(Input):
        each.cursor_blink = False


def compare(name: str, picture: str, kept: Path = KEPT, new: Path = NEW) -> None:
    """Fail if that looks otherwise than it did; with `COORD_WRITE_SNAPSHOTS` keep it instead."""
    file = kept / f"{name}.svg"
    if os.environ.get(WRITE):
        file.write_text(picture, encoding="utf-8")
        return
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    if before == picture:
        return
    new.mkdir(parents=True, exist_ok=True)
    shown = new / f"{name}.svg"
    shown.write_text(picture, encoding="utf-8")
    what = "looks otherwise" if before else "was never looked at"
    pytest.fail(
        f"{name} {what}:\n{first_difference(before, picture)}\n"
        f"new: {shown}\nold: {file}\nLook at both; if it is right: make snapshots",
        pytrace=False,
    )


def first_difference(before: str, after: str) -> str:
    """The first line that differs, as it was and as it is."""
    old, new = before.splitlines(), after.splitlines()
    number = next(
        (i for i, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]),
        min(len(old), len(new)),
    )

    def line(found: list[str]) -> str:
        return found[number][:300] if number < len(found) else "(it ends there)"

    return f"line {number + 1}\n- {line(old)}\n+ {line(new)}"
