"""What operators ask of an election through Consul, as `coord.operations` does, and wrongly too."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

from coord.consul import ConsulApi, KVEntry
from coord.records import (
    DrainRecord,
    LeaderRecord,
    Paths,
    PauseRecord,
    Record,
    RecordError,
    RequestKind,
    RequestRecord,
)

_AT = datetime(2026, 1, 1, tzinfo=UTC)


class Asking:
    """Asks for pauses and drains, and that leaders step down.

    Each method gives in a word what it asked.
    """

    def __init__(self, consul: ConsulApi, paths: Paths, random: Random, names: tuple[str, ...]):
        self._consul = consul
        self._paths = paths
        self._random = random
        self._names = names

    def _signed(self) -> dict[str, Any]:
        request_id = f"{self._random.getrandbits(64):016x}"
        return {"actor": "ann", "reason": "to see", "request_id": request_id, "at": _AT}

    async def _put(self, key: str, record: Record) -> None:
        await self._consul.kv_put(key, record.encode())

    async def leader(self) -> KVEntry | None:
        """The leader key."""
        return (await self._consul.kv_get(self._paths.leader)).value

    async def _term(self) -> int:
        entry = await self.leader()
        try:
            return LeaderRecord.decode(entry.value).term if entry is not None else 0
        except RecordError:
            return 0

    async def pause(self, seconds: float | None = None) -> str:
        """Let nobody campaign, for some seconds."""
        lasts_s = seconds if seconds is not None else self._random.choice((2.0, 6.0, 20.0))
        record = PauseRecord(**self._signed(), for_ms=round(lasts_s * 1000))
        await self._put(self._paths.pause, record)
        return f"{lasts_s:g} s"

    async def resume(self) -> str:
        """End the pause."""
        await self._consul.kv_delete(self._paths.pause)
        return ""

    async def drain(self, node: str = "") -> str:
        """Let a node lead only if nobody else does."""
        node = node or self._random.choice(self._names)
        await self._put(self._paths.drain(node), DrainRecord(**self._signed()))
        return node

    async def undrain(self) -> str:
        """Let everybody lead again."""
        await self._consul.kv_delete(self._paths.drains, recurse=True)
        return ""

    async def ask_step_down(self, beside: int | None = None) -> str:
        """Ask the leader to step down; now and then the one before, or the next."""
        beside = self._random.choice((0, 0, 0, -1, 1)) if beside is None else beside
        term = max(0, await self._term() + beside)
        return await self._request(RequestKind.STEP_DOWN, term)

    async def ask_transfer(self, to: str = "") -> str:
        """Ask the leader to make way for somebody, perhaps for itself."""
        to = to or self._random.choice(self._names)
        return await self._request(RequestKind.TRANSFER, await self._term(), to)

    async def _request(self, kind: RequestKind, term: int, to: str = "") -> str:
        record = RequestRecord(**self._signed(), kind=kind, expected_term=term, to=to)
        await self._put(self._paths.request, record)
        return f"{term} {to}".strip()

    async def force_release(self) -> str:
        """Say so, and destroy the leader's session."""
        entry = await self.leader()
        if entry is None or entry.session is None:
            return "not held"
        await self._request(RequestKind.FORCE_RELEASE, await self._term())
        await self._consul.session_destroy(entry.session)
        return entry.session

    async def spoil_orders(self) -> str:
        """Write nonsense where orders stand, or take away what makes their watch sleep."""
        paths = self._paths
        keys = (paths.pause, paths.request, paths.drain(self._names[0]), paths.drains + "..x")
        key = self._random.choice((*keys, paths.keep))
        if key == paths.keep:
            await self._consul.kv_delete(key)
        else:
            await self._consul.kv_put(key, self._random.choice((b"", b"{", b'{"v": 1}')))
        return key

    async def withdraw(self) -> str:
        """Ask nothing any more."""
        await self._consul.kv_delete(self._paths.control, recurse=True)
        return ""


ASKED = (
    "pause",
    "resume",
    "drain",
    "undrain",
    "ask_step_down",
    "ask_transfer",
    "force_release",
    "spoil_orders",
    "withdraw",
)
"""What may be asked, by name."""
