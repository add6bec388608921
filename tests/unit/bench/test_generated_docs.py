"""The generated parts of the documentation: that they are fresh, and how they are replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import DOCUMENT
from coord.config import Settings, env_name
from docs.generate import PARTS, Part, replaced, settings_table, stale

PAGE = "before\n<!-- it: make it -->\nold\n<!-- /it -->\nafter\n"


def test_nothing_generated_is_stale() -> None:
    names = [f"{part.file}: {part.name}" for part, _ in stale()]
    assert not names, f"run `make docs`: {', '.join(names)}"


def test_a_stale_part_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part("page.md", "it", lambda: "new")
    monkeypatch.setattr("docs.generate.PARTS", (part,))
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    ((found, fresh),) = stale(tmp_path)
    assert found is part
    page.write_text(fresh)
    assert list(stale(tmp_path)) == []


def test_only_what_is_between_the_marks_is_replaced() -> None:
    fresh = replaced(PAGE, "it", r"new \1")
    assert fresh == "before\n<!-- it: make it -->\nnew \\1\n<!-- /it -->\nafter\n"
    assert replaced(fresh, "it", r"new \1") == fresh


@pytest.mark.parametrize("page", ["no marks\n", PAGE + PAGE, PAGE.replace("<!-- /it -->", "")])
def test_marks_that_are_not_there_once_are_refused(page: str) -> None:
    with pytest.raises(ValueError, match="<!-- it"):
        replaced(page, "it", "new")


def test_every_setting_has_its_row() -> None:
    rows = settings_table().splitlines()
    for name in Settings.model_fields:
        assert sum(row.startswith(f"| `{name}` | `{env_name(name)}` |") for row in rows) == 1
    assert any("| `lease` | `COORDINATOR_LEASE` | `2s` |" in row for row in rows)


def test_the_benchmark_has_its_places_in_its_page() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in ("failover", "idle", "console", "polls"):
        assert "\nfigures\n" in replaced(text, name, "figures")
    assert DOCUMENT.name not in {Path(part.file).name for part in PARTS}
