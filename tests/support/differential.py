"""The same random calls on two Consuls, and what came of them told in words that compare.

Session ids are told by the order of creation. Indexes are left out of what is told and collected
instead: the two Consuls count differently, but in the same order.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from coord.consul import (
    Consistency,
    ConsulApi,
    ConsulError,
    KVEntry,
    Reply,
    Session,
    TxnOp,
    TxnResult,
    TxnVerb,
)

KEYS = ("k/a", "k/a/b", "k/ab", "k/b", "k/c/d", "k/c/e")
PREFIXES = ("k/", "k/a", "k/a/", "k/c/", "k/nothing/")
STRANGERS = ("00000000-0000-0000-0000-000000000000", "not-a-session", "")
FRESH, STALE = "fresh", "stale"
Told = tuple[object, ...]


@dataclass(slots=True)
class Side:
    """One Consul: its sessions in the order of creation, and every index that it told."""

    consul: ConsulApi
    sessions: list[str] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)

    def session(self, number: int) -> str:
        """A session by its number; a negative one is of none that was ever created."""
        return STRANGERS[-number - 1] if number < 0 else self.sessions[number]

    def name_of(self, session: str | None) -> str | None:
        """What a session is called on both sides."""
        if session is None or session not in self.sessions:
            return session
        return f"session {self.sessions.index(session)}"

    def text(self, said: str) -> str:
        """An error's text without what differs from one Consul to another."""
        for number, session in enumerate(self.sessions):
            said = said.replace(session, f"session {number}")
        return re.sub(r"(?<=index )\d+ != \d+", "# != #", said)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a transaction; `at` says which index it names, `session` which session."""

    verb: TxnVerb
    key: str
    value: bytes
    flags: int
    at: str | int
    session: int


@dataclass(frozen=True, slots=True)
class Asked:
    """One call. `arguments` are as drawn; `steps` only for transactions."""

    what: str
    arguments: tuple[object, ...] = ()
    steps: tuple[Step, ...] = ()


def draw(rng: random.Random, count: int) -> list[Asked]:
    """A history of calls, most of which find something to work on."""
    asked: list[Asked] = []
    sessions = 0
    for _ in range(count):
        kind = rng.choices(
            ("put", "delete", "get", "list", "txn", "create", "session"), (3, 1, 2, 2, 12, 2, 3)
        )[0]
        if kind == "create":
            sessions += 1
        asked.append(_draw_one(rng, kind, sessions))
    return asked


def _draw_one(rng: random.Random, kind: str, sessions: int) -> Asked:
    key, prefix = rng.choice(KEYS), rng.choice(PREFIXES)
    at = rng.choice((None, None, 0, FRESH, FRESH, STALE))
    if kind == "put":
        return Asked("put", (key, _value(rng), at, rng.choice((0, 0, 7, 2**64 - 1))))
    if kind == "delete":
        if rng.random() < 0.3:
            return Asked("delete under", (prefix,))
        return Asked("delete", (key, at))
    if kind == "get":
        return Asked("get", (key, rng.choice(list(Consistency))))
    if kind == "list":
        return Asked(rng.choice(("list", "names")), (prefix,))
    if kind == "create":
        lock_delay_s = rng.choice((0, 0, 0, 45))
        checks = rng.choice((("serfHealth",), (), ("serfHealth", "nope")))
        behavior = rng.choice(("release", "release", "delete", "other"))
        ttl_s = rng.choice((None, None, 10, 3600, 9, 90000))
        return Asked("create", (lock_delay_s, checks, behavior, ttl_s))
    if kind == "session":
        what = rng.choice(("destroy", "info", "renew", "sessions"))
        return Asked(what, (_session(rng, sessions),))
    verbs = [rng.choice(list(TxnVerb)) for _ in range(rng.randint(1, 5))]
    if rng.random() < 0.15:
        verbs = [TxnVerb.GET] * len(verbs)
    return Asked("txn", (), tuple(_step(rng, verb, sessions) for verb in verbs))


def _value(rng: random.Random) -> bytes:
    return rng.choice((b"", b"x", b"x", b"y", bytes(range(256))))


def _session(rng: random.Random, sessions: int) -> int:
    """The younger ones more often: they may still live."""
    if not sessions or rng.random() < 0.1:
        return -rng.randint(1, len(STRANGERS) - 1)
    return max(0, sessions - 1 - int(rng.expovariate(0.7)))


def _step(rng: random.Random, verb: TxnVerb, sessions: int) -> Step:
    key = rng.choice(PREFIXES) if verb is TxnVerb.DELETE_TREE else rng.choice(KEYS)
    at = rng.choice((0, FRESH, FRESH, FRESH, STALE))
    return Step(verb, key, _value(rng), rng.choice((0, 0, 3)), at, _session(rng, sessions))


async def carry_out(side: Side, asked: Asked) -> Told:
    """Make the call, and tell what came of it."""
    try:
        return _tell(side, await _call(side, asked))
    except ConsulError as error:
        fields = tuple(
            getattr(error, name, None) for name in ("status", "no_leader", "outcome_unknown")
        )
        return type(error).__name__, error.operation.split("/")[2], *fields


async def _call(side: Side, asked: Asked) -> object:
    consul, arguments = side.consul, asked.arguments
    match asked.what, arguments:
        case "put", (str(key), bytes(value), at, int(flags)):
            return await consul.kv_put(key, value, cas=await _cas(side, key, at), flags=flags)
        case "delete", (str(key), at):
            return await consul.kv_delete(key, cas=await _cas(side, key, at))
        case "delete under", (str(prefix),):
            return await consul.kv_delete(prefix, recurse=True)
        case "get", (str(key), Consistency() as consistency):
            return await consul.kv_get(key, consistency=consistency)
        case "list", (str(prefix),):
            return await consul.kv_list(prefix)
        case "names", (str(prefix),):
            return await consul.kv_keys(prefix)
        case "txn", _:
            return await consul.txn([await _op(side, step) for step in asked.steps])
        case "create", (lock_delay_s, checks, str(behavior), ttl_s):
            return await _create(side, lock_delay_s, checks, behavior, ttl_s)
    (number,) = arguments
    assert isinstance(number, int)
    session = side.session(number)
    if asked.what == "destroy":
        return await consul.session_destroy(session)
    if asked.what == "info":
        return await consul.session_info(session)
    if asked.what == "renew":
        return await consul.session_renew(session)
    return sorted(str(side.name_of(s.id)) for s in await consul.session_list())


async def _create(
    side: Side, lock_delay_s: object, checks: object, behavior: str, ttl_s: object
) -> object:
    assert isinstance(lock_delay_s, int)
    assert isinstance(checks, tuple)
    assert ttl_s is None or isinstance(ttl_s, int)
    # What is refused counts as a session too, so that both sides count alike.
    side.sessions.append(f"refused {len(side.sessions)}")
    created = await side.consul.session_create(
        name="s", checks=checks, lock_delay_s=lock_delay_s, behavior=behavior, ttl_s=ttl_s
    )
    side.sessions[-1] = created
    return "created"


async def _cas(side: Side, key: str, at: object) -> int | None:
    """The ModifyIndex to name; None: no cas."""
    if at is None or isinstance(at, int):
        return at
    entry = (await side.consul.kv_get(key)).value
    index = entry.modify_index if entry else 0
    return index if at == FRESH else index + 10**6


async def _op(side: Side, step: Step) -> TxnOp:
    session = None
    if step.verb in (TxnVerb.LOCK, TxnVerb.UNLOCK, TxnVerb.CHECK_SESSION):
        session = side.session(step.session)
    index = await _cas(side, step.key, step.at)
    return TxnOp(step.verb, step.key, step.value, step.flags, index or 0, session)


def _tell(side: Side, came: object) -> Told:
    match came:
        case Reply():
            side.indexes.append(came.index)
            return "reply", came.known_leader, _tell(side, came.value)
        case KVEntry():
            side.indexes += [came.create_index, came.modify_index]
            return (
                "key",
                came.key,
                came.value,
                came.flags,
                side.name_of(came.session),
                (
                    came.lock_index,
                    came.create_index == came.modify_index,
                ),
            )
        case TxnResult():
            entries = tuple(_tell(side, entry) for entry in came.entries)
            errors = tuple((e.op_index, side.text(e.what)) for e in came.errors)
            return "txn", came.ok, came.known_leader, entries, errors
        case Session():
            said = (came.name, came.checks, came.lock_delay_s, came.ttl_s, came.behavior)
            return "session", side.name_of(came.id), *said
        case tuple() | list():
            return tuple(_tell(side, one) for one in came)
    return (came,)


def same_order(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two lists of indexes are the same but for the numbers themselves."""
    pairs = sorted(set(zip(one, other, strict=True)))
    return all(a < b and c < d for (a, c), (b, d) in itertools.pairwise(pairs))
