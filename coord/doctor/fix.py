"""Does what `--fix` may: each thing only if it still is as it was found."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from coord.consul import CheckStatus, Consistency, ConsulApi, ConsulError, TxnOp
from coord.doctor.findings import Finding, Fix, Fixed, FixKind
from coord.operations import new_request_id, whoami
from coord.records import AuditRecord, Paths


async def apply(consul: ConsulApi, paths: Paths, findings: Iterable[Finding]) -> tuple[Fixed, ...]:
    """Do all that the findings allow; what went wrong with one keeps none of the others."""
    done: list[Fixed] = []
    for fix in (fix for finding in findings for fix in finding.fixes):
        try:
            why_not = await _do(consul, paths, fix)
        except (ConsulError, ValueError) as error:  # ValueError: an id that no path can hold
            why_not = str(error)
        done.append(Fixed(fix, not why_not, why_not))
    return tuple(done)


async def _do(consul: ConsulApi, paths: Paths, fix: Fix) -> str:
    """Why it was not done; "" if it was."""
    match fix.kind:
        case FixKind.DESTROY_SESSION:
            return await _destroy_session(consul, paths, fix)
        case FixKind.DEREGISTER_SERVICE:
            return await _deregister(consul, fix)
        case FixKind.DELETE_RECORD:
            return await _delete_record(consul, paths, fix)


async def _delete_record(consul: ConsulApi, paths: Paths, fix: Fix) -> str:
    """What somebody had asked for is taken away only together with an audit entry that says so."""
    now = datetime.now(tz=UTC)
    entry = AuditRecord(
        operation="doctor_fix",
        actor=whoami(),
        reason=f"coord doctor --fix deletes {fix.target}",
        request_id=new_request_id(),
        at=now,
        finished_at=now,
        outcome="done",
    )
    result = await consul.txn(
        (
            TxnOp.kv_delete_cas(fix.target, fix.index),
            TxnOp.kv_cas(entry.key(paths), entry.encode(), 0),
        )
    )
    return "" if result.ok else "it has changed meanwhile"


async def _destroy_session(consul: ConsulApi, paths: Paths, fix: Fix) -> str:
    session = await consul.session_info(fix.target, consistency=Consistency.CONSISTENT)
    if session is None:
        return "it is gone already"
    if session.name != fix.name:
        return "it is not the one that was found"
    # Read last: whatever it took by now is seen.
    entries = (await consul.kv_list(paths.root, consistency=Consistency.CONSISTENT)).value
    leader = (await consul.kv_get(paths.leader, consistency=Consistency.CONSISTENT)).value
    if any(entry.session == fix.target for entry in (*entries, *([leader] if leader else []))):
        return "it holds a key by now"
    destroyed = await consul.session_destroy(fix.target)
    return "" if destroyed else "Consul did not do it"


async def _deregister(consul: ConsulApi, fix: Fix) -> str:
    found = (await consul.health_service(fix.name, consistency=Consistency.CONSISTENT)).value
    instance = next((i for i in found if (i.id, i.node) == (fix.target, fix.node)), None)
    if instance is None:
        return "it is gone already"
    if instance.status is not CheckStatus.CRITICAL:
        return "it does not fail any more"
    local = await consul.agent_services()
    if fix.target in local and local[fix.target].name == fix.name:
        await consul.service_deregister(fix.target)
    else:
        await consul.catalog_deregister(fix.node, fix.target)
    return ""
