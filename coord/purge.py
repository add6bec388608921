"""Removing a dead election: all its keys, once nothing shows that anybody lives in it.

What shows life is looked for first; what the token may not see counts as hidden, never as absent,
and then nothing is removed. The removal itself is one transaction that fails if the leader key or
the term key changed since: whoever took the lock meanwhile keeps everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from coord.clock import Clock
from coord.consul import (
    CheckStatus,
    Consistency,
    ConsulApi,
    ConsulError,
    ConsulNotPermitted,
    KVEntry,
    ServiceInstance,
    Session,
    TxnOp,
)
from coord.members import LeaderInstance, Listing, Member, Seen, cut, read_instances
from coord.records import POLLER_SERVICE, AuditRecord, Paths
from coord.status import Condition, read_status
from coord.status.sessions import session_name

SCRATCH_TTL_S = 10.0
"""How soon Consul ends the session that is made to see whether sessions can be seen at all."""

SESSIONS = "the sessions"
"""What is hidden from a token that may not see them."""

OTHER = "other"
"""The group of keys that no version of ours writes."""


class Life(StrEnum):
    """What shows that an election is alive."""

    LOCKED = "locked"
    """A session holds a key of it, the leader key above all."""
    LEADER_SERVICE = "leader_service"
    """A leader is found by discovery."""
    CANDIDATE = "candidate"
    OBSERVER = "observer"
    POLLER = "poller"
    SESSION = "session"
    """A candidate's session lives: its process does, or ended less than 30 s ago."""


Members = Mapping[Life, Listing[Member] | Listing[LeaderInstance]]


@dataclass(frozen=True, slots=True)
class Sign:
    """One sign of life. who: the key, the node or the session that shows it."""

    life: Life
    who: str


class Outcome(StrEnum):
    """What came of it."""

    NOTHING_THERE = "nothing_there"
    PURGED = "purged"
    ALIVE = "alive"
    """Refused: somebody lives in it."""
    HIDDEN = "hidden"
    """Refused: the token may not see all that would show life; after `purge`: sessions."""
    CHANGED = "changed"
    """The leader key or the term key changed meanwhile: nothing was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What is there, and whether it may go.

    keys: how many keys there are, by what they are: `leader`, `journal`, `polls` and so on.
    alive: what shows life; nothing may be removed then.
    hidden: what the token does not let see; nothing may be removed then either.
    leftovers: registered instances whose check fails: their agents forget them by themselves.
    leader_index, term_index: ModifyIndex of these two keys, 0 where there is none.
    """

    election: str
    keys: Mapping[str, int]
    alive: tuple[Sign, ...] = ()
    hidden: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    leader_index: int = 0
    term_index: int = 0

    @property
    def total(self) -> int:
        """How many keys there are."""
        return sum(self.keys.values())

    @property
    def refusal(self) -> Outcome | None:
        """Why nothing may be removed; None: it may."""
        if self.alive:
            return Outcome.ALIVE
        return Outcome.HIDDEN if self.hidden else None


# --- looking ---------------------------------------------------------------------------------


async def inspect(consul: ConsulApi, paths: Paths, *, clock: Clock) -> Inspection:
    """Look, and change nothing.

    Sessions that cannot be seen look like none; only `purge` finds that out.

    Raises:
        ConsulError: Consul did not answer, or has no leader.
    """
    status = await read_status(consul, paths, clock=clock)
    pollers = await read_instances(consul, POLLER_SERVICE)
    entries, hidden_keys = await _entries(consul, paths)
    sessions, hidden_sessions = await _sessions(consul, paths)
    by_key = {entry.key: entry for entry in entries}
    members: Members = {
        Life.LEADER_SERVICE: status.leader_service,
        Life.CANDIDATE: status.candidates,
        Life.OBSERVER: status.observers,
    }
    alive = [Sign(Life.LOCKED, entry.key) for entry in entries if entry.session]
    alive += [
        Sign(life, item.node)
        for life, found in members.items()
        for item in found.items
        if item.status is CheckStatus.PASSING
    ]
    alive += _pollers(pollers, paths.election)
    alive += [Sign(Life.SESSION, cut(session.name)) for session in sessions]
    hidden = [*hidden_keys, *hidden_sessions, *_hidden_services(paths, members)]
    if status.stale:
        hidden.append("what is there now: Consul has no leader")
    if status.leader.condition is Condition.NOT_PERMITTED:
        hidden.append(paths.leader)
    return Inspection(
        election=paths.election,
        keys=_counted(by_key, paths),
        alive=tuple(alive),
        hidden=tuple(dict.fromkeys(hidden)),
        leftovers=tuple(
            item.service_id
            for found in members.values()
            for item in found.items
            if item.status is not CheckStatus.PASSING
        ),
        leader_index=_index(by_key, paths.leader),
        term_index=_index(by_key, paths.term),
    )


