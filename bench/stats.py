"""What a list of measurements comes to. PURE."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

P99_NEEDS = 100
"""With fewer measurements the 99th percentile is the worst by another name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Measurements in brief, in their own unit. `p99` is None where there are too few for it."""

    n: int
    median: float
    p99: float | None
    worst: float
    best: float


def summarise(values: Sequence[float]) -> Summary:
    """The measurements in brief; the larger, the worse. The 99th percentile is by nearest rank.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("there is nothing to summarise")
    ordered = sorted(values)
    enough = len(ordered) >= P99_NEEDS
    return Summary(
        n=len(ordered),
        median=statistics.median(ordered),
        p99=ordered[math.ceil(0.99 * len(ordered)) - 1] if enough else None,
        worst=ordered[-1],
        best=ordered[0],
    )
