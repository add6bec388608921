"""The calls on keys, on a simulated Consul."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from coord.consul.types import Consistency, KVEntry, Reply, TxnOp, TxnResult, TxnVerb
from coord.testing.consul import txns
from coord.testing.consul.client_calls import MODES, Call, Calls, checked_key, checked_prefix
from coord.testing.consul.commands import Failure, KvDelete, KvPut, Txn
from coord.testing.consul.queries import KvGet, KvList, TxnRead, kv_keys
from coord.testing.consul.rpc import Mode

MAX_OPS: Final = 64
MAX_VALUE_BYTES: Final = 512 * 1024
MAX_REQUEST_BYTES: Final = 512 * 1024
_STEP_BYTES: Final = 100
"""About what a step takes in a request besides its key and its value."""


class KeyCalls(Calls):
    """The part of `ConsulApi` about keys."""

    async def kv_get(
        self,
        key: str,
        *,
        consistency: Consistency = Consistency.DEFAULT,
        index: int | None = None,
        wait_s: float | None = None,
        deadline_s: float | None = None,
    ) -> Reply[KVEntry | None]:
        """See `ConsulApi`."""
        query = KvGet(checked_key(key))
        found = await self._get(
            f"/v1/kv/{key}",
            query,
            deadline_s,
            consistency=consistency,
            index=index,
            wait_s=wait_s,
        )
        return cast("Reply[KVEntry | None]", found)

    async def kv_list(
        self,
        prefix: str,
        *,
        consistency: Consistency = Consistency.DEFAULT,
        index: int | None = None,
        wait_s: float | None = None,
        deadline_s: float | None = None,
    ) -> Reply[tuple[KVEntry, ...]]:
        """See `ConsulApi`."""
        query = KvList(checked_prefix(prefix))
        found = await self._get(
            f"/v1/kv/{prefix}",
            query,
            deadline_s,
            consistency=consistency,
            index=index,
            wait_s=wait_s,
        )
        return cast("Reply[tuple[KVEntry, ...]]", found)

    async def kv_keys(
        self, prefix: str, *, separator: str = "", deadline_s: float | None = None
    ) -> Reply[tuple[str, ...]]:
        """See `ConsulApi`."""
        look = kv_keys(checked_prefix(prefix), separator)
        found = await self._get(f"/v1/kv/{prefix}", look, deadline_s)
        return cast("Reply[tuple[str, ...]]", found)

    async def kv_put(
        self,
        key: str,
        value: bytes,
        *,
        cas: int | None = None,
        flags: int = 0,
        deadline_s: float | None = None,
    ) -> bool:
        """See `ConsulApi`."""
        path = f"/v1/kv/{checked_key(key)}"
        if len(value) > MAX_VALUE_BYTES:
            return await self._refused("PUT", path, 413, "Request body too large", deadline_s)
        command = KvPut(key, bytes(value), flags, cas)
        return bool(await self._write("PUT", path, command, deadline_s))

    async def kv_delete(
        self,
        key: str,
        *,
        cas: int | None = None,
        recurse: bool = False,
        deadline_s: float | None = None,
    ) -> bool:
        """See `ConsulApi`."""
        command = KvDelete(checked_key(key), cas, recurse)
        return bool(await self._write("DELETE", f"/v1/kv/{key}", command, deadline_s))

    async def txn(
        self,
        ops: Sequence[TxnOp],
        *,
        consistency: Consistency = Consistency.DEFAULT,
        deadline_s: float | None = None,
    ) -> TxnResult:
        """See `ConsulApi`."""
        ops = tuple(ops)
        for op in ops:
            checked_key(op.key)
        if len(ops) > MAX_OPS:
            said = f"Transaction contains too many operations ({len(ops)} > {MAX_OPS})"
            await self._refused("PUT", "/v1/txn", 413, said, deadline_s)
        if _sent_bytes(ops) > MAX_REQUEST_BYTES:
            await self._refused("PUT", "/v1/txn", 413, "Request body too large", deadline_s)
        if txns.writes(ops):
            found = await self._write("PUT", "/v1/txn", Txn(ops), deadline_s)
        else:
            read = all(op.verb is TxnVerb.GET for op in ops)
            mode = MODES[consistency] if read else Mode.DEFAULT
            call = Call(self, "PUT", "/v1/txn", read=read, mode=mode, query=TxnRead(ops))
            found = await self._ask(call, deadline_s)
        return cast("TxnResult", found)

    async def _refused(
        self, method: str, path: str, status: int, text: str, deadline_s: float | None
    ) -> bool:
        """What the agent refuses without asking anybody."""
        await self._local(method, path, lambda agent: Failure(status, text), deadline_s)
        return False


def _sent_bytes(ops: tuple[TxnOp, ...]) -> int:
    """About how long the request is: values go in base64."""
    return sum(len(op.value) * 4 // 3 + len(op.key) + _STEP_BYTES for op in ops)
