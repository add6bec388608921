"""The table of all that is done to simulated worlds, for docs/reliability.md."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

from tests.simulation.faults import CONSUL_KINDS, LINK_KINDS, NODE_KINDS, Faults
from tests.simulation.operator import ACTS, Operator


def faults_table() -> str:
    """Each kind of fault and each operator's act, with what it is.

    Raises:
        ValueError: one does not say what it is.
    """
    rows = ["| done to | kind | what happens |", "|---|---|---|"]
    rows += _rows("nodes", Faults, NODE_KINDS, "_")
    rows += _rows("links", Faults, LINK_KINDS, "_")
    rows += _rows("Consul", Faults, CONSUL_KINDS, "_")
    rows += _rows("keys and sessions, by an operator", Operator, ACTS, "")
    return "\n".join(rows)


def _rows(done_to: str, of: type, names: Sequence[str], prefix: str) -> Iterator[str]:
    for name in names:
        said = inspect.getdoc(getattr(of, f"{prefix}{name}"))
        if not said:
            raise ValueError(f"{of.__name__}.{prefix}{name} does not say what it does")
        first = " ".join(said.split("\n\n")[0].split())
        yield f"| {done_to} | {name.replace('_', ' ')} | {first} |"
