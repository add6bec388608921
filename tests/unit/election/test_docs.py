"""docs/election.md shows the table that the code keeps to."""

from __future__ import annotations

from coord.election import events as ev
from coord.election.states import OVER, TABLE, Ignored, State, To, to
from docs.election_table import Table, state_diagram, transition_table
from docs.generate import PARTS, REPO, replaced

PAGE = "docs/election.md"


def test_the_page_is_fresh() -> None:
    text = (REPO / PAGE).read_text(encoding="utf-8")
    parts = [part for part in PARTS if part.file == PAGE]
    assert {part.name for part in parts} == {"election-diagram", "election-table"}
    for part in parts:
        assert replaced(text, part.name, part.render()) == text, "run `make docs`"


def test_a_changed_row_makes_the_page_stale() -> None:
    rows = {**TABLE[State.STOPPED], ev.Tick: to(State.JOINING)}
    changed: Table = {**TABLE, State.STOPPED: rows}
    assert "STOPPED --> JOINING: Tick" in state_diagram(changed)
    assert state_diagram(changed) != state_diagram()
    assert transition_table(changed) != transition_table()
    told = {**TABLE[State.STOPPED], ev.Tick: Ignored("of another reason")}
    assert transition_table({**TABLE, State.STOPPED: told}) != transition_table()


def test_the_diagram_has_an_arrow_for_every_change_and_no_other() -> None:
    arrows = {
        (state.name, target.name)
        for state, rows in TABLE.items()
        for row in rows.values()
        if isinstance(row, To)
        for target in row.states
        if target is not state
    }
    drawn = {
        (words[0], words[2].rstrip(":"))
        for line in state_diagram().splitlines()
        if (words := line.split())[1:2] == ["-->"] and "[*]" not in line
    }
    assert drawn == arrows


def test_the_table_names_every_event_of_every_state_once() -> None:
    sections = transition_table().split("### ")[1:]
    assert [section.splitlines()[0] for section in sections] == [state.name for state in TABLE]
    for section in sections:
        rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")][1:]
        named = sorted(name.strip() for row in rows for name in row.split(","))
        assert named == sorted(kind.__name__ for kind in ev.EVENTS)
    assert f"ignored: {OVER.because}" in sections[-1]
