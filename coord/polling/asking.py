"""Asking for a run of a schedule now, out of turn: what an operator's side of it does.

The operator writes a key below ``polls/asked/``, named as the schedule. The leader takes it away in
the transaction in which it writes down the first attempt, so it is run once, whoever leads; what
comes of it is the schedule's last result, and names the request.
"""

from __future__ import annotations

from coord.consul import ConsulApi, TxnOp
from coord.polling.audit import asked_op
from coord.polling.editing import EditCode, EditRefused
from coord.polling.paths import PollPaths
from coord.polling.records import AskedRecord, ResultRecord
from coord.polling.store import load_asked, load_results, load_schedules

_LOOK_S = 2.0
"""How often it is looked whether a request is still on its way, in seconds."""


async def ask(consul: ConsulApi, keys: PollPaths, asked: AskedRecord, *, reason: str = "") -> None:
    """Ask for a run, and leave an entry in the audit with it. reason: why, if somebody says.

    Raises:
        EditRefused: nobody leads, there is no such schedule or it cannot be read, or another
            request for it is on its way.
        ConsulError: as any call to Consul.
    """
    name = asked.schedule
    leader = (await consul.kv_get(keys.paths.leader)).value
    if leader is None or leader.session is None:
        raise EditRefused(EditCode.NO_LEADER, (name,))
    entry = (await consul.kv_get(keys.schedule(name))).value
    if entry is None:
        raise EditRefused(EditCode.NOT_FOUND, (name,))
    if name not in load_schedules([entry], keys.schedules).records:
        raise EditRefused(EditCode.UNREADABLE, (name,))
    written = await consul.txn(
        [
            TxnOp.kv_cas(keys.ask(name), asked.encode(), 0),
            asked_op(keys.paths, asked, reason),
        ]
    )
    if not written.ok:
        raise EditRefused(EditCode.ASKED_ALREADY, (name,))


async def answer(consul: ConsulApi, keys: PollPaths, asked: AskedRecord) -> ResultRecord | None:
    """Wait for what comes of it: the schedule's last result once it was run; None: it was not.

    Raises:
        ConsulError: as any call to Consul.
    """
    key = keys.result(asked.schedule)
    index: int | None = None
    gone = False
    while True:
        wait_s = None if index is None else _LOOK_S
        reply = await consul.kv_get(key, index=index, wait_s=wait_s)
        found = load_results([reply.value] if reply.value else [], keys.results)
        result = found.records.get(asked.schedule)
        if result is not None and result.asked == asked.request_id:
            return result
        if gone:
            return None
        # Its result comes in the transaction that takes the last trace of it away: look again.
        gone = not await _is_on_its_way(consul, keys, asked)
        index = None if gone else reply.index


async def _is_on_its_way(consul: ConsulApi, keys: PollPaths, asked: AskedRecord) -> bool:
    entry = (await consul.kv_get(keys.ask(asked.schedule))).value
    if entry is not None and asked in load_asked([entry], keys.asked).records.values():
        return True
    return (await consul.kv_get(keys.job(asked.job))).value is not None


async def withdraw(consul: ConsulApi, keys: PollPaths, asked: AskedRecord) -> bool:
    """Take a request back; False: it was taken up already.

    Raises:
        ConsulError: as any call to Consul.
    """
    entry = (await consul.kv_get(keys.ask(asked.schedule))).value
    if entry is None or asked not in load_asked([entry], keys.asked).records.values():
        return False
    unchanged = TxnOp.kv_check_index(entry.key, entry.modify_index)
    return (await consul.txn([unchanged, TxnOp.kv_delete(entry.key)])).ok
