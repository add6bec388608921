"""The doctor's probe of rights, on a real Consul with ACLs on and all denied by default."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from consul_agents import (
    ROOT_TOKEN,
    AgentConfig,
    ConsulAgent,
    acl_settings,
    client_of,
    eventually,
)
from doctor_bench import Ward, ago, codes, raft_index
from hand_made import make_token, record

from coord.consul import ConsulAddress, ConsulClient, Denied, TxnOp, TxnResult
from coord.consul.types import Consistency
from coord.doctor import Code, Report, Severity, Subject
from coord.operations import read_audit
from coord.records import LeaderState, Paths
from coord.rights import Role, Rule, rules
from coord.status.denial import WORDS


@pytest.fixture(scope="module")
def locked_down(
    consul_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConsulAgent]:
    config = AgentConfig(
        name="locked",
        directory=tmp_path_factory.mktemp("locked"),
        binary=consul_binary,
        extra=acl_settings(),
        token=ROOT_TOKEN,
    )
    with ConsulAgent(config) as agent:
        yield agent


@pytest.fixture
async def root(locked_down: ConsulAgent) -> AsyncIterator[ConsulClient]:
    async with client_of(locked_down, token=ROOT_TOKEN) as consul:
        yield consul


@pytest.fixture
async def paths(root: ConsulClient, name: str) -> Paths:
    """Of an election in order."""
    await Ward(root, Paths(name)).sound()
    return Paths(name)


@asynccontextmanager
async def client_with(agent: ConsulAgent, allowed: tuple[Rule, ...]) -> AsyncIterator[ConsulClient]:
    text = "\n".join(str(rule) for rule in allowed)
    token = await asyncio.to_thread(make_token, agent, text)
    async with client_of(agent, token=token) as consul:
        yield consul


async def examined(
    agent: ConsulAgent, paths: Paths, *allowed: Rule, role: Role | None = None, **asked: Any
) -> Report:
    """What the doctor says with a token that has these rights."""
    async with client_with(agent, allowed) as consul:
        return await Ward(consul, paths).examine(**({"read_only": False, "role": role} | asked))


async def leavings(root: ConsulClient, paths: Paths) -> tuple[object, ...]:
    """What a probe may have left: scratch keys and sessions, services under that id."""
    keys = (await root.kv_keys(paths.root)).value
    sessions = [s.name for s in await root.session_list() if s.name.startswith(paths.election)]
    services = sorted(await root.agent_services())
    return keys, sorted(sessions), services


@pytest.mark.parametrize("role", list(Role))
async def test_the_policy_of_each_role_is_found_enough(
    locked_down: ConsulAgent, root: ConsulClient, paths: Paths, role: Role
) -> None:
    before = await leavings(root, paths)
    report = await examined(locked_down, paths, *rules(role, paths), role=role)
    assert role in report.roles
    assert not report.has(Code.RIGHTS_MISSING)
    assert await leavings(root, paths) == before


async def test_what_the_root_token_may(root: ConsulClient, paths: Paths) -> None:
    before = await leavings(root, paths)
    report = await Ward(root, paths).examine(read_only=False)
    assert (set(report.roles), codes(report)) == (set(Role), set())
    assert Subject.RIGHTS in report.fine
    assert await leavings(root, paths) == before


@pytest.mark.parametrize(
    ("role", "severity"),
    [(Role.CANDIDATE, Severity.CRITICAL), (Role.OPERATOR, Severity.WARNING)],
)
async def test_each_missing_right_to_write_is_named(
    locked_down: ConsulAgent, paths: Paths, role: Role, severity: Severity
) -> None:
    every = rules(role, paths)
    for missing in (rule for rule in every if rule.access == "write"):
        kept = tuple(rule for rule in every if rule != missing)
        report = await examined(locked_down, paths, *kept, role=role)
        (finding,) = [f for f in report.findings if f.code is Code.RIGHTS_MISSING]
        assert set(finding.about) == {role.value, str(missing)}
        assert finding.severity is severity
        assert role not in report.roles


async def test_a_viewer_is_told_that_writing_was_not_tried(
    locked_down: ConsulAgent, paths: Paths
) -> None:
    report = await examined(locked_down, paths, *rules(Role.VIEWER, paths))
    assert codes(report) == set()
    assert report.roles == (Role.VIEWER,)
    assert [skipped.subject for skipped in report.skipped] == [Subject.RIGHTS]


async def test_a_viewer_sees_all_there_is_to_find(
    locked_down: ConsulAgent, root: ConsulClient, paths: Paths
) -> None:
    ward = Ward(root, paths)
    await ward.new_session("core-9", ["serfHealth"])
    await ward.control(paths.request, kind="step_down", expected_term=1)
    await ward.candidate("core-3", session=False)
    report = await examined(locked_down, paths, *rules(Role.VIEWER, paths))
    expected = {
        Code.ORPHANED_SESSION,
        Code.REQUEST_LEFT_OVER,
        Code.CANDIDATE_WITHOUT_SESSION,
    }
    assert codes(report) == expected


async def test_without_any_rights(locked_down: ConsulAgent, paths: Paths) -> None:
    """Nothing is said to be fine, or missing, that was not seen."""
    async with client_of(locked_down) as consul:
        report = await Ward(consul, paths).examine(read_only=False)
    assert codes(report) == {Code.RIGHTS_MISSING}
    assert set(report.fine) <= {Subject.CONSUL}
    unseen = {skipped.subject for skipped in report.skipped}
    assert set(Subject) - unseen <= {Subject.CONSUL}


@pytest.mark.parametrize(
    ("token", "denied"),
    [(None, Denied.NO_TOKEN), (str(uuid.uuid4()), Denied.UNKNOWN_TOKEN)],
    ids=["no token", "unknown token"],
)
async def test_what_is_wrong_with_the_token_is_said(
    locked_down: ConsulAgent, paths: Paths, token: str | None, denied: Denied
) -> None:
    async with client_of(locked_down, token=token) as consul:
        report = await Ward(consul, paths).examine(read_only=False)
    assert codes(report) == {Code.RIGHTS_MISSING}
    (finding,) = [f for f in report.findings if f.code is Code.RIGHTS_MISSING]
    assert finding.about == (denied,)
    assert finding.said.lower().startswith(WORDS[denied].lower())
    assert "CONSUL_HTTP_TOKEN_FILE" in finding.do


async def test_a_token_that_is_known_and_may_not_is_told_what_it_lacks(
    locked_down: ConsulAgent, paths: Paths
) -> None:
    kept = tuple(r for r in rules(Role.VIEWER, paths) if r.kind != "key_prefix")
    report = await examined(locked_down, paths, *kept)
    (finding,) = [f for f in report.findings if f.code is Code.RIGHTS_MISSING]
    assert paths.root in finding.said
    assert not any(WORDS[each] in finding.said for each in Denied)


async def test_other_elections_are_named_as_far_as_the_token_sees_them(
    locked_down: ConsulAgent, paths: Paths, name: str
) -> None:
    mistyped = Paths(f"{name}x")
    own = rules(Role.VIEWER, mistyped)
    both = (*own, *(r for r in rules(Role.VIEWER, paths) if r not in own))
    for allowed, sees in ((own, False), (both, True)):
        report = await examined(locked_down, mistyped, *allowed)
        (finding,) = [f for f in report.findings if f.code is Code.NO_CANDIDATES]
        assert (f"{name}." in finding.said) is sees


async def test_without_a_sight_of_sessions_none_is_missed(
    locked_down: ConsulAgent, paths: Paths
) -> None:
    kept = tuple(r for r in rules(Role.VIEWER, paths) if r.kind != "session_prefix")
    report = await examined(locked_down, paths, *kept, role=Role.VIEWER)
    assert codes(report) == {Code.RIGHTS_MISSING}
    assert Subject.SESSIONS in {skipped.subject for skipped in report.skipped}


async def test_without_a_sight_of_candidates_their_sessions_are_no_orphans(
    locked_down: ConsulAgent, root: ConsulClient, paths: Paths
) -> None:
    """Whoever may see Consul's own service and not the candidates' is told that there are none."""
    kept = tuple(r for r in rules(Role.OPERATOR, paths) if r.name != paths.candidate_service)
    report = await examined(locked_down, paths, *kept, fix=True)
    assert not {Code.ORPHANED_SESSION, Code.NO_CANDIDATES} & codes(report)
    assert Subject.CANDIDATES in {skipped.subject for skipped in report.skipped}
    assert report.fixed == ()
    of_ours = [s for s in await root.session_list() if s.name.startswith(paths.election)]
    assert len(of_ours) == 2


async def test_without_a_sight_of_candidates_no_pause_is_taken_away(
    locked_down: ConsulAgent, root: ConsulClient, paths: Paths
) -> None:
    """One of them may keep to it."""
    await Ward(root, paths).control(paths.pause, for_ms=60_000, at=ago(9000).isoformat())
    kept = tuple(r for r in rules(Role.OPERATOR, paths) if r.name != paths.candidate_service)
    report = await examined(locked_down, paths, *kept, fix=True)
    assert report.has(Code.PAUSE_EXPIRED)
    assert report.fixed == ()
    assert (await root.kv_get(paths.pause)).value is not None


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.CANDIDATE])
async def test_who_may_not_write_it_down_takes_away_nothing_that_was_asked(
    locked_down: ConsulAgent, root: ConsulClient, paths: Paths, role: Role
) -> None:
    """A node's token may delete a pause, and not write the audit."""
    await Ward(root, paths).control(paths.pause, for_ms=60_000, at=ago(9000).isoformat())
    report = await examined(locked_down, paths, *rules(role, paths), fix=True)
    (fixed,) = report.fixed
    gone = (await root.kv_get(paths.pause)).value is None
    written = len(await read_audit(root, paths))
    assert (fixed.done, gone, written) == (
        (True, True, 1) if role is Role.OPERATOR else (False, False, 0)
    )


