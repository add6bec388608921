"""What people do to an election's keys and sessions: by hand, or by asking the election."""

from __future__ import annotations

import json
from random import Random

from coord.consul import ConsulApi, ConsulError, TxnOp
from coord.records import Paths
from tests.simulation.asking import ASKED, Asking


class Operator(Asking):
    """Somebody with a token that may do everything, and a way to one of the servers.

    Each of its acts does what it can, and gives in a word what it did; what Consul does not answer
    is left.
    """

    def __init__(
        self, consul: ConsulApi, paths: Paths, random: Random, names: tuple[str, ...]
    ) -> None:
        super().__init__(consul, paths, random, names)
        self._snapshot: bytes | None = None

    async def edit_leader(self) -> str:
        """Write over the leader's record: nonsense, or something like a record."""
        entry = await self.leader()
        if entry is None:
            return "no key"
        value, what = self._edited(entry.value)
        await self._consul.kv_put(self._paths.leader, value)
        return what

    def _edited(self, value: bytes) -> tuple[bytes, str]:
        try:
            record = json.loads(value)
        except ValueError:
            record = {}
        what = self._random.choice(("nonsense", "empty", "same", "vacant", "node", "fenced"))
        match what:
            case "nonsense":
                return b"\xff{", what
            case "empty":
                return b"", what
            case "vacant":
                record["state"], record["why"] = "vacant", "handed_over"
            case "node":
                record["node"] = "somebody"
            case "fenced":
                record["fenced_within_ms"] = 1
        return json.dumps(record).encode(), what

    async def edit_term(self) -> str:
        """Write over the term key: a higher number, or nonsense."""
        entry = (await self._consul.kv_get(self._paths.term)).value
        if entry is None:
            return "no key"
        what = self._random.choice(("higher", "same", "nonsense"))
        value = b"x" if what == "nonsense" else entry.value
        if what == "higher" and value.isdigit():
            value = str(int(value) + self._random.randrange(1, 5)).encode()
        await self._consul.kv_put(self._paths.term, value)
        return what

    async def delete_leader(self) -> str:
        """Delete the leader key."""
        await self._consul.kv_delete(self._paths.leader)
        return ""

    async def delete_term(self) -> str:
        """Delete the term key."""
        await self._consul.kv_delete(self._paths.term)
        return ""

    async def delete_prefix(self) -> str:
        """Delete all that the election has in Consul."""
        await self._consul.kv_delete(self._paths.root, recurse=True)
        return ""

    async def release(self) -> str:
        """Release the lock by hand, as ``?release=`` does: no lock-delay follows."""
        entry = await self.leader()
        if entry is None or entry.session is None:
            return "not held"
        value = self._random.choice((entry.value, b""))
        await self._consul.txn([TxnOp.kv_unlock(self._paths.leader, value, entry.session)])
        return f"{'kept' if value else 'emptied'} {entry.session}"

    async def destroy_session(self) -> str:
        """Destroy the session on the key."""
        entry = await self.leader()
        if entry is None or entry.session is None:
            return "not held"
        await self._consul.session_destroy(entry.session)
        return entry.session

    async def destroy_any_session(self) -> str:
        """Destroy a session, whosever it is."""
        sessions = sorted(each.id for each in await self._consul.session_list())
        if not sessions:
            return "none"
        session = self._random.choice(sessions)
        await self._consul.session_destroy(session)
        return session

    async def snapshot(self) -> str:
        """Save Consul's state."""
        self._snapshot = await self._consul.snapshot_save()
        return ""

    async def restore(self) -> str:
        """Put back the state that was saved last."""
        if self._snapshot is None:
            return await self.snapshot()
        await self._consul.snapshot_restore(self._snapshot)
        self._snapshot = None
        return "restored"


ACTS = (
    "edit_leader",
    "edit_term",
    "delete_leader",
    "delete_term",
    "delete_prefix",
    "release",
    "destroy_session",
    "destroy_any_session",
    "restore",
    *ASKED,
)
"""What an operator may do, by name."""


async def act(operator: Operator, name: str) -> str:
    """Do it; what Consul refuses, or does not answer, is told."""
    try:
        what: str = await getattr(operator, name)()
        return what
    except ConsulError as error:
        return f"failed: {type(error).__name__}"
