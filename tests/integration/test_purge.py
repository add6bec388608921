"""`coord purge` on a real Consul: it removes what is dead, and nothing that lives."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from acceptance import hand_over_once
from consul_agents import ROOT_TOKEN, AgentConfig, ConsulAgent, acl_settings, client_of, eventually
from hand_made import register
from warm_start import warm

from coord.cli.errors import ExitCode
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul import CheckStatus, ConsulApi, ConsulNotPermitted, TxnOp
from coord.purge import Life, Outcome, inspect, purge
from coord.records import POLLER_SERVICE, AuditRecord, Paths, utc
from coord.rights import Role, policy

GENEROUS_S = 60.0
OTHER_KEYS = ("journal/1", "journal/2", "polls/schedules/a", "control/keep", "made-by-hand")


def audit_of(reason: str = "retired") -> AuditRecord:
    return AuditRecord(
        operation="purge",
        actor="ops@desk",
        reason=reason,
        request_id=secrets.token_hex(8),
        at=utc(SystemClock().wall_ms()),
    )


@pytest.fixture
async def dead(consul: ConsulApi, name: str) -> Paths:
    """An election that was led once, with something of each kind in it, beside another one."""
    paths = Paths(name)
    await hand_over_once(consul, paths)
    for key in OTHER_KEYS:
        assert await consul.kv_put(paths.root + key, b"{}")
    assert await consul.kv_put(f"service/{name}2/leader", b"another election's")
    return paths


async def keys_of(consul: ConsulApi, paths: Paths) -> set[str]:
    return {key.removeprefix(paths.root) for key in (await consul.kv_keys(paths.root)).value}


ALL = {"leader", "term", *OTHER_KEYS}


async def run(
    address: str, *args: str, stdin: int = asyncio.subprocess.DEVNULL, **env: str
) -> tuple[int, str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("COORDINATOR_", "CONSUL_"))}
    process = await asyncio.create_subprocess_exec(
        *(*warm("coord"), "purge", *args),
        env=clean | {"CONSUL_HTTP_ADDR": address} | env,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(GENEROUS_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    assert b"Traceback" not in err
    return process.returncode, out.decode(), err.decode()


# --- a dead one ------------------------------------------------------------------------------


async def test_all_of_a_dead_election_goes_and_nothing_else(
    consul_agent: ConsulAgent, consul: ConsulApi, dead: Paths
) -> None:
    args = ("--election", dead.election, "--yes", "--reason", "retired", "--json")
    code, out, _ = await run(consul_agent.http_addr, *args)
    report = json.loads(out)
    assert (code, report["outcome"]) == (ExitCode.OK, Outcome.PURGED)
    assert report["keys"] == {
        "leader": 1,
        "term": 1,
        "control": 1,
        "journal": 2,
        "polls": 1,
        "other": 1,
    }
    (entry,) = (await consul.kv_list(dead.root)).value
    record = AuditRecord.decode(entry.value)
    assert entry.key == record.key(dead)
    assert (record.operation, record.reason, record.outcome) == ("purge", "retired", "purged")
    assert "@" in record.actor
    assert (await consul.kv_get(f"service/{dead.election}2/leader")).value is not None

    # Once more, and its own trace goes; then there is nothing.
    assert (await run(consul_agent.http_addr, *args))[0] == ExitCode.OK
    assert await keys_of(consul, dead) == set()
    code, out, _ = await run(consul_agent.http_addr, *args)
    assert (code, json.loads(out)["outcome"]) == (ExitCode.OK, Outcome.NOTHING_THERE)


async def test_a_dry_run_changes_nothing(
    consul_agent: ConsulAgent, consul: ConsulApi, dead: Paths
) -> None:
    before = (await consul.kv_list(dead.root)).value
    sessions = await consul.session_list()
    code, out, _ = await run(consul_agent.http_addr, "--election", dead.election, "--dry-run")
    assert code == ExitCode.OK
    assert "7 keys" in out
    assert (await consul.kv_list(dead.root)).value == before
    assert {s.id for s in await consul.session_list()} <= {s.id for s in sessions}


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("answer", "code"), [("y", ExitCode.OK), ("n", ExitCode.NOT_GOOD)])
async def test_it_asks_why_and_whether(
    consul_agent: ConsulAgent, consul: ConsulApi, dead: Paths, answer: str, code: ExitCode
) -> None:
    ours, theirs = os.openpty()
    os.write(ours, f"moved to another name\n{answer}\n".encode())
    try:
        found = await run(consul_agent.http_addr, "--election", dead.election, stdin=theirs)
    finally:
        os.close(theirs)
        os.close(ours)
    assert found[0] == code
    entries = (await consul.kv_list(dead.audit)).value
    reasons = [AuditRecord.decode(entry.value).reason for entry in entries]
    assert reasons == (["moved to another name"] if answer == "y" else [])
    assert (await keys_of(consul, dead) == ALL) is (answer == "n")


@pytest.mark.parametrize("args", [("--yes",), ("--json",), ("--reason", "x")])
async def test_what_it_cannot_be_told_to_do(
    consul_agent: ConsulAgent, consul: ConsulApi, dead: Paths, args: tuple[str, ...]
) -> None:
    code, _, _ = await run(consul_agent.http_addr, "--election", dead.election, *args)
    assert code == ExitCode.USAGE
    assert await keys_of(consul, dead) == ALL


async def test_a_failing_leftover_does_not_keep_it(consul: ConsulApi, dead: Paths) -> None:
    id_ = await register(consul, dead.candidate_service, "core-1", status=CheckStatus.CRITICAL)
    found = await inspect(consul, dead, clock=SystemClock())
    assert (found.alive, found.leftovers) == ((), (id_,))
    assert await purge(consul, found, audit_of()) is Outcome.PURGED
    await consul.service_deregister(id_)


# --- a living one ----------------------------------------------------------------------------


async def lock(consul: ConsulApi, paths: Paths, key: str) -> str:
    session = await consul.session_create(name="somebody", checks=["serfHealth"], lock_delay_s=1.0)
    assert (await consul.txn([TxnOp.kv_lock(paths.root + key, b"{}", session)])).ok
    return session


async def session_of_a_candidate(consul: ConsulApi, paths: Paths, _: str) -> str:
    return await consul.session_create(
        name=f"{paths.election} candidate core-1", checks=["serfHealth"], lock_delay_s=1.0
    )


async def service(consul: ConsulApi, paths: Paths, which: str) -> str:
    names = {
        "candidate": paths.candidate_service,
        "observer": paths.observer_service,
        "leader": paths.leader_service,
        "poller": POLLER_SERVICE,
    }
    return await register(consul, names[which], "core-1", election=paths.election)


SIGNS: list[tuple[Callable[..., Any], str, Life]] = [
    (lock, "leader", Life.LOCKED),
    (lock, "polls/schedules/a", Life.LOCKED),
    (session_of_a_candidate, "", Life.SESSION),
    (service, "candidate", Life.CANDIDATE),
    (service, "observer", Life.OBSERVER),
    (service, "leader", Life.LEADER_SERVICE),
    (service, "poller", Life.POLLER),
]


@pytest.mark.parametrize(("sign", "which", "life"), SIGNS)
async def test_each_sign_of_life_is_enough_to_refuse(
    consul_agent: ConsulAgent,
    consul: ConsulApi,
    dead: Paths,
    sign: Callable[..., Any],
    which: str,
    life: Life,
) -> None:
    made = await sign(consul, dead, which)
    try:
        args = ("--election", dead.election, "--yes", "--reason", "x", "--json")
        code, out, _ = await run(consul_agent.http_addr, *args)
        report = json.loads(out)
        assert (code, report["outcome"]) == (ExitCode.REFUSED, Outcome.ALIVE)
        assert [each["life"] for each in report["alive"]] == [life]
        assert await keys_of(consul, dead) == ALL
    finally:
        if sign is service:
            await consul.service_deregister(made)
        else:
            await consul.session_destroy(made)


async def test_a_poller_of_another_election_is_none_of_it(consul: ConsulApi, dead: Paths) -> None:
    id_ = await register(consul, POLLER_SERVICE, "p-1", election=dead.election + "2")
    try:
        assert (await inspect(consul, dead, clock=SystemClock())).refusal is None
    finally:
        await consul.service_deregister(id_)


# --- races -----------------------------------------------------------------------------------


async def take_the_lock(consul: ConsulApi, paths: Paths) -> None:
    await lock(consul, paths, "leader")


async def take_and_leave(consul: ConsulApi, paths: Paths) -> None:
    await consul.session_destroy(await lock(consul, paths, "leader"))


async def raise_the_term(consul: ConsulApi, paths: Paths) -> None:
    assert await consul.kv_put(paths.term, b"9")


@pytest.mark.parametrize("meanwhile", [take_the_lock, take_and_leave, raise_the_term])
async def test_who_comes_between_the_look_and_the_deed_keeps_everything(
    consul: ConsulApi, dead: Paths, meanwhile: Callable[..., Any]
) -> None:
    found = await inspect(consul, dead, clock=SystemClock())
    assert found.refusal is None
    await meanwhile(consul, dead)
    assert await purge(consul, found, audit_of()) is Outcome.CHANGED
    assert await keys_of(consul, dead) == ALL


async def test_nor_is_an_election_removed_that_was_only_made_meanwhile(
    consul: ConsulApi, name: str
) -> None:
    paths = Paths(name)
    assert await consul.kv_put(paths.root + "journal/1", b"{}")
    found = await inspect(consul, paths, clock=SystemClock())
    await hand_over_once(consul, paths)
    assert await purge(consul, found, audit_of()) is Outcome.CHANGED
    assert await keys_of(consul, paths) == {"journal/1", "leader", "term"}


# --- rights ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def acl_agent(
    consul_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConsulAgent]:
    config = AgentConfig(
        name="acl",
        directory=tmp_path_factory.mktemp("acl"),
        binary=consul_binary,
        token=ROOT_TOKEN,
        extra=acl_settings(),
    )
    with ConsulAgent(config) as agent:
        yield agent


@pytest.fixture
async def root(acl_agent: ConsulAgent) -> AsyncIterator[ConsulApi]:
    async with aclosing(client_of(acl_agent, token=ROOT_TOKEN)) as client:
        yield client


def token_with(agent: ConsulAgent, name: str, rules: dict[str, Any] | str) -> str:
    for path, body in (
        ("policy", {"Name": name, "Rules": rules if isinstance(rules, str) else json.dumps(rules)}),
        ("token", {"Policies": [{"Name": name}]}),
    ):
        status, answer = agent.request("PUT", f"/v1/acl/{path}", json.dumps(body).encode())
        assert status == 200, answer
    return str(json.loads(answer)["SecretID"])


def rules(root: str, *, keys: str = "write", **over: str) -> dict[str, Any]:
    rights = {"service": "read", "node": "read", "session": "write", "agent": "read"} | over
    return {
        "key_prefix": {root: {"policy": keys}},
        **{f"{kind}_prefix": {"": {"policy": right}} for kind, right in rights.items()},
    }


async def with_rights(
    agent: ConsulAgent, root: ConsulApi, name: str, **over: str
) -> tuple[int, str]:
    """A dead election, purged with these rights: the exit code, and the outcome told."""
    paths = Paths(name)
    await hand_over_once(root, paths)
    token = token_with(agent, name, rules(paths.root, **over))
    args = ("--election", name, "--yes", "--reason", "x", "--json")
    code, out, _ = await run(agent.http_addr, *args, CONSUL_HTTP_TOKEN=token)
    return code, json.loads(out).get("outcome", "")


async def test_these_rights_are_enough(acl_agent: ConsulAgent, root: ConsulApi, name: str) -> None:
    said = await with_rights(acl_agent, root, name)
    assert said == (ExitCode.OK, Outcome.PURGED)
    assert len(await keys_of(root, Paths(name))) == 1


@pytest.mark.parametrize("kind", ["service", "node", "session"])
async def test_who_cannot_see_is_refused(
    acl_agent: ConsulAgent, root: ConsulApi, name: str, kind: str
) -> None:
    said = await with_rights(acl_agent, root, name, **{kind: "deny"})
    assert said == (ExitCode.NOT_PERMITTED, Outcome.HIDDEN)
    assert await keys_of(root, Paths(name)) == {"leader", "term"}


@pytest.mark.parametrize(("keys", "outcome"), [("read", ""), ("deny", Outcome.HIDDEN)])
async def test_who_cannot_write_or_read_the_keys_is_refused(
    acl_agent: ConsulAgent, root: ConsulApi, name: str, keys: str, outcome: str
) -> None:
    said = await with_rights(acl_agent, root, name, keys=keys)
    assert said == (ExitCode.NOT_PERMITTED, outcome)
    assert await keys_of(root, Paths(name)) == {"leader", "term"}


@pytest.mark.parametrize("more", [False, True])
async def test_an_operator_needs_to_write_all_keys_besides(
    acl_agent: ConsulAgent, root: ConsulApi, name: str, more: bool
) -> None:
    paths = Paths(name)
    await hand_over_once(root, paths)
    rights = policy(Role.OPERATOR, Settings(environ={}, election=name))
    if more:
        rights += f'key_prefix "{paths.root}" {{ policy = "write" }}\n'
        rights += f'key_prefix "{paths.control}" {{ policy = "write" }}\n'
    token = token_with(acl_agent, name, rights)
    args = ("--election", name, "--yes", "--reason", "x")
    code, _, err = await run(acl_agent.http_addr, *args, CONSUL_HTTP_TOKEN=token)
    assert code == (ExitCode.OK if more else ExitCode.NOT_PERMITTED), err
    assert ("leader" in await keys_of(root, paths)) is not more


async def test_one_key_that_may_not_be_written_keeps_all(
    acl_agent: ConsulAgent, root: ConsulApi, name: str
) -> None:
    paths = Paths(name)
    await hand_over_once(root, paths)
    assert await root.kv_put(paths.root + "audit/1", b"{}")
    with_one_kept = rules(paths.root)
    with_one_kept["key_prefix"][paths.audit] = {"policy": "read"}
    token = token_with(acl_agent, name, with_one_kept)
    async with aclosing(client_of(acl_agent, token=token)) as consul:
        found = await inspect(consul, paths, clock=SystemClock())
        assert found.refusal is None
        with pytest.raises(ConsulNotPermitted):
            await purge(consul, found, audit_of())
    assert await keys_of(root, paths) == {"leader", "term", "audit/1"}


async def test_consul_is_not_there(make_agent: Callable[..., ConsulAgent]) -> None:
    agent = make_agent()
    agent.kill()
    code, out, err = await run(agent.http_addr, "--dry-run")
    assert (code, out) == (ExitCode.CONSUL_UNREACHABLE, "")
    assert len(err.splitlines()) == 2, "what, and which Consul was asked"


async def test_the_scratch_session_does_not_stay(consul: ConsulApi, dead: Paths) -> None:
    found = await inspect(consul, dead, clock=SystemClock())
    assert await purge(consul, found, audit_of()) is Outcome.PURGED

    async def left() -> list[str]:
        return [s.name for s in await consul.session_list() if s.name.startswith(dead.election)]

    assert await eventually(left, until=lambda names: not names) == []
