"""What `coord config` says: the settings, what this node may do, and what the timing costs.

PURE: settings in, a JSON-able report or lines of text out. Secrets are masked in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from coord.cli.options import DURATION_FIELDS, default_text
from coord.config import SECRET_FIELDS, Settings
from coord.election.timing import Timing, budget
from coord.node_type import EligibleWhy

MASK = "********"

BUDGET_WORDS: dict[str, str] = {
    "clean_end": "worst gap, clean end",
    "kill": "worst gap, process killed",
    "hang": "worst gap, process hung",
    "host_loss": "worst gap, host lost",
    "recovery": "to a leader after many faults",
    "outage_unnoticed": "Consul away, not noticed",
    "outage_ridden_out": "Consul's servers away, ridden out",
    "cut_off_ridden_out": "host cut off, ridden out",
    "agent_outage_ridden_out": "own agent silent, ridden out",
    "overlap_margin": "overlap margin",
}


WHY_WORDS: dict[EligibleWhy, str] = {
    EligibleWhy.NODE_TYPE_MAY_LEAD: "core and web nodes may",
    EligibleWhy.NODE_TYPE_MAY_NOT_LEAD: "pollers may not, unless COORDINATOR_ELIGIBLE=true",
    EligibleWhy.NODE_TYPE_UNKNOWN: "set COORDINATOR_NODE_TYPE to core or web if it should",
    EligibleWhy.SET_ELIGIBLE: "the setting eligible says so",
    EligibleWhy.SET_NOT_ELIGIBLE: "the setting eligible says so",
}


def budget_s(timing: Timing) -> dict[str, float]:
    """The budget in seconds, by its fields' names."""
    return asdict(budget(timing))


def config_report(settings: Settings) -> dict[str, Any]:
    """The report as JSON-able values; durations both as written and in seconds."""
    found = settings.found_node_type
    eligibility = settings.eligibility
    return {
        "settings": {name: _setting(settings, name) for name in type(settings).model_fields},
        "node": {
            "name": settings.node,
            "node_type": found.node_type.value,
            "node_type_from": found.via.value,
            "eligible": eligibility.eligible,
            "eligible_why": eligibility.why.value,
        },
        "budget_s": {name: round(s, 6) for name, s in budget_s(settings.timing).items()},
        "config_file": str(settings.config_path) if settings.config_path else None,
        "deprecated": [
            {"name": item.name, "where": str(item.where), "advice": item.advice}
            for item in settings.deprecated
        ],
        "exposed_files": [str(path) for path in settings.exposed_files],
        "unknown_variables": [
            {"name": item.name, "nearest": item.nearest} for item in settings.unknown_variables
        ],
    }


def _setting(settings: Settings, name: str) -> dict[str, Any]:
    value = getattr(settings, name)
    source = settings.sources[name]
    entry: dict[str, Any] = {
        "value": value,
        "source": {"kind": source.kind.value, "name": source.name},
    }
    if value is None or isinstance(value, bool | int):
        pass
    elif name in SECRET_FIELDS:
        entry["value"] = MASK
    elif isinstance(value, tuple):
        entry["value"] = list(value)
    else:
        entry["value"] = default_text(name, value)
    if name in DURATION_FIELDS:
        entry["value_s"] = value
    return entry


def config_lines(settings: Settings) -> Iterator[str]:
    """The report as lines for people."""
    yield from _settings_lines(settings)
    yield ""
    yield from _node_lines(settings)
    yield ""
    yield "Timing budget (default gossip, tens of agents)"
    amounts = budget_s(settings.timing)
    for name in sorted(amounts, key=_budget_order):
        words = BUDGET_WORDS.get(name, name.replace("_", " "))
        yield f"  {words:<36}{amounts[name]:8.3f} s"
    notes = [f"{item}" for item in settings.deprecated]
    for variable in settings.unknown_variables:
        hint = f"; did you mean {variable.nearest}?" if variable.nearest else ""
        notes.append(f"{variable.name} is set and is no setting{hint}")
    notes += [
        f"{path} has a token or key in it, and every user of this machine may read it"
        for path in settings.exposed_files
    ]
    if notes:
        yield ""
        yield "Warnings"
        yield from (f"  {note}" for note in notes)


def _budget_order(name: str) -> int:
    names = list(BUDGET_WORDS)
    return names.index(name) if name in names else len(names)


_LONG = 48
"""A list that is longer stands below each other."""


def _settings_lines(settings: Settings) -> Iterator[str]:
    rows = [(name, _text(settings, name), str(source)) for name, source in settings.sources.items()]
    name_width = max(len(name) for name, _, _ in rows)
    value_width = max(len(value) for _, value, _ in rows if len(value) <= _LONG)
    yield "Settings"
    for name, value, source in rows:
        lines = [value] if len(value) <= _LONG else value.replace(",", ",\n").splitlines()
        yield f"  {name:<{name_width}}  {lines[0]:<{value_width}}  {source}"
        yield from (f"  {'':<{name_width}}  {line}" for line in lines[1:])


def _text(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    if value is None:
        return "-"
    return MASK if name in SECRET_FIELDS else default_text(name, value)


def _node_lines(settings: Settings) -> Iterator[str]:
    found = settings.found_node_type
    eligibility = settings.eligibility
    yield "This node"
    yield f"  node type  {found.node_type} (by {found.via}: {found.text})"
    answer = "yes" if eligibility.eligible else "no"
    yield f"  may lead   {answer} ({eligibility.why}): {WHY_WORDS[eligibility.why]}"
