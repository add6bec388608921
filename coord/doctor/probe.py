"""Tries what the token may do, and leaves nothing behind.

Reading is tried by reading. Writing a key or a service is tried with a write that can never be,
because it names an index that nothing has: Consul looks at the rights first, and then refuses it.
Sessions, and that writing works at all, are tried on a scratch session and a scratch key. That
session deletes its key when it ends, and ends by itself: also if this process is killed, nothing
of it is left half a minute later.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from coord.consul import (
    Consistency,
    ConsulApi,
    ConsulError,
    ConsulNotPermitted,
    ConsulRefused,
    TxnOp,
)
from coord.doctor.facts import SERF_CHECK, Rights
from coord.records import Paths
from coord.rights import CONSUL_SERVICE, Role, Rule, rules

T = TypeVar("T")

NEVER_INDEX = 2**62
"""No key has this ModifyIndex."""

SCRATCH_TTL_S = 10.0
"""The least that Consul takes; the scratch session ends within twice that, whatever happens."""

READ_ONLY = "reading only was asked for"
VIEWER = "the token may only read"


async def try_rights(
    consul: ConsulApi, paths: Paths, *, write: bool, role: Role | None, holder: str = ""
) -> Rights:
    """Try the rights that the roles need.

    write: try writing too. role: what the token is to be. holder: the session on the leader key,
    "" for none: who may see sessions sees it.
    """
    needs = {each: rules(each, paths) for each in Role}
    every = dict.fromkeys(rule for ruled in needs.values() for rule in ruled)
    probe = _Probe(consul, paths, holder)
    allowed = {rule: await probe.reads(rule) for rule in every if rule.access != "write"}
    if not write:
        return Rights(allowed=allowed, needs=needs, role=role, why_not=READ_ONLY)
    writing = {rule: await probe.writes(rule) for rule in every if rule.access == "write"}
    if all(may is False for may in writing.values()):
        return Rights(allowed=allowed | writing, needs=needs, role=role, why_not=VIEWER)
    return Rights(
        allowed=allowed | writing,
        needs=needs,
        role=role,
        tried=True,
        broken=tuple(probe.broken),
    )


async def may_write(consul: ConsulApi, key: str) -> bool | None:
    """Whether the token may write that key; None: it cannot be told. Nothing is written."""
    return await _may(consul.kv_put(key, b"", cas=NEVER_INDEX), refused=True)


class _Probe:
    """The attempts, each answered by True, False, or None: it cannot be told."""

    def __init__(self, consul: ConsulApi, paths: Paths, holder: str) -> None:
        self._consul = consul
        self._paths = paths
        self._holder = holder
        self._name = f"doctor-{random.getrandbits(64):016x}"
        self._sessions: bool | None = None
        self._sessions_tried = False
        self.broken: list[str] = []

    async def reads(self, rule: Rule) -> bool | None:
        """Whether what the rule is about may be read."""
        match rule.kind:
            case "key":
                return await _may(self._consul.kv_get(rule.name))
            case "key_prefix":
                key = self._paths.leader if rule.name == self._paths.root else rule.name + "doctor"
                return await _may(self._consul.kv_get(key))
            case "service":
                return await self._sees_service(rule.name)
            case "node_prefix":
                return await _sees(self._consul.catalog_nodes(), lambda reply: bool(reply.value))
            case "session_prefix" if self._holder:
                return await self._sees_session(self._holder)
            case "agent_prefix":
                return await _may(self._consul.agent_self())
        return None

    async def _sees_session(self, session: str) -> bool | None:
        try:
            return await _sees(self._consul.session_info(session), lambda found: found is not None)
        except ValueError:  # what stands on the key is no session's id
            return None

    async def _sees_service(self, name: str) -> bool | None:
        """What is not listed may not be there; Consul's own service always is."""
        known = await _sees(self._consul.catalog_services(), lambda listed: name in listed)
        return known or (known if name == CONSUL_SERVICE else None)

    async def writes(self, rule: Rule) -> bool | None:
        """Whether what the rule is about may be written."""
        match rule.kind:
            case "key" | "key_prefix":
                return await self._writes_keys(rule)
            case "service":
                return await self._writes_service(rule.name)
            case "session" | "session_prefix":
                if not self._sessions_tried:
                    self._sessions_tried = True
                    self._sessions = await self._tries_a_session()
                return self._sessions
        return None

    async def _writes_keys(self, rule: Rule) -> bool | None:
        paths = self._paths
        keys = [rule.name if rule.kind == "key" else rule.name + self._name]
        if rule.name == paths.root:
            keys = [paths.leader, paths.term, paths.journal + self._name, paths.cluster_health]
        found = [await may_write(self._consul, key) for key in keys]
        return False if False in found else None if None in found else True

    async def _writes_service(self, name: str) -> bool | None:
        try:
            nodes = (await self._consul.catalog_nodes()).value
            return await self._consul.service_writable(nodes[0].name if nodes else name, name)
        except ConsulNotPermitted:
            return False
        except ConsulError:
            return None

    # -- the scratch session and the scratch key ---------------------------------------------

    async def _tries_a_session(self) -> bool | None:
        """Make a session, and with it a key if keys may be written; take both away again."""
        name = f"{self._paths.election} {self._name}"
        session = ""
        try:
            session = await self._consul.session_create(
                name=name,
                checks=[SERF_CHECK],
                lock_delay_s=1.0,
                ttl_s=SCRATCH_TTL_S,
                behavior="delete",
            )
            await self._tries_a_key(session)
        except ConsulNotPermitted:
            # Of the key that is told by its own rule.
            return bool(session)
        except ConsulError as error:
            self.broken.append(str(error))
            return isinstance(error, ConsulRefused) or bool(session) or None
        finally:
            # Also where this task was cancelled: it waits until everything is away again.
            await asyncio.shield(self._take_away(name, session))
        return True

    async def _tries_a_key(self, session: str) -> None:
        key, value = self._scratch_key, self._name.encode()
        done = await self._consul.txn([TxnOp.kv_lock(key, value, session), TxnOp.kv_get(key)])
        entry = done.entry(key) if done.ok else None
        if entry is None or (entry.session, entry.value) != (session, value):
            self.broken.append(f"a lock on {key} was not had")
            return
        read = (await self._consul.kv_get(key, consistency=Consistency.CONSISTENT)).value
        if read is None or read.value != value:
            self.broken.append(f"what was written to {key} was not there to be read")

    @property
    def _scratch_key(self) -> str:
        return f"{self._paths.root}doctor/{self._name}"

    async def _take_away(self, name: str, session: str) -> None:
        """Destroy the session, whether its id came back or not; its key goes with it."""
        if not session:
            with suppress(ConsulError):
                found = await self._consul.session_list()
                session = next((each.id for each in found if each.name == name), "")
        if not session:
            return
        try:
            await self._consul.session_destroy(session)
        except ConsulError as error:
            self.broken.append(f"{error}; it ends by itself in {2 * SCRATCH_TTL_S:.0f} s")


async def _may(attempt: Awaitable[object], *, refused: bool | None = None) -> bool | None:
    """Whether it was not denied. refused: what it means if Consul refuses it otherwise."""
    try:
        await attempt
    except ConsulNotPermitted:
        return False
    except ConsulRefused:
        return refused
    except ConsulError:
        return None
    return True


async def _sees(attempt: Awaitable[T], there: Callable[[T], bool]) -> bool | None:
    """Whether what must be there was seen: what is denied is left out of lists."""
    try:
        return there(await attempt)
    except ConsulNotPermitted:
        return False
    except ConsulError:
        return None
