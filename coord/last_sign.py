"""When a leader that vanished gave its last sign of life, as the check of its candidate tells.

A check that nobody passes fails exactly its TTL after it was passed last. So whoever follows the
candidates in the catalog, as each candidate does, learns of the last pass without a clock of the
other node and without a request more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coord.consul import ServiceInstance
from coord.members import Role, member

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

    def see(self, gone: Iterable[ServiceInstance], now: float) -> None:
        """These are the candidates whose check fails now. What failed before the first look, failed
        nobody knows when."""
        known, failing = self._failing, {}
        for each in gone:
            if known is not None and each.id in known:
                failing[each.id] = known[each.id]
            else:
                failing[each.id] = None if known is None else _expired(each, now)
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


def _expired(gone: ServiceInstance, now: float) -> _Expired | None:
    """What is known of it if its check ran out; None if it fails for another reason."""
    told = member(Role.CANDIDATE, gone)
    ttl_ms = told.timing_ms.get("check_ttl")
    return _Expired(told.node, now, ttl_ms / 1000) if told.expired and ttl_ms is not None else None
