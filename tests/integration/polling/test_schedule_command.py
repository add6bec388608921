"""`coord schedule` as people run it, on a real Consul: what it writes, and what it never loses."""

from __future__ import annotations

import asyncio
import json
import os
import pty
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from consul_agents import ROOT_TOKEN, ConsulAgent, client_of, entry_of
from coord_command import GENEROUS_S, coord, environment
from rights_bench import Rights, tokens_for
from warm_start import warm

from console.view.audit import audit_rows, detail
from coord.cli import main
from coord.cli.errors import ExitCode
from coord.consul import ConsulApi, ConsulClient, TxnOp, TxnResult
from coord.operations import new_request_id, read_audit, whoami
from coord.polling.audit import Act, Trail
from coord.polling.editing import (
    MAX_CHANGES,
    EditCode,
    plan_import,
    plan_switch,
    write,
)
from coord.polling.records import (
    AskedRecord,
    CheckResult,
    JobRecord,
    JobState,
    ResultRecord,
    ScheduleRecord,
)
from coord.polling.shelf import read_schedules
from coord.polling.store import PollPaths
from coord.records import AuditRecord, Paths
from coord.rights import Role
from secure import make_policy, make_token

EVIL = "\x1b[2J\u202e[bold]x[/]"
ADD = ("--interval", "10s", "--http", "http://127.0.0.1:1/")


class Desk:
    """An operator's command line in one election."""

    def __init__(self, address: str, election: str, env: dict[str, str]) -> None:
        self._address = address
        self._election = election
        self._env = env

    async def __call__(self, *words: str, **env: str) -> tuple[int, list[Any]]:
        """Run it with --json: its exit code, and each object that it printed."""
        code, out, _ = await self.text(*words, "--json", **env)
        assert out.isascii()
        if words[0] in ("list", "show") and code in (ExitCode.OK, ExitCode.NOT_GOOD):
            return code, [json.loads(out)]
        return code, [json.loads(line) for line in out.splitlines()]

    async def text(self, *words: str, **env: str) -> tuple[int, str, str]:
        given = ("schedule", *words, "--election", self._election)
        where = environment(self._address, **self._env, **env)
        result = await asyncio.to_thread(CliRunner().invoke, main, given, env=where)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.stdout, result.stderr

    async def apart(self, *words: str) -> tuple[int, str, str]:
        """The same in a process of its own."""
        given = ("schedule", *words, "--election", self._election)
        return await coord(self._address, *given, **self._env)


@pytest.fixture
def desk(rights: Rights) -> Desk:
    return Desk(rights.agent.http_addr, rights.election, rights.of(Role.OPERATOR))


@pytest.fixture
def keys(name: str) -> PollPaths:
    return PollPaths(Paths(name))


@pytest.fixture
async def root(rights: Rights) -> AsyncIterator[ConsulClient]:
    async with client_of(rights.agent, token=rights.token) as client:
        yield client


async def record_of(consul: ConsulApi, keys: PollPaths, schedule_id: str) -> ScheduleRecord | None:
    entry = (await consul.kv_get(keys.schedule(schedule_id))).value
    return None if entry is None else ScheduleRecord.decode(entry.value)