async def test_without_a_sight_of_controls_nothing_is_said_of_them(
    locked_down: ConsulAgent, paths: Paths
) -> None:
    denied = (
        Rule("key_prefix", paths.control, "deny", ""),
        Rule("key_prefix", paths.audit, "deny", ""),
    )
    report = await examined(locked_down, paths, *rules(Role.VIEWER, paths), *denied)
    unseen = {skipped.subject for skipped in report.skipped}
    assert {Subject.CONTROLS, Subject.AUDIT} <= unseen
    assert Subject.CONTROLS not in report.fine


async def test_of_a_pause_that_may_not_be_seen_the_candidates_tell(
    locked_down: ConsulAgent, root: ConsulClient, name: str
) -> None:
    paths = Paths(name)
    ward = Ward(root, paths)
    await ward.candidate("core-1", state="waiting", why_not="paused")
    await root.kv_put(paths.leader, record(LeaderState.VACANT, "", 0), cas=0)
    denied = Rule("key_prefix", paths.control, "deny", "")
    report = await examined(locked_down, paths, *rules(Role.VIEWER, paths), denied)
    (finding,) = [f for f in report.findings if f.code is Code.NOBODY_LEADS]
    assert "`coord resume`" in finding.do


# --- it never disturbs ---


@pytest.mark.parametrize("how", ["viewer", "read_only"])
async def test_it_changes_nothing(
    locked_down: ConsulAgent, root: ConsulClient, paths: Paths, how: str
) -> None:
    """Not one entry in Consul's log. The agent may write one of its own meanwhile: then again."""
    ward = Ward(root, paths)
    await ward.new_session("core-9", ["serfHealth"])
    await ward.control(paths.request, kind="step_down", expected_term=1)
    role = Role.VIEWER if how == "viewer" else Role.CANDIDATE
    read_only = how == "read_only"

    async with client_with(locked_down, rules(role, paths)) as consul:

        async def written() -> int:
            before = await asyncio.to_thread(raft_index, locked_down)
            report = await Ward(consul, paths).examine(read_only=read_only)
            assert report.has(Code.REQUEST_LEFT_OVER)
            return await asyncio.to_thread(raft_index, locked_down) - before

        assert await eventually(written, until=lambda entries: entries == 0) == 0


