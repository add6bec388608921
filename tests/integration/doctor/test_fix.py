"""`--fix`: what it does, what it leaves alone, and that it looks again, on a real Consul."""

from __future__ import annotations

import json

import pytest
from consul_agents import ConsulAgent, eventually
from doctor_bench import SOON_S, TERM, Ward, ago, codes
from hand_made import record

from coord.clock import SystemClock
from coord.consul import ConsulClient, TxnOp
from coord.doctor import Code, Finding, Fix, FixKind, Here, Report, Severity, examine
from coord.doctor.fix import apply
from coord.election.timing import Timing
from coord.operations import read_audit, whoami
from coord.records import LeaderState, Paths


@pytest.fixture
async def sound(consul: ConsulClient, name: str) -> Ward:
    ward = Ward(consul, Paths(name))
    await ward.sound()
    return ward


def done(report: Report) -> set[str]:
    """What was mended."""
    return {fixed.fix.target for fixed in report.fixed if fixed.done}


async def test_an_orphaned_session_is_destroyed(sound: Ward) -> None:
    orphan = await sound.new_session("core-9", ["serfHealth"])
    report = await sound.examine(fix=True)
    assert (codes(report), done(report)) == (set(), {orphan})
    assert await sound.consul.session_info(orphan) is None
    assert {s.id for s in await sound.consul.session_list()} >= set(sound.sessions.values())


async def test_without_fix_it_stays(sound: Ward) -> None:
    orphan = await sound.new_session("core-9", ["serfHealth"])
    report = await sound.examine(read_only=False)
    assert (codes(report), report.fixed) == ({Code.ORPHANED_SESSION}, ())
    assert await sound.consul.session_info(orphan) is not None


async def test_a_session_that_holds_a_key_is_left(sound: Ward) -> None:
    orphan = await sound.new_session("core-9", ["serfHealth"])
    key = f"{sound.paths.root}work/lock"
    assert (await sound.consul.txn([TxnOp.kv_lock(key, b"", orphan)])).ok
    report = await sound.examine(fix=True)
    assert (codes(report), report.fixed) == ({Code.ORPHANED_SESSION}, ())
    assert await sound.consul.session_info(orphan) is not None


async def test_a_session_that_leads_by_now_is_left(consul: ConsulClient, name: str) -> None:
    """Found as an orphan, it takes the leader key before it is destroyed."""
    ward = Ward(consul, Paths(name))
    session = await ward.new_session("core-9", ["serfHealth"])
    await ward.leads("core-9", session=session)
    fix = Fix(kind=FixKind.DESTROY_SESSION, target=session, name=f"{name} candidate core-9")
    (fixed,) = await apply(
        consul, ward.paths, [finding(Code.ORPHANED_SESSION, fix)], clock=SystemClock()
    )
    assert not fixed.done
    assert await consul.session_info(session) is not None


async def test_a_session_of_another_name_is_left(sound: Ward) -> None:
    session = await sound.new_session("core-9", ["serfHealth"])
    fix = Fix(kind=FixKind.DESTROY_SESSION, target=session, name="something else")
    (fixed,) = await apply(
        sound.consul, sound.paths, [finding(Code.ORPHANED_SESSION, fix)], clock=SystemClock()
    )
    assert not fixed.done
    assert await sound.consul.session_info(session) is not None


def finding(code: Code, fix: Fix) -> Finding:
    return Finding(code=code, severity=Severity.WARNING, said="", fixes=(fix,))


async def test_stale_services_are_taken_off_the_agent(sound: Ward) -> None:
    candidate = await sound.candidate("core-2", boot="b9", session=False)
    await sound.fails(sound.paths.candidate_service, candidate)
    leader = await sound.discovered("core-2", TERM - 1)
    await sound.fails(sound.paths.leader_service, leader, "working")
    report = await sound.examine(fix=True)
    assert done(report) == {candidate, leader}
    # The agent tells the catalog a moment later.
    await eventually(sound.found, until=lambda found: found == set())
    assert not {candidate, leader} & set(await sound.consul.agent_services())