@pytest.mark.also_with_acls
async def test_a_schedule_is_written_changed_and_removed(
    desk: Desk, root: ConsulClient, keys: PollPaths
) -> None:
    assert await desk("list") == (
        ExitCode.OK,
        [{"election": keys.paths.election, "results_seen": True, "schedules": []}],
    )
    words = ["web", *ADD, "--tcp", "127.0.0.1:1", "--timeout", "2s", "--contains", "Köln"]
    words += ["--poll-timeout", "1500ms", "--max-retries", "0", "--priority", "7"]
    words += ["--assignment", "domain", "--assigned-to", "fra, ber"]
    code, (told,) = await desk("add", *words, "--name", "Der Laden", "--status", "200,204")
    assert (code, told["kind"], told["outcome"]) == (ExitCode.OK, "outcome", "done")
    assert told["changes"] == [{"id": "web", "change": "added"}]
    record = await record_of(root, keys, "web")
    assert record is not None
    assert record.since_ms > 0

    code, (shown,) = await desk("show", "web")
    http, tcp = shown["checks"]
    assert (code, shown["interval_ms"], shown["enabled"]) == (ExitCode.OK, 10_000, True)
    assert (shown["name"], shown["last"], shown["running"]) == ("Der Laden", None, None)
    assert (http["status"], http["contains"], http["timeout_ms"]) == ([200, 204], "Köln", 2000)
    assert (tcp["kind"], tcp["timeout_ms"]) == ("tcp", 2000)
    assert (shown["timeout_ms"], shown["max_retries"], shown["priority"]) == (1500, 0, 7)
    assert (shown["assignment"], shown["assigned_to"]) == ("domain", ["fra", "ber"])
    for look in (("list",), ("show", "web")):
        assert "domain fra,ber" in (await desk.text(*look))[1]

    code, (told,) = await desk("add", "web", *ADD)
    assert (code, told["kind"], told["code"]) == (ExitCode.REFUSED, "refused", EditCode.EXISTS)
    assert await record_of(root, keys, "web") == record
    code, (told,) = await desk("add", "web", *ADD, "--replace", "--disabled")
    assert (code, told["changes"]) == (ExitCode.OK, [{"id": "web", "change": "replaced"}])
    code, (told,) = await desk("enable", "web")
    assert (code, told["changes"]) == (ExitCode.OK, [{"id": "web", "change": "enabled"}])
    code, (told,) = await desk("enable", "web")
    assert (code, told["outcome"]) == (ExitCode.OK, "unchanged")
    code, _ = await desk("disable", "web")
    changed = await record_of(root, keys, "web")
    assert changed is not None
    assert (code, changed.enabled, len(changed.checks)) == (ExitCode.OK, False, 1)

    code, (told,) = await desk("rm", "web", "--dry-run")
    assert (code, told["outcome"]) == (ExitCode.OK, "would_be_done")
    assert await record_of(root, keys, "web") == changed
    code, (told,) = await desk("rm", "web", "--yes")
    assert (code, told["changes"]) == (ExitCode.OK, [{"id": "web", "change": "removed"}])
    assert await record_of(root, keys, "web") is None


@pytest.mark.also_with_acls
async def test_what_is_not_there_is_said(desk: Desk) -> None:
    code, (shown,) = await desk("show", "gone")
    assert (code, shown["found"]) == (ExitCode.NOT_GOOD, False)
    for words in (("enable", "gone"), ("disable", "gone"), ("rm", "gone", "--yes")):
        code, (told,) = await desk(*words)
        assert (code, told["code"], told["ids"]) == (ExitCode.REFUSED, "not_found", ["gone"])
    code, (told,) = await desk("run", "gone")
    assert (code, told["code"]) == (ExitCode.REFUSED, "no_leader")


@pytest.mark.also_with_acls
async def test_a_run_that_nobody_takes_up_is_taken_back(
    desk: Desk, root: ConsulClient, keys: PollPaths
) -> None:
    """Somebody leads, and does not poll."""
    await desk("add", "web", *ADD)
    session = await root.session_create(name="test", checks=["serfHealth"], lock_delay_s=1.0)
    assert (await root.txn([TxnOp.kv_lock(keys.paths.leader, b"held", session)])).ok
    code, (told,) = await desk("run", "web", "--wait", "--timeout", "100ms")
    assert (code, told["outcome"], told["last"]) == (ExitCode.NOT_GOOD, "taken_back", None)
    code, (told,) = await desk("run", "web")
    assert (code, told["outcome"], told["id"]) == (ExitCode.OK, "asked", "web")
    asked = AskedRecord.decode((await entry_of(root, keys.ask("web"))).value)
    assert (asked.schedule, asked.request_id) == ("web", told["request_id"])
    code, (told,) = await desk("run", "web")
    assert (code, told["code"]) == (ExitCode.REFUSED, "asked_already")
    assert (await desk("run", "web", "--timeout", "1s"))[0] == ExitCode.USAGE
    assert (await desk("run", "web", "--wait", "--timeout", "soon"))[0] == ExitCode.USAGE
    await root.session_destroy(session)


