"""What a recording is made of. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from console.recording.form import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands in the first line. began_ms: wall-clock milliseconds since 1970."""

    election: str
    consul: str
    began_ms: int
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One line.

    line: its number in the file.
    at: when it was written, in seconds by the clock of who recorded.
    wall_ms: when the status in it was read, in wall-clock milliseconds since 1970; 0: never was.
    leads: who leads in it, and under which term; None: nobody does.
    told: something has changed besides the time of reading and Consul's latency.
    changed: another leader than in the line before, or none.
    """

    line: int
    at: float
    tree: Tree = field(repr=False)
    wall_ms: int = 0
    leads: tuple[str, int] | None = None
    told: bool = True
    changed: bool = False
