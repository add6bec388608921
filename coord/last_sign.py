"""When a leader that vanished gave its last sign of life, as the check of its candidate tells.

A check that nobody passes fails exactly its TTL after it was passed last. So whoever follows the
candidates in the catalog, as each candidate does, learns of the last pass without a clock of the
other node and without a request more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coord.members import Member

APART_S = 30.0
"""At most so long before the vacancy is seen may the check be seen to fail: an entry that failed
earlier is of another loss. An agent keeps those of dead processes for minutes."""


@dataclass(frozen=True, slots=True)
class _Expired:
    node: str
    seen_at: float
    ttl_s: float


class LastSigns:
    """Follows the candidates of an election; times in monotonic seconds."""

    def __init__(self) -> None:
        self._failing: dict[str, _Expired | None] | None = None

    def see(self, candidates: Iterable[Member], now: float) -> None:
        """These are the candidates now. What failed before the first look, failed nobody knows
        when."""
        before, failing = self._failing, {}
        for each in candidates:
            if not each.gone:
                continue
            ttl_ms = each.timing_ms.get("check_ttl")
            told = each.expired and ttl_ms is not None and before is not None
            new = _Expired(each.node, now, (ttl_ms or 0) / 1000) if told else None
            failing[each.service_id] = (before or {}).get(each.service_id, new)
        self._failing = failing

    def before(self, node: str, vacant_at: float) -> float | None:
        """How long before this vacancy was seen the node that led gave its last sign, in seconds;
        None: its check did not run out, or nothing is known of it."""
        signs = [
            vacant_at - min(each.seen_at, vacant_at) + each.ttl_s
            for each in (self._failing or {}).values()
            if each is not None and each.node == node and each.seen_at > vacant_at - APART_S
        ]
        return min(signs, default=None)