async def test_who_may_not_is_told_so_and_changes_nothing(
    locked_agent: ConsulAgent, name: str, keys: PollPaths
) -> None:
    secrets = await asyncio.to_thread(tokens_for, locked_agent, name)
    operator, viewer, stranger = (
        Desk(locked_agent.http_addr, name, {"CONSUL_HTTP_TOKEN": token})
        for token in (secrets[Role.OPERATOR], secrets[Role.VIEWER], "")
    )
    assert (await operator("add", "web", *ADD))[0] == ExitCode.OK
    assert (await viewer("show", "web"))[0] == ExitCode.OK
    assert (await viewer("list"))[1][0]["schedules"][0]["id"] == "web"
    async with client_of(locked_agent, token=locked_agent.config.token) as root:
        before = await root.kv_list(keys.schedules)
        for words in (("add", "new", *ADD), ("disable", "web"), ("rm", "web", "--yes")):
            code, (error,) = await viewer(*words)
            assert (code, error["kind"], error["code"]) == (4, "error", "not_permitted")
        assert (await root.kv_list(keys.schedules)).value == before.value
    # A list that is denied comes empty: that is not told as "there are none".
    assert (await stranger("list"))[0] == ExitCode.NOT_PERMITTED


async def test_without_consul_nothing_is_said_to_be_done(name: str) -> None:
    nowhere = Desk("127.0.0.1:1", name, {})
    for words in (("list",), ("add", "web", *ADD), ("rm", "web", "--yes")):
        code, (error,) = await nowhere(*words)
        assert (code, error["code"]) == (ExitCode.CONSUL_UNREACHABLE, "consul_unreachable")


FILE = """
[schedules.web]
interval = "10s"
checks = [{ kind = "http", target = "http://127.0.0.1:1/" }]

[schedules.db]
interval = "1m"
checks = [{ kind = "postgres", target = "db-1:5432", database = "shop" }]
"""


@pytest.mark.also_with_acls
async def test_a_file_is_imported_and_what_is_not_in_it_stays_unless_pruned(
    desk: Desk, root: ConsulClient, keys: PollPaths, tmp_path: Path
) -> None:
    path = tmp_path / "schedules.toml"
    path.write_text(FILE)
    await desk("add", "old", *ADD)
    code, (told,) = await desk("import", str(path), "--dry-run", "--prune")
    would_be = {each["id"]: each["change"] for each in told["changes"]}
    assert would_be == {"web": "added", "db": "added", "old": "removed"}
    assert set(await read_schedules(root, keys)) == {"old"}
    code, (told,) = await desk("import", str(path))
    assert (code, told["outcome"]) == (ExitCode.OK, "done")
    assert set(await read_schedules(root, keys)) == {"old", "web", "db"}
    code, (told,) = await desk("import", str(path))
    assert (code, told["outcome"]) == (ExitCode.OK, "unchanged")

    code, (error,) = await desk("import", str(path), "--prune")
    assert (code, error["code"]) == (ExitCode.USAGE, "usage")  # it would have to ask
    code, (told,) = await desk("import", str(path), "--prune", "--yes")
    changes = {each["id"]: each["change"] for each in told["changes"]}
    assert changes == {"web": "unchanged", "db": "unchanged", "old": "removed"}
    assert set(await read_schedules(root, keys)) == {"web", "db"}

    path.write_text(FILE + "\n[schedules.bad]\ninterval = 1\n")
    code, (error,) = await desk("import", str(path), "--prune", "--yes")
    assert code == ExitCode.USAGE
    assert f"schedules.bad.checks: it is missing (from file {path})" in error["message"]
    assert set(await read_schedules(root, keys)) == {"web", "db"}
    path.write_text("")
    assert (await desk("import", str(path), "--prune", "--yes"))[0] == ExitCode.USAGE
    assert set(await read_schedules(root, keys)) == {"web", "db"}


def some(*ids: str, **fields: Any) -> list[ScheduleRecord]:
    checks = [{"kind": "tcp", "target": "h:1"}]
    return [
        ScheduleRecord.model_validate({"id": each, "interval": "10s", "checks": checks, **fields})
        for each in ids
    ]


async def test_an_import_on_what_somebody_changed_meanwhile_changes_nothing(
    consul: ConsulClient, keys: PollPaths
) -> None:
    old = some("a", "b")
    await write(consul, plan_import({}, old, keys, prune=False))
    seen = await read_schedules(consul, keys)
    plan = plan_import(seen, some("a", "b", "c", name="mine"), keys, prune=False)
    theirs = plan_import(seen, some("b", name="theirs"), keys, prune=False)
    assert (await write(consul, theirs)).left == ()

    written = await write(consul, plan)
    assert (written.done, written.conflicts) == ((), ("b",))
    found = await read_schedules(consul, keys)
    names = {key: each.record.name for key, each in found.items() if each.record}
    assert names == {"a": "", "b": "theirs"}