class _Held(ConsulClient):
    """Its transactions that write are held back once they were carried out."""

    async def txn(
        self,
        ops: object,
        *,
        consistency: Consistency = Consistency.DEFAULT,
        deadline_s: float | None = None,
    ) -> TxnResult:
        assert isinstance(ops, tuple | list)
        result = await super().txn(ops, consistency=consistency, deadline_s=deadline_s)
        if any(isinstance(op, TxnOp) and op.verb.value == "lock" for op in ops):
            self.held.set()
            await asyncio.Event().wait()
        return result

    held: asyncio.Event


async def test_interrupted_it_takes_everything_away(
    locked_down: ConsulAgent, root: ConsulClient, paths: Paths
) -> None:
    before = await leavings(root, paths)
    address = ConsulAddress(locked_down.http_url, token=ROOT_TOKEN)
    async with _Held(address, request_timeout_s=10.0) as consul:
        consul.held = asyncio.Event()
        probing = asyncio.create_task(Ward(consul, paths).examine(read_only=False))
        await consul.held.wait()
        assert await leavings(root, paths) != before
        probing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probing
    assert await leavings(root, paths) == before


async def test_killed_it_leaves_what_ends_by_itself(
    locked_down: ConsulAgent, root: ConsulClient, paths: Paths
) -> None:
    """Its session has a TTL, the shortest there is, and takes its key along when it goes."""
    address = ConsulAddress(locked_down.http_url, token=ROOT_TOKEN)
    async with _Held(address, request_timeout_s=10.0) as consul:
        consul.held = asyncio.Event()
        probing = asyncio.create_task(Ward(consul, paths).examine(read_only=False))
        await consul.held.wait()
        (scratch,) = [
            s for s in await root.session_list() if s.name.startswith(f"{paths.election} doctor-")
        ]
        assert (scratch.ttl_s, scratch.behavior) == (10.0, "delete")
        (key,) = [
            entry.key
            for entry in (await root.kv_list(f"{paths.root}doctor/")).value
            if entry.session == scratch.id
        ]
        # As Consul does when the TTL is over.
        await root.session_destroy(scratch.id)
        assert (await root.kv_get(key)).value is None
        probing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probing