async def _entries(consul: ConsulApi, paths: Paths) -> tuple[tuple[KVEntry, ...], tuple[str, ...]]:
    try:
        reply = await consul.kv_list(paths.root, consistency=Consistency.CONSISTENT)
    except ConsulNotPermitted:
        return (), (f"the keys below {paths.root}",)
    return reply.value, ()


async def _sessions(consul: ConsulApi, paths: Paths) -> tuple[tuple[Session, ...], tuple[str, ...]]:
    try:
        found = await consul.session_list()
    except ConsulNotPermitted:
        return (), (SESSIONS,)
    ours = session_name(paths.election)
    return tuple(each for each in found if each.name.startswith(ours)), ()


def _pollers(found: Listing[ServiceInstance], election: str) -> Iterator[Sign]:
    """Pollers share one service name; each names its election."""
    for item in found.items:
        if item.meta.get("election") == election and item.status is CheckStatus.PASSING:
            yield Sign(Life.POLLER, cut(item.meta.get("node", "") or item.node))


def _hidden_services(paths: Paths, members: Members) -> Iterator[str]:
    names = {
        Life.LEADER_SERVICE: paths.leader_service,
        Life.CANDIDATE: paths.candidate_service,
        Life.OBSERVER: paths.observer_service,
    }
    for life, found in members.items():
        if found.seen is not Seen.KNOWN:
            yield f"the service {names[life]}"


def _counted(keys: Iterable[str], paths: Paths) -> Mapping[str, int]:
    """How many keys of which kind, the most important kinds first."""
    kinds = ("leader", "term", "control", "journal", "audit", "cluster", "polls")
    counts = Counter(key.removeprefix(paths.root).split("/")[0] for key in keys)
    known = {kind: counts.pop(kind) for kind in kinds if kind in counts}
    rest = sum(counts.values())
    return MappingProxyType(known | ({OTHER: rest} if rest else {}))


def _index(by_key: Mapping[str, KVEntry], key: str) -> int:
    entry = by_key.get(key)
    return entry.modify_index if entry else 0


# --- removing --------------------------------------------------------------------------------


async def purge(consul: ConsulApi, found: Inspection, audit: AuditRecord) -> Outcome:
    """Remove every key of the election that was found dead, and leave `audit` in their place.

    Purging an election of which nothing but such entries is left removes these as well, and
    leaves nothing.

    Raises:
        ConsulNotPermitted: the token may not write all of the election's keys; all are still there.
        ConsulError: Consul did not answer (look again: it may be done), or has no leader.
    """
    if found.refusal:
        return found.refusal
    if not found.total:
        return Outcome.NOTHING_THERE
    if not await _sessions_can_be_seen(consul, found.election):
        return Outcome.HIDDEN
    paths = Paths(found.election)
    ops = [
        _unchanged(paths.term, found.term_index),
        _unchanged(paths.leader, found.leader_index),
        TxnOp.kv_delete_tree(paths.root),
    ]
    if set(found.keys) != {"audit"}:
        ops.append(TxnOp.kv_cas(audit.key(paths), audit.encode(), 0))
    result = await consul.txn(ops)
    return Outcome.PURGED if result.ok else Outcome.CHANGED


def _unchanged(key: str, index: int) -> TxnOp:
    """Taking the lock changes the leader key, and the term key in the same transaction."""
    return TxnOp.kv_check_index(key, index) if index else TxnOp.kv_check_not_exists(key)


async def _sessions_can_be_seen(consul: ConsulApi, election: str) -> bool:
    """Whether the list of sessions has one that was just made: denied lists are empty."""
    try:
        session = await consul.session_create(
            name=f"{election} purge", checks=(), lock_delay_s=1.0, ttl_s=SCRATCH_TTL_S
        )
    except ConsulNotPermitted:
        return False
    try:
        return any(each.id == session for each in await consul.session_list())
    finally:
        with suppress(ConsulError):  # it ends by itself
            await consul.session_destroy(session)
