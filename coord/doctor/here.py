"""The settings of whoever examines, as the doctor takes them."""

from __future__ import annotations

from coord.config import TIMING_FIELDS, Settings
from coord.config.sources import SourceKind
from coord.doctor.facts import Here


def here_of(settings: Settings) -> Here:
    """The timing here; it counts if any of it was set, or a node's name was."""
    sources = settings.sources
    chosen = any(
        sources[field].kind is not SourceKind.DEFAULT for field in ("node", *TIMING_FIELDS)
    )
    return Here(node=settings.node, timing=settings.timing, takes_part=chosen)
