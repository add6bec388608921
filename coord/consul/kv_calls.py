"""The calls on keys: reads, writes, transactions."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace

from coord.consul import replies
from coord.consul.calls import Calls, parse, reply_of, with_consistency
from coord.consul.keys import check_key, check_prefix
from coord.consul.replies import ShapeError
from coord.consul.transport import Answer, Request
from coord.consul.types import Consistency, KVEntry, Reply, TxnOp, TxnResult, TxnVerb


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
        request = self._endpoints.kv.get(check_key(key), consistency=consistency.value)
        answer = await self._read(request, index, wait_s, deadline_s, absent=True)
        entries = self._entries(request, answer)
        # An empty list would read as "the key is gone", which Consul says with 404 alone.
        if answer.status != 404 and [e.key for e in entries] != [key]:
            raise replies.broken(request, answer, ShapeError("not the key that was asked for"))
        return reply_of(answer, entries[0] if entries else None)

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
        request = self._endpoints.kv.get(
            check_prefix(prefix), recurse=True, consistency=consistency.value
        )
        answer = await self._read(request, index, wait_s, deadline_s, absent=True)
        return reply_of(answer, self._entries(request, answer))

    async def kv_keys(
        self, prefix: str, *, separator: str = "", deadline_s: float | None = None
    ) -> Reply[tuple[str, ...]]:
        """See `ConsulApi`."""
        request = self._endpoints.kv.get(
            check_prefix(prefix), keys=True, separator=separator or None
        )
        answer = await self._read(request, None, None, deadline_s, absent=True)
        if answer.status == 404:
            return reply_of(answer, ())
        return reply_of(answer, parse(request, answer, replies.texts))

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
        request = self._endpoints.kv.put(check_key(key), value, cas=cas, flags=flags or None)
        return await self._write(request, deadline_s, replies.boolean)

    async def kv_delete(
        self,
        key: str,
        *,
        cas: int | None = None,
        recurse: bool = False,
        deadline_s: float | None = None,
    ) -> bool:
        """See `ConsulApi`."""
        request = self._endpoints.kv.delete(check_key(key), recurse=recurse, cas=cas)
        return await self._write(request, deadline_s, replies.boolean)

    async def txn(
        self,
        ops: Sequence[TxnOp],
        *,
        consistency: Consistency = Consistency.DEFAULT,
        deadline_s: float | None = None,
    ) -> TxnResult:
        """See `ConsulApi`."""
        request = self._endpoints.txn.put([_txn_op(op) for op in ops])
        if all(op.verb is TxnVerb.GET for op in ops):
            request = replace(request, read=True)
            request = with_consistency(request, consistency)
        answer = await self._send(request, deadline_s)
        if answer.status not in (200, 409):
            raise replies.refusal(request, answer)
        entries, errors = parse(request, answer, replies.txn_parts)
        ok = answer.status == 200 and not errors
        if not ok and not errors:
            raise replies.broken(request, answer, ShapeError("a conflict without Errors"))
        # A transaction says this one in its errors and with 409, unlike every other call.
        for error in errors:
            if any(text in error.what for text in replies.NOT_PERMITTED):
                raise replies.not_permitted(request, answer, error.what)
        if ok and not {e.key for e in entries} <= {op.key for op in ops}:
            raise replies.broken(request, answer, ShapeError("a key that was not asked for"))
        if ok and request.read and len(entries) != len(ops):
            # What the token may not read is left out of an answer that says it is complete.
            raise replies.not_permitted(request, answer, "a key may not be read")
        return TxnResult(ok, entries if ok else (), errors, answer.known_leader)

    def _entries(self, request: Request, answer: Answer) -> tuple[KVEntry, ...]:
        if answer.status == 404:
            return ()
        return parse(request, answer, _kv_entries)


def _txn_op(op: TxnOp) -> dict[str, object]:
    body: dict[str, object] = {"Verb": op.verb.value, "Key": check_key(op.key)}
    if op.verb in (TxnVerb.SET, TxnVerb.CAS, TxnVerb.LOCK, TxnVerb.UNLOCK):
        body["Value"] = base64.b64encode(op.value).decode("ascii")
        body["Flags"] = op.flags
    if op.verb in (TxnVerb.CAS, TxnVerb.DELETE_CAS, TxnVerb.CHECK_INDEX):
        body["Index"] = op.index
    if op.session is not None:
        body["Session"] = op.session
    return {"KV": body}


def _kv_entries(value: object) -> tuple[KVEntry, ...]:
    return replies.listed(value, replies.kv_entry, "the body")
