"""An election made by hand in a real Consul: members, leader keys, a leadership."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from consul_agents import ROOT_TOKEN, ConsulAgent, eventually

from coord.clock import SystemClock
from coord.consul import (
    CheckStatus,
    ConsulApi,
    ServiceRegistration,
    TtlCheck,
    TxnOp,
)
from coord.leadership import Leadership, Lease
from coord.records import LeaderRecord, LeaderState, Paths, encode_term

FOR_EVER_S = 600.0


@dataclass(frozen=True)
class Tenure:
    """A leader on the key: its session, and the handle its work would be given."""

    session: str
    leadership: Leadership
    lease: Lease


async def register(
    consul: ConsulApi,
    service: str,
    node: str,
    *,
    note: str = "standby held_by_other",
    status: CheckStatus = CheckStatus.PASSING,
    boot: str = "b0",
    **meta: str,
) -> str:
    """Register one member as a node would, wait until the catalog has it, return its id."""
    id_ = f"{service}-{node}-{boot}"
    said = {"node": node, "node_type": "core", "eligible": "true", "boot_id": boot} | meta
    # Critical at first: an agent tells the servers of a note at once if the status changes too.
    check = TtlCheck(id=id_, name=id_, ttl_s=FOR_EVER_S)
    await consul.service_register(_registration(id_, service, said, check))
    assert await consul.check_pass(id_, note)
    if status is CheckStatus.CRITICAL:
        await _catalogued(consul, service, id_, CheckStatus.PASSING)
        assert await consul.check_fail(id_, note)
    await _catalogued(consul, service, id_, status)
    return id_


async def tell(consul: ConsulApi, service: str, node: str, state: str, why_not: str) -> None:
    """Tell another state of a registered member, as its node would: in its meta, at once."""
    (item,) = (i for i in (await consul.health_service(service)).value if i.meta["node"] == node)
    meta = {**item.meta, "state": state, "why_not": why_not}
    await consul.service_register(_registration(item.id, service, meta))


def _registration(
    id_: str, service: str, meta: dict[str, str], *checks: TtlCheck
) -> ServiceRegistration:
    return ServiceRegistration(
        id=id_, name=service, port=8610, address="127.0.0.1", meta=meta, checks=checks
    )


async def _catalogued(consul: ConsulApi, service: str, id_: str, status: CheckStatus) -> None:
    async def seen() -> bool:
        found = (await consul.health_service(service)).value
        checks = (check for item in found if item.id == id_ for check in item.checks)
        return any(check.check_id == id_ and check.status is status for check in checks)

    await eventually(seen)


def record(state: LeaderState, node: str, term: int, **fields: Any) -> bytes:
    """A leader record."""
    return LeaderRecord(state=state, node=node, node_type="core", term=term, **fields).encode()


async def lead(consul: ConsulApi, paths: Paths, node: str, term: int) -> Tenure:
    """Put `node` on the leader key, vacant or missing, as a candidate would."""
    session = await consul.session_create(name=node, checks=["serfHealth"], lock_delay_s=1.0)
    await consul.kv_put(paths.leader, b"", cas=0)
    value = record(LeaderState.HELD, node, term)
    taken = await consul.txn(
        [
            TxnOp.kv_lock(paths.leader, value, session),
            TxnOp.kv_set(paths.term, encode_term(term), flags=2500),
            TxnOp.kv_get(paths.term),
        ]
    )
    assert taken.ok, taken.errors
    term_entry = taken.entry(paths.term)
    assert term_entry is not None
    clock = SystemClock()
    lease = Lease(clock)
    lease.extend(clock.now() + FOR_EVER_S)
    leadership = Leadership(
        term=term,
        term_index=term_entry.modify_index,
        session=session,
        node=node,
        election=paths.election,
        leader_key=paths.leader,
        term_key=paths.term,
        consul=consul,
        lease=lease,
        clock=clock,
    )
    return Tenure(session, leadership, lease)


async def release(consul: ConsulApi, paths: Paths, tenure: Tenure, *, why: str) -> None:
    """Give the key back as a leader does that has stopped its work."""
    node, term = tenure.leadership.node, tenure.leadership.term
    value = record(LeaderState.VACANT, node, term, why=why, by=node)
    given = await consul.txn([TxnOp.kv_unlock(paths.leader, value, tenure.session)])
    assert given.ok, given.errors


def make_token(agent: ConsulAgent, rules: str) -> str:
    """A token with these rules, on an agent whose root token is `ROOT_TOKEN`."""
    policy = _put(agent, "/v1/acl/policy", {"Name": f"p-{abs(hash(rules))}", "Rules": rules})
    token = _put(agent, "/v1/acl/token", {"Policies": [{"ID": policy["ID"]}]})
    return str(token["SecretID"])


def _put(agent: ConsulAgent, path: str, body: dict[str, Any]) -> dict[str, Any]:
    assert agent.config.token == ROOT_TOKEN
    status, answer = agent.request("PUT", path, json.dumps(body).encode())
    assert status == 200, answer
    data = json.loads(answer)
    assert isinstance(data, dict)
    return data
