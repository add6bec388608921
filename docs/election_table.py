"""The election's table and its state diagram, as Markdown, from `coord.election.states.TABLE`.

PURE: text out, nothing read or written.
"""

from __future__ import annotations

from collections.abc import Mapping

from coord.election import events as ev
from coord.election.states import TABLE, Row, State, To

Table = Mapping[State, Mapping[type[ev.Event], Row]]


def state_diagram(table: Table = TABLE) -> str:
    """A Mermaid state diagram: an arrow for every pair of states, with the events that lead there.

    Events that leave the state as it is have no arrow; the table names them.
    """
    lines = ["```mermaid", "stateDiagram-v2", "    direction TB"]
    lines += [f"    [*] --> {state.name}" for state in (State.JOINING, State.OBSERVER)]
    for state, rows in table.items():
        arrows: dict[State, list[str]] = {}
        for kind, row in rows.items():
            for target in row.states if isinstance(row, To) else ():
                if target is not state:
                    arrows.setdefault(target, []).append(kind.__name__)
        for target in (each for each in State if each in arrows):
            label = ", ".join(arrows[target])
            lines.append(f"    {state.name} --> {target.name}: {label}")
    lines += [f"    {State.STOPPED.name} --> [*]", "```"]
    return "\n".join(lines)


def transition_table(table: Table = TABLE) -> str:
    """What each event may do in each state: one section for each state."""
    return "\n\n".join(_section(state, rows) for state, rows in table.items())


def _section(state: State, rows: Mapping[type[ev.Event], Row]) -> str:
    lines = [f"### {state.name}", "", "| event | afterwards |", "|---|---|"]
    ignored: dict[str, list[str]] = {}
    for kind in ev.EVENTS:
        row = rows[kind]
        if isinstance(row, To):
            targets = ", ".join(_name(target, state) for target in State if target in row.states)
            lines.append(f"| {kind.__name__} | {targets} |")
        else:
            ignored.setdefault(row.because, []).append(kind.__name__)
    lines += [f"| {', '.join(kinds)} | ignored: {why} |" for why, kinds in ignored.items()]
    return "\n".join(lines)


def _name(target: State, state: State) -> str:
    return "unchanged" if target is state else target.name