async def test_a_service_that_passes_again_is_left(sound: Ward) -> None:
    candidate = await sound.candidate("core-2", boot="b9", session=False)
    fix = Fix(
        kind=FixKind.DEREGISTER_SERVICE,
        target=candidate,
        name=sound.paths.candidate_service,
        node=(await sound.consul.agent_self()).node_name,
    )
    (fixed,) = await apply(
        sound.consul, sound.paths, [finding(Code.STALE_SERVICE, fix)], clock=SystemClock()
    )
    assert not fixed.done
    assert candidate in await sound.consul.agent_services()


async def test_what_a_lost_host_left_is_taken_from_the_catalog(
    consul_agent: ConsulAgent, sound: Ward
) -> None:
    """A node whose agent is gone, as the servers keep it: registered, its serfHealth failing."""
    node, service = f"lost-{sound.paths.election}", sound.paths.candidate_service
    report = await examined_with(consul_agent, sound, node, service, serf="critical")
    assert (codes(report), done(report)) == (set(), {f"{service}-core-2-b8"})


async def test_what_a_living_agent_would_write_back_is_left(
    consul_agent: ConsulAgent, sound: Ward
) -> None:
    node, service = f"other-{sound.paths.election}", sound.paths.candidate_service
    report = await examined_with(consul_agent, sound, node, service, serf="passing")
    assert (codes(report), report.fixed) == ({Code.STALE_SERVICE}, ())


async def examined_with(
    agent: ConsulAgent, sound: Ward, node: str, service: str, *, serf: str
) -> Report:
    """What the doctor finds and mends with `catalog`'s entry there. Once a minute Consul's leader
    takes away what no host of its gossip stands behind: if it did just then, once more."""
    for _ in range(2):
        catalog(agent, node, service, "core-2", serf=serf)
        report = await sound.examine(fix=True)
        if report.findings or report.fixed:
            break
    return report


def catalog(agent: ConsulAgent, node: str, service: str, name: str, *, serf: str) -> None:
    """Put a failing candidate on another node into the catalog, as its agent once did."""
    id_ = f"{service}-{name}-b8"
    body = {
        "Node": node,
        "Address": "127.0.0.9",
        "SkipNodeUpdate": False,
        "Service": {"ID": id_, "Service": service, "Meta": {"node": name, "boot_id": "b8"}},
        "Checks": [
            {"Node": node, "CheckID": "serfHealth", "Name": "Serf", "Status": serf},
            {
                **{"Node": node, "CheckID": f"{id_}-alive", "Name": "alive"},
                **{"Status": "critical", "ServiceID": id_},
            },
        ],
    }
    status, answer = agent.request("PUT", "/v1/catalog/register", json.dumps(body).encode())
    assert status == 200, answer


async def test_an_expired_pause_is_taken_away(sound: Ward) -> None:
    await sound.control(sound.paths.pause, for_ms=60_000, at=ago(4000).isoformat())
    report = await sound.examine(fix=True)
    assert (codes(report), done(report)) == (set(), {sound.paths.pause})
    assert (await sound.consul.kv_get(sound.paths.pause)).value is None
    (entry,) = await read_audit(sound.consul, sound.paths)
    assert entry.record is not None
    assert (entry.record.operation, entry.record.outcome) == ("doctor_fix", "done")
    assert all(word in entry.record.reason for word in (sound.paths.pause, "by ann: a test"))
    assert entry.record.actor == whoami()


async def test_the_audit_says_of_a_long_reason_what_there_is_room_for(sound: Ward) -> None:
    at = ago(4000).isoformat()
    await sound.control(sound.paths.pause, for_ms=60_000, at=at, reason="x" * 500, actor="y" * 128)
    assert done(await sound.examine(fix=True)) == {sound.paths.pause}
    (entry,) = await read_audit(sound.consul, sound.paths)
    assert entry.record is not None, entry.problem


