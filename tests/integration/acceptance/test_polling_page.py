"""docs/polling.md is true: its files are written, its nodes started, each of its commands run."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from acceptance import Bench, MakeBench
from click.testing import CliRunner
from consul_agents import ConsulAgent, eventually
from coord_command import environment

from coord.cli import main
from coord.cli.errors import ExitCode
from coord.polling.check_records import CheckError
from coord.polling.drafts import FIELDS, read_file
from coord.polling.records import (
    Assignment,
    CheckKind,
    HttpCheck,
    JobState,
    PollError,
    ResultRecord,
)
from coord.polling.store import PollPaths
from demo import REPO

PAGE = (REPO / "docs/polling.md").read_text()
COMMANDS = [
    shlex.split(line)
    for line in re.findall(
        r"^    (.+)$", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL), re.MULTILINE
    )
]
MAIL = "127.0.0.1:2525"


def block(language: str, begins: str) -> str:
    found = re.findall(rf"```{language}\n({re.escape(begins)}.*?)```", PAGE, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def settings_of(node: str) -> dict[str, str]:
    """What the page sets where it starts that node for the last time."""
    words = [words for words in COMMANDS if node in words][-1]
    return dict(word.split("=", 1) for word in words[: words.index("coord")])


class Shell:
    """Runs the page's commands on the test's own Consul, with its ports in place of the page's."""

    def __init__(self, address: str, election: str, replaced: dict[str, str]) -> None:
        self._env = environment(address, COORDINATOR_ELECTION=election)
        self._replaced = replaced

    def put(self, text: str) -> str:
        """The page's text as it is here."""
        for old, new in self._replaced.items():
            text = text.replace(old, new)
        return text

    async def run(self, words: list[str], *more: str) -> str:
        """What the command prints; it has to succeed."""
        assert words[0] == "coord"
        given = [self.put(word) for word in words[1:]]
        result = await asyncio.to_thread(CliRunner().invoke, main, [*given, *more], env=self._env)
        assert result.exit_code == ExitCode.OK, (words, result.output)
        return result.stdout


async def until_up(bench: Bench, schedule_id: str) -> ResultRecord:
    key = PollPaths(bench.paths).result(schedule_id)

    async def result() -> ResultRecord | None:
        entry = (await bench.consul.kv_get(key)).value
        return None if entry is None else ResultRecord.decode(entry.value)

    found = await eventually(result, until=lambda each: each is not None and each.ok is True)
    assert found is not None
    return found


def last_results(path: Path) -> dict[str, Any]:
    """The last result that the page's own sink wrote of each schedule."""
    if not path.exists():
        return {}
    told = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    return {each["schedule"]: each for each in told}


async def test_every_command_of_the_page_does_what_it_says(
    make_bench: MakeBench,
    consul_agent: ConsulAgent,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        writer.close()

    mail = await asyncio.start_server(greet, "127.0.0.1", 0)
    where = f"127.0.0.1:{mail.sockets[0].getsockname()[1]}"
    (tmp_path / "own_checks.py").write_text(block("python", "# own_checks.py"))
    (tmp_path / "own_sinks.py").write_text(block("python", "# own_sinks.py"))
    results = tmp_path / "results.jsonl"
    said = settings_of("poller-1") | settings_of("core-1")
    bench = await make_bench(
        env=said | {"PYTHONPATH": f"{tmp_path}:{REPO}", "RESULTS": str(results)},
        workloads="cluster-health,poll-orchestrator,demo.work:Pulse",
    )
    shell = Shell(
        consul_agent.http_addr,
        bench.paths.election,
        {"127.0.0.1:8500": consul_agent.http_addr, MAIL: where},
    )
    (tmp_path / "schedules.toml").write_text(shell.put(block("toml", "# schedules.toml")))
    monkeypatch.chdir(tmp_path)
    assert said["COORDINATOR_POLLER_CHECKS"] == "own_checks:Banner"
    assert said["COORDINATOR_POLL_SINKS"] == "prometheus,own_sinks:Lines"
    await bench.fleet.start("core-1", "poller-1")
    await bench.working_leader()

    rest = [words for words in COMMANDS if words[:2] == ["coord", "schedule"]]
    add, listed, show, disable, enable, run, dry, imported, pruned, remove = rest
    await shell.run(add)
    result = await until_up(bench, "consul-api")
    assert [check.kind for check in result.checks] == ["http", "tcp"]
    assert "consul-api" in await shell.run(listed)
    assert "up, status 200" in await shell.run(show)
    (shown,) = json.loads(await shell.run(listed, "--json"))["schedules"]
    assert shown["last"]["ok"] is True
    assert "disabled" in await shell.run(disable)
    assert "enabled" in await shell.run(enable)
    assert "consul-api: run\n  up, by poller-poller-1" in await shell.run(run)
    assert "dry run" in await shell.run(dry)
    assert "mail: added" in await shell.run(imported)
    # The kind of the page's own, in a real poller, by way of a leader that does not have it.
    assert [check.kind for check in (await until_up(bench, "mail")).checks] == ["banner"]
    lines = await eventually(
        lambda: asyncio.to_thread(last_results, results), until=lambda told: "mail" in told
    )
    assert lines["consul-api"]["outcome"] == lines["mail"]["outcome"] == "up"
    assert [check["kind"] for check in lines["consul-api"]["checks"]] == ["http", "tcp"]
    assert "mail: as it was" in await shell.run(pruned)
    assert "mail: removed" in await shell.run(remove)
    mail.close()


def test_every_command_of_the_page_is_known_here() -> None:
    """Each is run above, or starts a node that is started there."""
    nodes = [words for words in COMMANDS if words[:2] != ["coord", "schedule"]]
    assert [words[words.index("coord") + 1 :][:3] for words in nodes] == [
        ["node", "--node", "core-1"],
        ["node", "--node", "poller-1"],
        ["node", "--node", "poller-1"],
        ["node", "--node", "core-1"],
    ]


def test_the_page_names_every_error_and_every_field() -> None:
    tables = set(re.findall(r"`(\w+)`", PAGE))
    assert set(CheckError) <= tables
    assert set(HttpCheck.model_fields) <= tables
    assert set(CheckKind) <= tables
    assert {*PollError, JobState.CANCELLED} <= tables
    assert set(FIELDS) | set(Assignment) <= tables


def test_a_schedule_that_the_page_shows_is_one(tmp_path: Path) -> None:
    path = tmp_path / "vault.toml"
    path.write_text(block("toml", "[schedules.vault]"))
    (vault,) = read_file(path, now_ms=1)
    assert (vault.assignment, vault.assigned_to) == (Assignment.PARTITION, ("dmz",))