async def test_one_that_came_meanwhile_is_not_written_over(
    consul: ConsulClient, keys: PollPaths
) -> None:
    plans = [plan_import({}, some("a", name=each), keys, prune=False) for each in ("one", "two")]
    one, two = [await write(consul, plan) for plan in plans]
    assert (one.left, two.conflicts) == ((), ("a",))
    record = await record_of(consul, keys, "a")
    assert record is not None
    assert record.name == "one"


class MeanwhileSomebody:
    """A Consul in which somebody writes that schedule between every look and every write."""

    def __init__(self, consul: ConsulClient, keys: PollPaths, schedule_id: str) -> None:
        self._consul = consul
        self._keys = keys
        self._id = schedule_id

    async def txn(self, ops: list[TxnOp], **more: Any) -> TxnResult:
        (record,) = some(self._id, name="theirs")
        await self._consul.kv_put(self._keys.schedule(self._id), record.encode())
        return await self._consul.txn(ops, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consul, name)


async def test_what_does_not_fit_into_one_transaction_says_what_was_done(
    consul: ConsulClient, keys: PollPaths
) -> None:
    ids = [f"s-{number:03}" for number in range(MAX_CHANGES + 2)]
    plan = plan_import({}, some(*ids), keys, prune=False)
    busy: Any = MeanwhileSomebody(consul, keys, ids[-1])
    written = await write(busy, plan)
    assert [edit.id for edit in written.done] == ids[:MAX_CHANGES]
    assert [edit.id for edit in written.left] == ids[MAX_CHANGES:]
    assert written.conflicts == (ids[-1],)
    assert len(await read_schedules(consul, keys)) == MAX_CHANGES + 1

    seen = await read_schedules(consul, keys)
    written = await write(consul, plan_import(seen, some(*ids), keys, prune=False))
    assert written.left == ()
    assert len(await read_schedules(consul, keys)) == MAX_CHANGES + 2


async def test_two_who_switch_at_once_lose_nothing_of_each_other(
    consul: ConsulClient, keys: PollPaths, desk: Desk
) -> None:
    await write(consul, plan_import({}, some("a", "b"), keys, prune=False))
    async with asyncio.TaskGroup() as group:
        group.create_task(desk.apart("disable", "a", "b"))
        group.create_task(desk.apart("disable", "b", "a"))
    found = await read_schedules(consul, keys)
    assert not any(each.record.enabled for each in found.values() if each.record)
    plan = plan_switch(found, ["a"], enabled=True, now_ms=1)
    assert (await write(consul, plan)).left == ()
    assert (await write(consul, plan)).conflicts == ("a",)


async def test_what_stands_there_is_shown_whatever_it_is(
    consul_agent: ConsulAgent, consul: ConsulClient, keys: PollPaths, desk: Desk, tmp_path: Path
) -> None:
    (web,) = some("web", name=EVIL)
    await consul.kv_put(keys.schedule("web"), web.encode())
    await consul.kv_put(keys.schedule("broken"), b'{"id": "broken"}')
    # Only by a transaction Consul takes such a key.
    op = {"Verb": "set", "Key": keys.schedules + EVIL, "Value": "ew=="}
    body = json.dumps([{"KV": op}]).encode()
    assert (await asyncio.to_thread(consul_agent.request, "PUT", "/v1/txn", body))[0] == 200
    check = CheckResult(
        kind="tcp", target="h:1", ok=False, latency_ms=3, error="later_word", detail="who knows"
    )
    result = ResultRecord(
        schedule="web",
        job="web.1",
        attempt=1,
        term=1,
        state=JobState.COMPLETED,
        ok=False,
        due_ms=1,
        finished_ms=1_700_000_000_000,
        poller=EVIL,
        checks=(check,),
        runs=3,
    )
    await consul.kv_put(keys.result("web"), result.encode())
    job = JobRecord(id="web.2", schedule="web", state=JobState.DISPATCHING, term=1, due_ms=2)
    await consul.kv_put(keys.job("web.2"), job.encode())

    code, (data,) = await desk("list")
    by_id = {each["id"]: each for each in data["schedules"]}
    assert (code, set(by_id)) == (ExitCode.OK, {"web", "broken", EVIL})
    assert (by_id["broken"]["readable"], by_id["broken"]["problem"]["field"]) == (False, "interval")
    assert by_id["web"]["last"]["checks"][0]["error"] == "later_word"
    assert by_id["web"]["running"]["id"] == "web.2"
    code, out, _ = await desk.text("list")
    assert code == ExitCode.OK
    assert all(line.isprintable() for line in out.splitlines())
    assert "down" in out
    code, out, _ = await desk.text("show", "web")
    assert code == ExitCode.OK
    assert all(line.isprintable() for line in out.splitlines())
    assert "down: later_word, 3 ms (who knows)" in out
    code, out, _ = await desk.text("show", "broken")
    assert (code, "interval" in out) == (ExitCode.NOT_GOOD, True)
    # What cannot be read cannot be switched, but written anew, or removed.
    assert (await desk("enable", "broken"))[1][0]["code"] == EditCode.UNREADABLE
    assert (await desk("add", "broken", *ADD, "--replace"))[0] == ExitCode.OK
    # A key that no schedule can have is left to whoever made it.
    path = tmp_path / "schedules.toml"
    path.write_text(FILE)
    assert (await desk("import", str(path), "--prune", "--yes"))[0] == ExitCode.OK
    (data,) = (await desk("list"))[1]
    assert {each["id"] for each in data["schedules"]} == {"web", "db", EVIL}