async def test_a_pause_that_a_candidate_keeps_to_is_left_whatever_the_clocks_say(
    sound: Ward,
) -> None:
    await sound.control(sound.paths.pause, for_ms=60_000, at=ago(9000).isoformat())
    await sound.candidate("core-3", why_not="paused")
    report = await sound.examine(fix=True)
    assert (codes(report), report.fixed) == ({Code.PAUSED}, ())
    assert await read_audit(sound.consul, sound.paths) == ()
    assert (await sound.consul.kv_get(sound.paths.pause)).value is not None


async def test_a_pause_that_goes_on_is_left(sound: Ward) -> None:
    await sound.control(sound.paths.pause, for_ms=3_600_000, at=ago(300).isoformat())
    report = await sound.examine(fix=True)
    assert (codes(report), report.fixed) == ({Code.PAUSED}, ())


async def test_a_request_that_is_over_is_taken_away_and_one_that_is_not_stays(
    sound: Ward,
) -> None:
    request = sound.paths.request
    await sound.control(request, kind="step_down", expected_term=TERM - 1)
    report = await sound.examine(fix=True)
    assert (codes(report), done(report)) == (set(), {request})
    await sound.control(request, kind="step_down", expected_term=TERM)
    report = await sound.examine(fix=True)
    assert (codes(report), report.fixed) == ({Code.REQUEST_UNANSWERED}, ())


async def test_a_record_that_was_written_anew_is_left(sound: Ward) -> None:
    await sound.control(sound.paths.request, kind="step_down", expected_term=TERM - 1)
    entry = (await sound.consul.kv_get(sound.paths.request)).value
    assert entry is not None
    await sound.control(sound.paths.request, kind="step_down", expected_term=TERM)
    fix = Fix(kind=FixKind.DELETE_RECORD, target=sound.paths.request, index=entry.modify_index)
    (fixed,) = await apply(
        sound.consul, sound.paths, [finding(Code.REQUEST_LEFT_OVER, fix)], clock=SystemClock()
    )
    assert not fixed.done
    assert (await sound.consul.kv_get(sound.paths.request)).value is not None


async def test_the_leader_key_and_the_term_key_are_never_mended(sound: Ward) -> None:
    """Nor made anew where they are gone: only a leader does."""
    consul, paths = sound.consul, sound.paths
    edits: tuple[tuple[str, bytes | None], ...] = (
        (paths.leader, record(LeaderState.VACANT, "mallory", 99)),
        (paths.leader, b"{"),
        (paths.term, b"1"),
        (paths.term, None),
        (paths.leader, None),
    )
    for key, value in edits:
        await (consul.kv_delete(key) if value is None else consul.kv_put(key, value))
        kept = [(await consul.kv_get(key)).value for key in (paths.leader, paths.term)]
        report = await sound.examine(fix=True)
        assert report.severity is Severity.CRITICAL or report.has(Code.LEADER_KEY_EDITED)
        assert [(await consul.kv_get(key)).value for key in (paths.leader, paths.term)] == kept


async def test_one_failing_keeps_none_of_the_others(
    sound: Ward,
) -> None:
    orphan = await sound.new_session("core-9", ["serfHealth"])
    never = Fix(kind=FixKind.DELETE_RECORD, target=sound.paths.pause, index=1)
    real = Fix(
        kind=FixKind.DESTROY_SESSION,
        target=orphan,
        name=f"{sound.paths.election} candidate core-9",
    )
    found = [finding(Code.PAUSE_EXPIRED, never), finding(Code.ORPHANED_SESSION, real)]
    fixed = await apply(sound.consul, sound.paths, found, clock=SystemClock())
    assert [each.done for each in fixed][1]
    assert await sound.consul.session_info(orphan) is None


async def test_to_fix_is_not_to_read_only(sound: Ward) -> None:
    here = Here(node="here", timing=Timing())
    with pytest.raises(ValueError, match="read only"):
        await examine(
            sound.consul,
            sound.paths,
            here,
            clock=SystemClock(),
            fix=True,
            read_only=True,
            again_s=SOON_S,
        )
