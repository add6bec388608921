"""Each finding, caused on a real Consul."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Awaitable, Callable

import pytest
from consul_agents import ConsulAgent, Mode, client_of, eventually
from doctor_bench import TERM, Rewriting, Ward, ago, codes
from hand_made import record

from coord.clock import SystemClock
from coord.consul import ConsulAddress, ConsulClient, Session, TxnOp
from coord.doctor import Code, Finding, Here, Severity, Subject, gather
from coord.doctor.examine import MOST_S, takeover_s
from coord.election.timing import Timing
from coord.records import LeaderState, Paths
from coord.telemetry import LeaderChanged
from coord.telemetry.journal import KEPT_ENTRIES


@pytest.fixture
async def ward(consul: ConsulClient, name: str) -> Ward:
    return Ward(consul, Paths(name))


@pytest.fixture
async def sound(ward: Ward) -> Ward:
    await ward.sound()
    return ward


async def test_nothing_is_wrong(sound: Ward) -> None:
    report = await sound.examine(read_only=False)
    assert codes(report) == set()
    assert set(report.fine) == set(Subject)
    assert report.skipped == ()


async def test_an_election_that_never_was_has_no_candidates(ward: Ward) -> None:
    assert await ward.found() == {Code.NO_CANDIDATES}


async def test_of_an_election_that_never_was_it_is_asked_whether_another_is_meant(
    sound: Ward,
) -> None:
    """Other programs have keys below service/ too, and theirs may be called what they like."""
    for key in ("other-program/leader", "x y/leader", "x y/term"):
        await sound.consul.kv_put(f"service/{key}", b"x")
    mistyped = Ward(sound.consul, Paths(f"{sound.paths.election}x"))
    (finding,) = [f for f in (await mistyped.examine()).findings if f.code is Code.NO_CANDIDATES]
    assert mistyped.paths.root in finding.said
    named = re.findall(r"[\w-]+", finding.said.partition("token sees: ")[2])
    assert sound.paths.election in named
    assert not {"other-program", "x"} & set(named)
    assert "--election" in finding.do


async def test_an_election_whose_nodes_are_all_gone_was_one(ward: Ward) -> None:
    await ward.consul.kv_put(ward.paths.leader, record(LeaderState.VACANT, "", 0), cas=0)
    (finding,) = [f for f in (await ward.examine()).findings if f.code is Code.NO_CANDIDATES]
    assert "--election" not in finding.do


# --- Consul ---


async def test_consul_unreachable(make_agent: Callable[..., ConsulAgent], name: str) -> None:
    agent = make_agent(start=False)
    async with client_of(agent) as consul:
        report = await Ward(consul, Paths(name)).examine()
    assert codes(report) == {Code.CONSUL_UNREACHABLE}
    assert report.fine == ()


async def test_consul_without_a_leader(make_agent: Callable[..., ConsulAgent], name: str) -> None:
    """One of two servers is gone: the other answers, and nothing it shows is judged."""
    asked = {"mode": Mode.SERVER, "bootstrap_expect": 2, "start": False}
    one = make_agent(**asked)
    two = make_agent(retry_join=(one.serf_addr,), **asked)
    for agent in (one, two):
        agent.start()
    for agent in (one, two):
        await asyncio.to_thread(agent.wait_ready)
    await asyncio.to_thread(two.stop, signal.SIGKILL)
    async with client_of(one, request_timeout_s=3.0) as consul:
        ward = Ward(consul, Paths(name))

        async def found() -> set[Code]:
            return await ward.found()

        assert await eventually(found, until=lambda seen: Code.CONSUL_NO_LEADER in seen) == {
            Code.CONSUL_NO_LEADER
        }


async def test_consul_of_a_version_that_was_not_tried(
    consul_agent: ConsulAgent, sound: Ward
) -> None:
    for new, severity in ((b"1.22.1", Severity.INFO), (b"1.6.2", Severity.CRITICAL)):
        transport = Rewriting("/v1/agent/self", b'"1.8.7"', b'"' + new + b'"')
        address = ConsulAddress(consul_agent.http_url)
        async with ConsulClient(address, request_timeout_s=10.0, http=transport) as consul:
            report = await Ward(consul, sound.paths).examine()
        assert codes(report) == {Code.CONSUL_VERSION}
        assert report.severity is severity


async def test_consul_slow(sound: Ward) -> None:
    """No read is as fast as such a lease would need."""
    hasty = Timing(lease=0.002, confirm_interval=0.001)
    assert await sound.found(timing=hasty) == {Code.CONSUL_SLOW}


async def test_consul_elects_slowly(make_agent: Callable[..., ConsulAgent], name: str) -> None:
    agent = await asyncio.to_thread(make_agent, mode=Mode.SERVER, raft_multiplier=5)
    async with client_of(agent) as consul:
        ward = Ward(consul, Paths(name))
        await ward.sound()
        assert await ward.found() == {Code.CONSUL_ELECTS_SLOWLY}


async def test_a_candidate_beside_a_server(sound: Ward) -> None:
    report = await sound.examine()
    assert report.has(Code.AGENT_IS_SERVER)
    assert Subject.CONSUL in report.fine


# --- timing ---


async def test_timing_that_differs(sound: Ward) -> None:
    await sound.candidate("core-3", timing=Timing(check_ttl=3.0))
    assert await sound.found() == {Code.TIMING_DIFFERS}


async def test_timing_here_counts_where_it_was_set(sound: Ward) -> None:
    other = Timing(takeover_delay=2.0)
    assert await sound.found(timing=other) == set()
    assert await sound.found(timing=other, takes_part=True) == {Code.TIMING_DIFFERS}


async def test_timing_unsafe_in_itself(sound: Ward) -> None:
    """No such node starts; another program may say that it is one."""
    await sound.candidate("core-3", lease_ms="9000")
    report = await sound.examine()
    assert Code.TIMING_UNSAFE in codes(report)
    assert report.severity is Severity.CRITICAL


async def test_timing_unsafe_between_two_nodes(sound: Ward) -> None:
    """core-3 stops late and relies on its long takeover_delay, which the others do not have."""
    late = Timing(lease=4.0, fence_grace=1.0, lock_delay=2.0, takeover_delay=4.0)
    await sound.candidate("core-3", timing=late)
    report = await sound.examine()
    (unsafe,) = [f for f in report.findings if f.code is Code.TIMING_UNSAFE]
    assert unsafe.severity is Severity.WARNING
    assert {"core-1", "core-2"} < set(unsafe.about)


async def test_timing_unsafe_and_the_leader_does_not_tell(ward: Ward) -> None:
    late = Timing(lease=4.0, fence_grace=1.0, lock_delay=2.0, takeover_delay=4.0)
    await ward.candidate("core-1", timing=late, state="leading", why_not="")
    await ward.candidate("core-2")
    await ward.leads("core-1", fenced_within_ms=None)
    await ward.consul.kv_put(ward.paths.term, str(TERM).encode())
    report = await ward.examine()
    unsafe = [f for f in report.findings if f.code is Code.TIMING_UNSAFE]
    assert [f.severity for f in unsafe] == [Severity.CRITICAL]


# --- the keys ---


async def test_leader_key_deleted(sound: Ward) -> None:
    await sound.consul.kv_delete(sound.paths.leader)
    found = await sound.found()
    assert {Code.LEADER_KEY_MISSING, Code.NOBODY_LEADS} <= found


async def test_leader_record_unreadable(sound: Ward) -> None:
    await sound.consul.kv_put(sound.paths.leader, b"\xff\x00 no record")
    found = await sound.found()
    assert Code.LEADER_RECORD_UNREADABLE in found
    assert Code.LEADER_KEY_EDITED not in found


async def test_leader_key_edited(sound: Ward) -> None:
    entry = (await sound.consul.kv_get(sound.paths.leader)).value
    assert entry is not None
    await sound.consul.kv_put(sound.paths.leader, entry.value)
    assert await sound.found() == {Code.LEADER_KEY_EDITED}


async def test_leader_key_says_vacant_though_it_is_held(sound: Ward) -> None:
    """By a transaction of its own session, so that it is not a plain edit."""
    value = record(LeaderState.VACANT, "core-1", TERM, fenced_within_ms=2500)
    done = await sound.consul.txn(
        [TxnOp.kv_lock(sound.paths.leader, value, sound.sessions["core-1"])]
    )
    assert done.ok
    assert await sound.found() == {Code.LEADER_KEY_EDITED}


async def test_term_key_missing(sound: Ward) -> None:
    await sound.consul.kv_delete(sound.paths.term)
    assert await sound.found() == {Code.TERM_KEY_MISSING}


async def test_term_key_unreadable(sound: Ward) -> None:
    await sound.consul.kv_put(sound.paths.term, b"seven", flags=2500)
    assert await sound.found() == {Code.TERM_KEY_UNREADABLE}


async def test_term_below_the_record(sound: Ward) -> None:
    await sound.consul.kv_put(sound.paths.term, b"6", flags=2500)
    assert await sound.found() == {Code.TERM_WENT_BACK}


async def test_term_below_the_journal(sound: Ward) -> None:
    event = "serviceradar.coordinator.became_leader"
    await sound.journal(1, "core-2", at=ago(60), event=event, term=TERM + 1)
    assert await sound.found() == {Code.TERM_WENT_BACK}


async def test_term_below_the_audit(sound: Ward) -> None:
    key = f"{sound.paths.audit}0000000000001-0123456789abcdef"
    await sound.control(key, operation="step_down", outcome="done", new_term=TERM + 1)
    assert await sound.found() == {Code.TERM_WENT_BACK}


async def test_term_beyond_the_record(sound: Ward) -> None:
    await sound.consul.kv_put(sound.paths.term, b"8", flags=2500)
    assert await sound.found() == {Code.TERM_MISMATCH}


# --- who leads ---


async def test_nobody_leads_and_the_candidates_say_why(ward: Ward) -> None:
    await ward.candidate("core-1", state="waiting", why_not="lock_delay")
    await ward.candidate("core-2", state="standby", why_not="paused")
    await ward.consul.kv_put(ward.paths.leader, record(LeaderState.VACANT, "", 0), cas=0)
    report = await ward.examine()
    assert codes(report) == {Code.NOBODY_LEADS}
    (finding,) = [f for f in report.findings if f.code is Code.NOBODY_LEADS]
    assert all(word in finding.said for word in ("core-1", "lock_delay", "core-2", "paused"))
    assert Subject.LEADER not in report.fine


async def _leaderless(ward: Ward, why_not: str) -> Finding:
    """core-1 and core-2 are there, tell that, and nobody leads: what the doctor says of that."""
    for node in ("core-1", "core-2"):
        await ward.candidate(node, state="waiting", why_not=why_not)
    await ward.consul.kv_put(ward.paths.leader, record(LeaderState.VACANT, "", 0), cas=0)
    report = await ward.examine()
    (finding,) = [f for f in report.findings if f.code is Code.NOBODY_LEADS]
    assert finding.severity is Severity.CRITICAL
    return finding


async def test_nobody_leads_as_somebody_paused_the_election(ward: Ward) -> None:
    await ward.control(ward.paths.pause, for_ms=1_800_000, actor="bob@desk", reason="the network")
    finding = await _leaderless(ward, "paused")
    for said in ("bob@desk", "the network", "about 29 min"):
        assert said in finding.said
    assert "`coord resume`" in finding.do
    assert "undrain" not in finding.do


async def test_nobody_leads_and_a_pause_that_was_just_ended_is_not_why(ward: Ward) -> None:
    finding = await _leaderless(ward, "paused")
    assert "resume" not in finding.do


async def test_nobody_leads_and_a_pause_that_is_over_is_not_why(ward: Ward) -> None:
    await ward.control(ward.paths.pause, for_ms=60_000, at=ago(300).isoformat())
    finding = await _leaderless(ward, "lock_delay")
    assert "resume" not in finding.do


async def test_nobody_leads_as_every_candidate_is_drained(ward: Ward) -> None:
    for node, actor in (("core-1", "bob@desk"), ("core-2", "carol@desk")):
        await ward.control(ward.paths.drain(node), actor=actor, reason="new disks")
    await ward.candidate("web-1", why_not="not_eligible", eligible="false")
    finding = await _leaderless(ward, "drained")
    for said in ("bob@desk", "carol@desk", "new disks"):
        assert said in finding.said
    assert "`coord undrain core-1`" in finding.do
    assert "resume" not in finding.do


async def test_nobody_leads_though_not_every_candidate_is_drained(ward: Ward) -> None:
    await ward.control(ward.paths.drain("core-1"))
    finding = await _leaderless(ward, "lock_delay")
    assert "undrain" not in finding.do


async def test_two_leaders(sound: Ward) -> None:
    await sound.discovered("core-2", TERM - 1)
    assert await sound.found() == {Code.TWO_LEADERS}


class _Coming(ConsulClient):
    """Has something happen as soon as the first look is over, of which sessions are the last."""

    happen: Callable[[], Awaitable[object]]

    async def session_list(self, *, deadline_s: float | None = None) -> tuple[Session, ...]:
        found = await super().session_list(deadline_s=deadline_s)
        await self.happen()
        return found


async def test_the_second_look_waits_for_the_slowest(sound: Ward) -> None:
    here = Here(node="here", timing=Timing())
    asked = (sound.consul, sound.paths, here)
    assert takeover_s(await gather(*asked, clock=SystemClock())) == 3.0
    await sound.candidate("core-3", timing=Timing(lock_delay=9.0, takeover_delay=2.0))
    assert takeover_s(await gather(*asked, clock=SystemClock())) == 11.0
    await sound.candidate("core-4", fenced_within_ms="3600000")
    assert takeover_s(await gather(*asked, clock=SystemClock())) == MOST_S


async def test_what_lasts_but_a_moment_is_not_told(consul_agent: ConsulAgent, sound: Ward) -> None:
    """As at a change of leader, where discovery may name both."""
    other = await sound.discovered("core-2", TERM - 1)
    async with _Coming(ConsulAddress(consul_agent.http_url), request_timeout_s=10.0) as consul:
        consul.happen = lambda: sound.consul.service_deregister(other)
        assert await Ward(consul, sound.paths).found(again_s=3.0) == set()


async def test_what_only_the_second_look_sees_is_not_told(
    consul_agent: ConsulAgent, sound: Ward
) -> None:
    """It may last but a moment as well. What both saw is told."""
    await sound.new_session("core-9", ["serfHealth"])
    async with _Coming(ConsulAddress(consul_agent.http_url), request_timeout_s=10.0) as consul:
        consul.happen = lambda: sound.discovered("core-2", TERM - 1)
        found = await Ward(consul, sound.paths).found(again_s=0.0)
    assert found == {Code.ORPHANED_SESSION}
    assert await sound.found() == {Code.ORPHANED_SESSION, Code.TWO_LEADERS}


async def test_discovery_names_another(ward: Ward) -> None:
    await ward.sound()
    await ward.consul.service_deregister(f"{ward.paths.leader_service}-core-1-b0-{TERM}")
    await ward.discovered("core-2")
    assert await ward.found() == {Code.LEADER_SERVICE_MISMATCH}


async def test_discovery_names_none(sound: Ward) -> None:
    await sound.consul.service_deregister(f"{sound.paths.leader_service}-core-1-b0-{TERM}")
    assert await sound.found() == {Code.LEADER_SERVICE_MISSING}


async def test_the_leader_is_no_candidate(sound: Ward) -> None:
    value = record(LeaderState.HELD, "core-9", TERM, fenced_within_ms=2500)
    done = await sound.consul.txn(
        [TxnOp.kv_lock(sound.paths.leader, value, sound.sessions["core-1"])]
    )
    assert done.ok
    found = await sound.found()
    assert {Code.LEADER_NOT_REGISTERED, Code.LEADER_SERVICE_MISMATCH} == found


async def test_leader_flaps(sound: Ward) -> None:
    for number in range(3):
        for cause in ("session_invalidated", "handed_over"):
            at = ago(30 - number)
            more = {"cause": cause, "new_leader": "core-1", "term": number + 1}
            event = LeaderChanged.EVENT
            await sound.journal(number, f"core-{cause[0]}", at=at, event=event, **more)
        told = Code.LEADER_FLAPS in await sound.found()
        assert told is (number == 2)


async def _forced_change(ward: Ward, term: int, cause: str, **audit: object) -> None:
    """A leader of that term came, after one whose session went; and what the audit has of it."""
    more = {"cause": cause, "new_leader": "core-1", "previous_leader": "core-2", "term": term}
    await ward.journal(term, "core-1", at=ago(30 - term), event=LeaderChanged.EVENT, **more)
    if audit:
        told = {"operation": "force_release", "outcome": "done", "node": "core-2"} | audit
        key = f"{ward.paths.audit}{term:013d}-{term:016x}"
        await ward.control(key, **told, request_id=f"{term:016x}", expected_term=term - 1)


async def _flaps(ward: Ward) -> Finding | None:
    found = (await ward.examine()).findings
    return next((each for each in found if each.code is Code.LEADER_FLAPS), None)


async def test_changes_that_operators_asked_for_are_no_flapping(sound: Ward) -> None:
    for term, cause in enumerate(("released_by_hand", "session_invalidated", "died"), start=2):
        await _forced_change(sound, term, cause, new_term=term, new_leader="core-1")
    assert await _flaps(sound) is None


async def test_beside_those_asked_for_the_others_flap_all_the_same(sound: Ward) -> None:
    await _forced_change(sound, 2, "released_by_hand", outcome="begun")
    for term in (3, 4):
        await _forced_change(sound, term, "session_invalidated")
    assert await _flaps(sound) is None
    await _forced_change(sound, 5, "session_invalidated")
    finding = await _flaps(sound)
    assert finding is not None
    assert finding.said.startswith("3 leaders")
    assert "1 that operators asked for" in finding.said


@pytest.mark.parametrize(
    "audit",
    [
        {"outcome": "not_permitted"},
        {"outcome": "not_answered", "operation": "step_down"},
        {"outcome": "done", "operation": "drain"},
        {"outcome": "no_successor", "node": "core-9"},
    ],
)
async def test_what_came_to_nothing_explains_no_change(
    sound: Ward, audit: dict[str, object]
) -> None:
    for term in (2, 3, 4):
        await _forced_change(sound, term, "session_invalidated", **audit)
    finding = await _flaps(sound)
    assert finding is not None
    assert "asked" not in finding.said


# --- sessions ---


async def _leads_with(ward: Ward, checks: list[str], **asked: object) -> None:
    """core-1 leads by a session that the test makes."""
    await ward.candidate("core-1", state="leading", why_not="")
    await ward.candidate("core-2")
    session = await ward.new_session("core-1", checks, **asked)  # type: ignore[arg-type]
    await ward.leads("core-1", session=session)


def _check(ward: Ward, node: str = "core-1") -> str:
    return f"{ward.paths.candidate_service}-{node}-b0-alive"


async def test_session_without_serf_health(ward: Ward) -> None:
    await ward.candidate("core-1", session=False)
    await _leads_with(ward, [_check(ward)])
    assert await ward.found() == {Code.SESSION_WITHOUT_SERF_HEALTH}


async def test_session_without_the_check(ward: Ward) -> None:
    await _leads_with(ward, ["serfHealth"])
    assert await ward.found() == {Code.SESSION_WITHOUT_CHECK}


async def test_session_with_anothers_check(ward: Ward) -> None:
    await ward.candidate("core-2")
    await _leads_with(ward, ["serfHealth", _check(ward, "core-2")])
    assert await ward.found() == {Code.SESSION_WITHOUT_CHECK}


@pytest.mark.parametrize("wrong", [{"lock_delay_s": 1.0}, {"behavior": "delete"}])
async def test_session_with_wrong_settings(ward: Ward, wrong: dict[str, object]) -> None:
    await ward.candidate("core-1", session=False)
    await _leads_with(ward, ["serfHealth", _check(ward)], **wrong)
    report = await ward.examine()
    settings = [f for f in report.findings if f.code is Code.SESSION_SETTINGS_WRONG]
    assert [f.severity for f in settings] == [Severity.CRITICAL]


async def test_session_without_a_ttl(ward: Ward) -> None:
    await ward.candidate("core-1", session=False)
    await _leads_with(ward, ["serfHealth", _check(ward)], ttl_s=None)
    report = await ward.examine()
    assert codes(report) == {Code.SESSION_SETTINGS_WRONG}
    assert report.severity is Severity.WARNING


async def test_orphaned_session(sound: Ward) -> None:
    orphan = await sound.new_session("core-9", ["serfHealth"])
    report = await sound.examine()
    assert codes(report) == {Code.ORPHANED_SESSION}
    (finding,) = [f for f in report.findings if f.code is Code.ORPHANED_SESSION]
    assert finding.about == (orphan,)
    assert [fix.target for fix in finding.fixes] == [orphan]


async def test_others_sessions_are_not_ours(sound: Ward) -> None:
    """One of another election, whose name begins with ours; one of some other program."""
    other = Ward(sound.consul, Paths(f"{sound.paths.election}-2"))
    await other.new_session("core-9", ["serfHealth"])
    create = sound.consul.session_create
    await create(name=f"{sound.paths.election}", checks=["serfHealth"], lock_delay_s=1.0)
    assert await sound.found() == set()


# --- candidates and what is left of them ---


async def test_the_only_candidate(ward: Ward) -> None:
    await ward.candidate("core-1", state="leading", why_not="")
    await ward.leads("core-1")
    assert await ward.found() == {Code.SINGLE_CANDIDATE}


async def test_no_candidates_although_the_key_is_held(ward: Ward) -> None:
    session = await ward.new_session("core-1", ["serfHealth"])
    await ward.leads("core-1", session=session)
    found = await ward.found()
    assert {Code.NO_CANDIDATES, Code.LEADER_NOT_REGISTERED} <= found


async def test_a_candidate_whose_check_fails(sound: Ward) -> None:
    id_ = await sound.candidate("core-3")
    await sound.fails(sound.paths.candidate_service, id_)
    assert await sound.found() == {Code.CANDIDATE_CRITICAL}


async def test_a_candidate_without_a_session(sound: Ward) -> None:
    await sound.candidate("core-3", session=False, why_not="no_session")
    assert await sound.found() == {Code.CANDIDATE_WITHOUT_SESSION}


async def test_a_candidate_that_joins_has_none_yet(sound: Ward) -> None:
    await sound.candidate("core-3", session=False, state="joining", why_not="")
    assert await sound.found() == set()


async def test_two_nodes_of_one_name(sound: Ward) -> None:
    await sound.candidate("core-2", boot="b1")
    assert await sound.found() == {Code.DUPLICATE_NODE_NAME}


async def test_an_earlier_process_is_still_registered(sound: Ward) -> None:
    id_ = await sound.candidate("core-2", boot="b9", session=False)
    await sound.fails(sound.paths.candidate_service, id_)
    report = await sound.examine()
    assert codes(report) == {Code.STALE_SERVICE}
    (finding,) = [f for f in report.findings if f.code is Code.STALE_SERVICE]
    assert [fix.target for fix in finding.fixes] == [id_]


async def test_a_former_leader_is_still_registered(sound: Ward) -> None:
    id_ = await sound.discovered("core-2", TERM - 1)
    await sound.fails(sound.paths.leader_service, id_, "working")
    assert await sound.found() == {Code.STALE_SERVICE}


async def test_an_earlier_process_is_kept_while_it_alone_tells_how_long_to_wait(
    ward: Ward,
) -> None:
    await ward.candidate("core-1")
    id_ = await ward.candidate("core-1", boot="b9", session=False, fenced_within_ms="9000")
    await ward.fails(ward.paths.candidate_service, id_)
    report = await ward.examine()
    (finding,) = [f for f in report.findings if f.code is Code.STALE_SERVICE]
    assert finding.fixes == ()


# --- what operators ask ---


async def test_paused(sound: Ward) -> None:
    await sound.control(sound.paths.pause, for_ms=7_200_000)
    report = await sound.examine()
    assert (codes(report), report.severity) == ({Code.PAUSED}, Severity.INFO)
    await sound.control(sound.paths.pause, for_ms=7_200_000, at=ago(4000).isoformat())
    report = await sound.examine()
    assert (codes(report), report.severity) == ({Code.PAUSED}, Severity.WARNING)


async def test_pause_expired(sound: Ward) -> None:
    """Clocks differ: one that may be kept to by the clock of some node is none."""
    await sound.control(sound.paths.pause, for_ms=60_000, at=ago(300).isoformat())
    assert await sound.found() == {Code.PAUSED}
    await sound.control(sound.paths.pause, for_ms=60_000, at=ago(4000).isoformat())
    assert await sound.found() == {Code.PAUSE_EXPIRED}


async def test_all_drained(sound: Ward) -> None:
    await sound.control(sound.paths.drain("core-2"))
    assert await sound.found() == set()
    await sound.control(sound.paths.drain("core-1"))
    assert await sound.found() == {Code.ALL_DRAINED}


async def test_the_leader_is_drained(sound: Ward) -> None:
    await sound.control(sound.paths.drain("core-1"))
    assert await sound.found() == {Code.DRAINED_LEADER}


async def test_request_unanswered(sound: Ward) -> None:
    await sound.control(sound.paths.request, kind="step_down", expected_term=TERM)
    assert await sound.found() == {Code.REQUEST_UNANSWERED}


async def test_a_leader_whose_work_takes_long_to_stop_obeys(ward: Ward) -> None:
    await ward.candidate("core-1", state="stepping_down", why_not="")
    await ward.candidate("core-2")
    await ward.leads("core-1")
    await ward.control(ward.paths.request, kind="step_down", expected_term=TERM)
    await ward.control(ward.paths.drain("core-1"))
    assert await ward.found() == set()


async def test_request_left_over(sound: Ward) -> None:
    await sound.control(sound.paths.request, kind="step_down", expected_term=TERM - 1)
    assert await sound.found() == {Code.REQUEST_LEFT_OVER}


@pytest.mark.parametrize("what", ["pause", "request", "drain/core-1"])
async def test_control_unreadable(sound: Ward, what: str) -> None:
    await sound.consul.kv_put(sound.paths.control + what, b"{}")
    assert await sound.found() == {Code.CONTROL_UNREADABLE}


async def test_audit_unfinished(sound: Ward) -> None:
    key = f"{sound.paths.audit}0000000000001-0123456789abcdef"
    await sound.control(key, operation="step_down")
    assert await sound.found() == set()
    await sound.control(key, operation="step_down", at=ago(3600).isoformat())
    assert await sound.found() == {Code.AUDIT_UNFINISHED}


async def test_audit_unreadable(sound: Ward) -> None:
    await sound.consul.kv_put(f"{sound.paths.audit}x", b"{")
    assert await sound.found() == {Code.AUDIT_UNREADABLE}


# --- the journal, and clocks ---


async def test_journal_too_full(sound: Ward) -> None:
    event = "serviceradar.coordinator.suspended"
    body = json.dumps({"v": 1, "event": event, "node": "core-1"}).encode()
    at_ms = round(ago(60).timestamp() * 1000)
    keys = [
        f"{sound.paths.journal}{at_ms}-core-1-00000000-{number:08d}"
        for number in range(2 * KEPT_ENTRIES + 1)
    ]
    for start in range(0, len(keys), 60):
        await sound.consul.txn([TxnOp.kv_set(key, body) for key in keys[start : start + 60]])
    assert await sound.found() == {Code.JOURNAL_TOO_FULL}


async def test_journal_unreadable(sound: Ward) -> None:
    await sound.consul.kv_put(f"{sound.paths.journal}x", b"{")
    assert await sound.found() == {Code.JOURNAL_UNREADABLE}


async def test_a_clock_that_is_ahead(sound: Ward) -> None:
    event = "serviceradar.coordinator.suspended"
    await sound.journal(1, "core-2", at=ago(-30), event=event)
    assert await sound.found() == {Code.CLOCK_SKEW}


async def test_a_leader_since_tomorrow(ward: Ward) -> None:
    await ward.candidate("core-1", state="leading", why_not="")
    await ward.candidate("core-2")
    await ward.leads("core-1", since=ago(-86_400))
    assert await ward.found() == {Code.CLOCK_SKEW}


async def test_a_clock_that_is_behind_anothers(sound: Ward) -> None:
    event = "serviceradar.coordinator.suspended"
    await sound.journal(1, "core-1", at=ago(60), event=event)
    await sound.journal(2, "core-2", at=ago(64), event=event)
    assert await sound.found() == set()
    await sound.journal(3, "core-2", at=ago(90), event=event)
    assert await sound.found() == {Code.CLOCK_SKEW}