@pytest.mark.parametrize(("answer", "code"), [("n\n", ExitCode.NOT_GOOD), ("y\n", ExitCode.OK)])
async def test_removing_asks_on_a_terminal(
    consul_agent: ConsulAgent, consul: ConsulClient, keys: PollPaths, answer: str, code: ExitCode
) -> None:
    await write(consul, plan_import({}, some("web"), keys, prune=False))
    ours, theirs = pty.openpty()
    words = ("schedule", "rm", "web", "--election", keys.paths.election)
    process = await asyncio.create_subprocess_exec(
        *warm("coord"),
        *words,
        env=environment(consul_agent.http_addr),
        stdin=theirs,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    async with asyncio.timeout(GENEROUS_S):
        _, err = await process.communicate()
    os.close(ours)
    assert process.returncode == code
    assert b"Remove web?" in err
    assert (await record_of(consul, keys, "web") is None) is (code == ExitCode.OK)


async def test_removing_without_a_terminal_needs_a_word(
    consul: ConsulClient, keys: PollPaths, desk: Desk, tmp_path: Path
) -> None:
    await write(consul, plan_import({}, some("web"), keys, prune=False))
    code, _, err = await desk.text("rm", "web")
    assert (code, "--yes" in err) == (ExitCode.USAGE, True)
    assert await record_of(consul, keys, "web") is not None


# --- the audit ---


async def entries(consul: ConsulApi, keys: PollPaths) -> list[AuditRecord]:
    """All that stands in the audit, the earliest first; each can be read."""
    found = await read_audit(consul, keys.paths)
    assert not [entry.problem for entry in found if entry.record is None]
    return [entry.record for entry in found if entry.record is not None]


@pytest.mark.also_with_acls
async def test_each_command_that_changes_something_leaves_one_entry_in_the_audit(
    desk: Desk, root: ConsulClient, keys: PollPaths, tmp_path: Path
) -> None:
    path = tmp_path / "schedules.toml"
    check = 'checks = [{ kind = "tcp", target = "127.0.0.1:1" }]'
    path.write_text(f'[schedules.b]\ninterval = "10s"\n{check}\n')
    ok = (
        ("add", "a", *ADD, "--reason", " for the shop "),
        ("disable", "a"),
        ("enable", "a", "--reason", EVIL),
        ("import", str(path), "--prune", "--yes"),
        ("rm", "b", "--yes"),
    )
    for words in ok:
        assert (await desk(*words))[0] == ExitCode.OK
    # Nothing is changed by these.
    await desk("add", "c", *ADD)
    told = await entries(root, keys)
    assert (await desk("add", "c", *ADD))[0] == ExitCode.REFUSED
    assert (await desk("enable", "c"))[0] == ExitCode.OK
    assert (await desk("rm", "c", "--dry-run"))[0] == ExitCode.OK
    assert (await desk("rm", "nothing", "--yes"))[0] == ExitCode.REFUSED
    assert (await desk("run", "c"))[0] == ExitCode.REFUSED
    assert await entries(root, keys) == told

    assert [(each.operation, each.outcome, each.detail) for each in told] == [
        ("schedule_add", "done", "added: a"),
        ("schedule_disable", "done", "disabled: a"),
        ("schedule_enable", "done", "enabled: a"),
        ("schedule_import", "done", "added: b; removed: a"),
        ("schedule_rm", "done", "removed: b"),
        ("schedule_add", "done", "added: c"),
    ]
    assert [each.reason for each in told[:3]] == ["for the shop", "none given", EVIL]
    assert {each.actor for each in told} == {whoami()}
    assert len({each.request_id for each in told}) == len(told)
    assert all(each.finished_at is not None for each in told)


async def test_what_stands_in_the_audit_of_schedules_is_shown(
    consul_agent: ConsulAgent, consul: ConsulClient, keys: PollPaths, desk: Desk
) -> None:
    await desk("add", "a", *ADD, "--reason", EVIL)
    code, out, err = await coord(
        consul_agent.http_addr, "history", "--audit", "--election", keys.paths.election
    )
    assert code == ExitCode.OK, err
    assert "schedule_add" in out
    assert "added: a" in out
    assert "\x1b" not in out
    (row,) = audit_rows(await read_audit(consul, keys.paths))
    assert (row.operation, row.outcome, row.actor) == ("schedule_add", "done", whoami())
    assert list(detail(row))


async def test_a_reason_that_is_too_long_changes_nothing(
    consul: ConsulClient, keys: PollPaths, desk: Desk
) -> None:
    code, _, err = await desk.text("add", "a", *ADD, "--reason", "x" * 501)
    assert (code, "--reason: at most 500" in err) == (ExitCode.USAGE, True)
    assert await record_of(consul, keys, "a") is None


def trail_of(keys: PollPaths) -> Trail:
    return Trail(
        paths=keys.paths,
        act=Act.IMPORT,
        actor="ann@desk",
        reason="",
        request_id=new_request_id(),
        at_ms=1_700_000_000_000,
        wall_ms=lambda: 1_700_000_000_250,
    )


async def test_a_change_in_several_steps_leaves_one_entry_also_where_it_ends_early(
    consul: ConsulClient, keys: PollPaths
) -> None:
    ids = [f"s-{number:03}" for number in range(3 * MAX_CHANGES + 1)]
    busy: Any = MeanwhileSomebody(consul, keys, ids[-1])
    plan = plan_import({}, some(*ids), keys, prune=False)
    assert len((await write(busy, plan, trail_of(keys))).done) == 3 * MAX_CHANGES
    (partly,) = await entries(consul, keys)
    assert (partly.outcome, partly.detail[:20]) == ("partly", "added: s-000, s-001,")

    seen = await read_schedules(consul, keys)
    plan = plan_import(seen, some(*ids, name="anew"), keys, prune=False)
    assert (await write(consul, plan, trail_of(keys))).left == ()
    done = [each for each in await entries(consul, keys) if each.outcome == "done"]
    assert len(done) == 1
    assert done[0].detail.startswith("replaced: s-000")
    assert done[0].detail.endswith("more")

    seen = await read_schedules(consul, keys)
    busy = MeanwhileSomebody(consul, keys, ids[0])
    plan = plan_import(seen, some(*ids, name="once more"), keys, prune=False)
    assert (await write(busy, plan, trail_of(keys))).done == ()
    assert len(await entries(consul, keys)) == 2


async def test_who_may_not_write_the_audit_changes_nothing(
    locked_agent: ConsulAgent, name: str, keys: PollPaths
) -> None:
    rules = f'key_prefix "{keys.schedules}" {{ policy = "write" }}'
    await asyncio.to_thread(make_policy, locked_agent, name, rules)
    _, token = await asyncio.to_thread(make_token, locked_agent, name, name)
    desk = Desk(locked_agent.http_addr, name, {"CONSUL_HTTP_TOKEN": token})
    code, _, err = await desk.text("add", "a", *ADD)
    assert code == ExitCode.NOT_PERMITTED, err
    async with client_of(locked_agent, token=ROOT_TOKEN) as consul:
        assert await record_of(consul, keys, "a") is None
