"""What operators ask of an election, as it stands in Consul: read with care, never failing.

Anybody with a token for the store may have written there; what cannot be read counts as not said,
and is told apart (`Controls.unreadable`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from coord.consul import Consistency, ConsulApi, KVEntry
from coord.records import (
    DrainRecord,
    Paths,
    PauseRecord,
    Record,
    RecordError,
    RequestRecord,
    is_name,
)

R = TypeVar("R", bound=Record)

PAUSE_MARGIN_S = 3600.0
"""A pause whose end is longer ago than this by the wall clock is over, whatever clocks were
set to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What is asked.

    pause: nobody is to campaign; None if nothing is said, or it cannot be read.
    drained: who is to lead only if nobody else does, by node.
    request: what the leader of one term is asked, or was: nobody takes it away but who asked.
    kept: the key that makes a watch on the others sleep is there.
    unreadable: what is wrong with the records that cannot be read, by key.
    indices: the ModifyIndex of each key below `control/`, by key: for changing what was seen.
    """

    pause: PauseRecord | None = None
    drained: Mapping[str, DrainRecord] = field(default_factory=lambda: MappingProxyType({}))
    request: RequestRecord | None = None
    kept: bool = False
    unreadable: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    indices: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


async def read_controls(
    consul: ConsulApi, paths: Paths, *, consistency: Consistency = Consistency.DEFAULT
) -> Controls:
    """Read what is asked now. Nothing seems to be, too, where the token may not see it.

    Raises:
        ConsulError: Consul did not answer, or said no.
    """
    reply = await consul.kv_list(paths.control, consistency=consistency)
    return controls_of(reply.value, paths)


def controls_of(entries: Iterable[KVEntry], paths: Paths) -> Controls:
    """Make sense of the keys below `control/`. Keys that nobody knows are left alone."""
    reading = _Reading()
    drained: dict[str, DrainRecord] = {}
    found = {entry.key: entry for entry in entries}
    for key, entry in found.items():
        node = key.removeprefix(paths.drains)
        if node != key and is_name(node) and (record := reading.read(DrainRecord, entry)):
            drained[node] = record
    return Controls(
        pause=reading.read(PauseRecord, found.get(paths.pause)),
        drained=MappingProxyType(drained),
        request=reading.read(RequestRecord, found.get(paths.request)),
        kept=paths.keep in found,
        unreadable=MappingProxyType(reading.problems),
        indices=MappingProxyType({key: entry.modify_index for key, entry in found.items()}),
    )


class _Reading:
    """Decodes records, and gathers what is wrong with those that cannot be."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}

    def read(self, kind: type[R], entry: KVEntry | None) -> R | None:
        if entry is None:
            return None
        try:
            return kind.decode(entry.value)
        except RecordError as error:
            self.problems[entry.key] = str(error)
            return None
