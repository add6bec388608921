"""Which elections there are in Consul, and who leads each.

An election is found by its keys, ``service/<name>/leader``, or by the service of its candidates:
one that is dead has only keys, and a token that may not list all keys still sees the services that
it may read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from coord.consul import ConsulApi, ConsulNotPermitted
from coord.members import Seen
from coord.records import CANDIDATE_SERVICE, ROOT, Paths, is_name
from coord.status.model import (
    Condition,
    KeyRead,
    LeaderStatus,
    TermCondition,
    TermStatus,
    leader_status,
)

MOST = 500
"""So many elections at most are looked at."""

_AT_ONCE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectionStatus:
    """One election. leader: as its key says; its oddities are not looked for.

    candidates: it has a service of candidates.
    """

    name: str
    leader: LeaderStatus
    candidates: bool


@dataclass(frozen=True, slots=True)
class ElectionListing:
    """All that were found, by name. `seen` other than KNOWN: there may be others.

    omitted: how many more there are than are looked at.
    """

    seen: Seen
    items: tuple[ElectionStatus, ...] = ()
    omitted: int = 0


async def read_elections(consul: ConsulApi) -> ElectionListing:
    """Look for them.

    Raises:
        ConsulError: Consul did not answer; a lack of rights is said by `seen`.
    """
    seen, by_keys = await _by_keys(consul)
    with_candidates = frozenset(_of_services(await _services(consul)))
    names = sorted(by_keys | with_candidates)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def look(name: str) -> ElectionStatus:
        async with gate:
            leader = await _leader(consul, Paths(name))
        return ElectionStatus(name=name, leader=leader, candidates=name in with_candidates)

    found = await asyncio.gather(*(look(name) for name in names[:MOST]))
    # Others keep keys there as well: what has neither a leader key nor candidates is none.
    gone = Condition.MISSING
    items = (one for one in found if one.candidates or one.leader.condition is not gone)
    return ElectionListing(seen, tuple(items), omitted=max(0, len(names) - MOST))


async def _by_keys(consul: ConsulApi) -> tuple[Seen, frozenset[str]]:
    try:
        found = (await consul.kv_keys(ROOT, separator="/")).value
    except ConsulNotPermitted:
        return Seen.NOT_PERMITTED, frozenset()
    names = (key.removeprefix(ROOT).removesuffix("/") for key in found if key.endswith("/"))
    # A token that may not list them all is not told so: an empty list may be a lack of rights.
    kept = frozenset(name for name in names if is_name(name))
    return (Seen.KNOWN if kept else Seen.UNKNOWN), kept


async def _services(consul: ConsulApi) -> Iterable[str]:
    try:
        return await consul.catalog_services()
    except ConsulNotPermitted:
        return ()


def _of_services(services: Iterable[str]) -> Iterable[str]:
    """The elections whose candidates are registered."""
    suffix = f"-{CANDIDATE_SERVICE}"
    for service in services:
        name = "coordinator" if service == CANDIDATE_SERVICE else service.removesuffix(suffix)
        if is_name(name) and Paths(name).candidate_service == service:
            yield name


async def _leader(consul: ConsulApi, paths: Paths) -> LeaderStatus:
    unknown_term = TermStatus(condition=TermCondition.NOT_PERMITTED)
    try:
        entry = (await consul.kv_get(paths.leader)).value
    except ConsulNotPermitted:
        return leader_status(KeyRead(False), unknown_term)
    return leader_status(KeyRead(True, entry), unknown_term)
