#!/usr/bin/env python3
"""Writes what follows from the code, parts of the documentation and whole files: `make docs`.

A generated part stands between `<!-- NAME: … -->` and `<!-- /NAME -->`; everything else is left as
it is. `--check` writes nothing, and ends with 1 if something is stale.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coord.cli.options import CONSUL_FIELDS, default_text
from coord.config import TIMING_FIELDS, Settings, env_name
from coord.rights import Role, policy
from docs.cli_reference import cli_text
from docs.election_table import state_diagram, transition_table
from docs.openapi import openapi_text
from docs.telemetry_tables import events_text, metrics_text
from docs.timing_profiles import profiles_table
from tests.simulation.fault_table import faults_table
from tests.simulation.mutants import MUTANTS
from tests.simulation.planted import known

REPO = Path(__file__).resolve().parent.parent

NODE_FIELDS = ("node", "node_type", "eligible", "election", "listen", "advertise", "session_checks")
CONSOLE_FIELDS = ("read_only", "theme")


@dataclass(frozen=True, slots=True)
class Part:
    """One generated part: `render` gives what belongs between the marks `name` in `file`.

    Without a name it is all of the file, which need not be there.
    """

    file: str
    name: str
    render: Callable[[], str]

    def fresh(self, root: Path) -> str | None:
        """The file as it should be; None: it is so already."""
        path = root / self.file
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        fresh = replaced(text, self.name, self.render()) if self.name else self.render()
        return None if fresh == text else fresh


def replaced(text: str, name: str, body: str) -> str:
    """The text with `body` between the marks of that name.

    Raises:
        ValueError: the marks are not there, or more than once.
    """
    marks = re.compile(
        rf"^(<!-- {re.escape(name)}: [^\n]*-->\n).*?^(<!-- /{re.escape(name)} -->)$", re.S | re.M
    )
    found = len(marks.findall(text))
    if found != 1:
        raise ValueError(
            f"the marks `<!-- {name}: … -->` and `<!-- /{name} -->` must be there once, "
            f"each on a line of its own; they are there {found} times"
        )
    return marks.sub(lambda match: f"{match[1]}{body.strip()}\n{match[2]}", text)


# --- the settings --------------------------------------------------------------------------------


def settings_table() -> str:
    """Every setting in one table: what it is called, its default, what it means."""
    work = [
        name
        for name in Settings.model_fields
        if name not in (*TIMING_FIELDS, *NODE_FIELDS, *CONSUL_FIELDS, *CONSOLE_FIELDS)
    ]
    groups: dict[str, Sequence[str]] = {
        "Timing": TIMING_FIELDS,
        "Node": NODE_FIELDS,
        "Consul": CONSUL_FIELDS,
        "Work and logs": work,
        "Console": CONSOLE_FIELDS,
    }
    lines = ["| setting | environment variable | default | meaning |", "|---|---|---|---|"]
    for title, names in groups.items():
        lines.append(f"| **{title}** | | | |")
        lines += (_row(name) for name in names)
    return "\n".join(lines)


def _row(name: str) -> str:
    info = Settings.model_fields[name]
    has_default = info.default_factory is None and info.default not in (None, (), "")
    default = f"`{default_text(name, info.default)}`" if has_default else ""
    meaning = (info.description or "").replace("|", "\\|")
    return f"| `{name}` | `{env_name(name)}` | {default} | {meaning} |"


# --- all of them ---------------------------------------------------------------------------------


def mutants_table() -> str:
    """The faults that are planted in the node's code, and must be found."""
    rows = ["| planted | the mistake | seed | the rule that told |", "|---|---|---|---|"]
    found = known()
    for name, plant in MUTANTS.items():
        finding = found.get(name)
        told = f"{finding.seed} | {finding.rule}" if finding else "not looked for yet |"
        rows.append(f"| {name.replace('_', ' ')} | {(plant.__doc__ or '').strip()} | {told} |")
    return "\n".join(rows)


def _policy(role: Role) -> Part:
    default = Settings(environ={}, node="any")
    return Part(f"consul-dev/acl/{role}.hcl", "", lambda: policy(role, default))


PARTS: tuple[Part, ...] = (
    Part("docs/configuration.md", "settings", settings_table),
    Part("docs/configuration.md", "profiles", profiles_table),
    Part("docs/election.md", "election-diagram", state_diagram),
    Part("docs/election.md", "election-table", transition_table),
    Part("docs/events.md", "events", events_text),
    Part("docs/monitoring.md", "metrics", metrics_text),
    Part("docs/reliability.md", "faults", faults_table),
    Part("docs/reliability.md", "mutants", mutants_table),
    Part("docs/cli.md", "", cli_text),
    Part("coord/api/openapi.json", "", openapi_text),
    *(_policy(role) for role in Role),
)


def stale(root: Path = REPO) -> Iterator[tuple[Part, str]]:
    """What is not what the code says, each with its whole file as it should be."""
    for part in PARTS:
        fresh = part.fresh(root)
        if fresh is not None:
            yield part, fresh


def main() -> int:
    """Write what is stale, or with `--check` only name it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a part is stale")
    check = parser.parse_args().check
    found = False
    for part, fresh in stale():
        found = True
        if not check:
            (REPO / part.file).parent.mkdir(exist_ok=True)
            (REPO / part.file).write_text(fresh, encoding="utf-8")
        said = "is stale: run `make docs`" if check else "written"
        print(f"{part.file}: {part.name or 'all of it'} {said}")
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())
