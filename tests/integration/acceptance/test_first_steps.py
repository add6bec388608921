"""docs/first-steps.md is true: what it says is put into files and run, on the test's own ports."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from acceptance import MakeBench
from consul_agents import ConsulAgent, eventually
from inbox import open_inbox

from coord.config import Settings
from coord.polling.records import ResultRecord
from coord.telemetry import LeaderChanged
from demo import REPO

PAGE = (REPO / "docs/first-steps.md").read_text()


def block(language: str, begins: str = "") -> str:
    found = re.findall(rf"```{language}\n({re.escape(begins)}.*?)```", PAGE, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def test_the_settings_file_is_accepted_whole(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(block("toml"))
    settings = Settings(config=path, environ={})
    assert settings.node == "core-1"
    written = tomllib.loads(block("toml"))
    assert settings.takeover_delay == 2.0
    assert settings.consul_addr == written["consul"]["addr"]


@pytest.mark.also_with_acls(candidate='key_prefix "reports/" { policy = "write" }')
async def test_the_work_and_the_schedule_of_the_page_run(
    make_bench: MakeBench, consul_agent: ConsulAgent, tmp_path: Path
) -> None:
    (tmp_path / "reports.py").write_text(block("python", "# reports.py"))
    bench = await make_bench(
        env={"PYTHONPATH": f"{tmp_path}:{REPO}"},
        workloads="cluster-health,poll-orchestrator,reports:Reports,demo.work:Pulse",
    )
    schedule = re.search(r"--data '(\{.*?\})' http", PAGE, re.DOTALL)
    assert schedule is not None
    said = schedule.group(1).replace("127.0.0.1:8500", consul_agent.http_addr)
    polls = bench.paths.polls
    assert await bench.consul.kv_put(f"{polls}schedules/{json.loads(said)['id']}", said.encode())
    await bench.fleet.start("core-1", "poller-1")
    await bench.working_leader()

    async def last_ok() -> bool | None:
        """None as long as there is no result; runs before the poller is there fail."""
        entry = (await bench.consul.kv_get(f"{polls}results/consul-api")).value
        return None if entry is None else ResultRecord.decode(entry.value).ok

    await eventually(last_ok)
    count = await eventually(
        lambda: bench.consul.kv_get("reports/count"), until=lambda reply: reply.value
    )
    assert count.value is not None
    assert int(count.value.value) >= 1


HANGS = """
import time

def make(context):
    def handle(event):
        time.sleep(3600)
    return handle
"""


async def test_the_handler_of_the_page_runs_and_one_that_hangs_harms_nobody(
    make_bench: MakeBench, tmp_path: Path
) -> None:
    (tmp_path / "notify.py").write_text(block("python", "# notify.py"))
    (tmp_path / "hangs.py").write_text(HANGS)
    async with open_inbox() as inbox:
        bench = await make_bench(
            env={
                "PYTHONPATH": f"{tmp_path}:{REPO}",
                "NOTIFY_URL": inbox.url,
                "COORDINATOR_EVENT_HANDLERS": "hangs:make,notify:make",
            }
        )
        await bench.fleet.start("core-1", "core-2")
        first, term = await bench.working_leader()
        told = await inbox.next()
        assert told["event"] == LeaderChanged.EVENT
        assert (told["new_leader"], told["term"]) == (first.name, term)
        # Neither the hand-over nor the end of the process waits for the one that hangs.
        first.terminate()
        second, _ = await bench.working_leader(after_term=term)
        told = await inbox.next()
        assert (told["previous_leader"], told["new_leader"]) == (first.name, second.name)
        assert await first.wait_exit() == 0
