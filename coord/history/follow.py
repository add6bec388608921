"""The journal as it grows: every entry once, in the order in which it comes to be seen."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from coord.consul import ConsulApi, ConsulError, ConsulNotPermitted, KVEntry, WatchError, watch
from coord.consul.changes import prefix_query
from coord.history.read import journal_probe
from coord.records import Paths
from coord.status import Unavailable
from coord.telemetry.journal import KEPT_ENTRIES, JournalEntry, decoded

REMEMBERED = 20 * KEPT_ENTRIES
"""How many keys are remembered as told: a write of one that was pruned may land late."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was written since, oldest first by the clocks of who wrote it.

    missed: so much was written meanwhile that some of it may have been pruned before it was read.
    """

    entries: tuple[JournalEntry, ...]
    missed: bool = False


async def follow(consul: ConsulApi, paths: Paths) -> AsyncGenerator[Told | Unavailable, None]:
    """All entries that there are at once, then new ones as they are written.

    While Consul cannot be read there is one `Unavailable` for each kind of error, then a `Told`, be
    there anything new or not, once it can. Close it (``contextlib.aclosing``) to end its query.

    Raises:
        ConsulNotPermitted: the token may not read the journal, from the first.
    """
    news = News()
    failing: type[ConsulError] | None = None
    query = prefix_query(consul, paths.journal)
    async with aclosing(watch(query, jitter=random.random)) as replies:
        async for reply in replies:
            entries: tuple[KVEntry, ...] = ()
            error: ConsulError | None
            if isinstance(reply, WatchError):
                error = reply.error
            else:
                entries = reply.value
                error = None if entries else await _why_empty(consul, paths)
            if error is not None:
                if isinstance(error, ConsulNotPermitted) and not news.begun:
                    raise error
                if type(error) is not failing:
                    failing = type(error)
                    yield Unavailable(error)
                continue
            begun = news.begun
            fresh, missed = news.of(entries)
            if fresh or failing or not begun:
                yield Told(decoded(paths, fresh), missed)
            failing = None


async def _why_empty(consul: ConsulApi, paths: Paths) -> ConsulError | None:
    """Why nothing is to be seen, if not because there is nothing."""
    try:
        await consul.kv_get(journal_probe(paths))
    except ConsulError as error:
        return error
    return None


class News:
    """Which of the keys that are there were not there before."""

    def __init__(self) -> None:
        self.begun = False
        self._there: frozenset[str] = frozenset()
        self._told: dict[str, None] = {}

    @property
    def remembered(self) -> int:
        """How many keys are remembered as told."""
        return len(self._told)

    def of(self, entries: Iterable[KVEntry]) -> tuple[list[KVEntry], bool]:
        """Those that are new; and whether others may have come and gone in between."""
        found = {entry.key: entry for entry in entries}
        fresh = [entry for key, entry in found.items() if key not in self._told]
        # Pruning leaves the newest: if none is left of those, as many were written meanwhile.
        missed = bool(self._there) and len(found) >= KEPT_ENTRIES and not self._there & found.keys()
        self._told |= dict.fromkeys(found)
        for key in list(self._told)[:-REMEMBERED]:
            del self._told[key]
        self._there, self.begun = frozenset(found), True
        return fresh, missed
