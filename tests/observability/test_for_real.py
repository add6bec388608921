"""A real Prometheus and Alertmanager watch real nodes that they find through Consul."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from consul_agents import ROOT_TOKEN, AgentConfig, ConsulAgent, client_of, eventually
from prometheus_bench import OBSERVABILITY, RUNBOOKS, Watch, watching
from rights_bench import Rights, tokens_for

from coord.clock import SystemClock
from coord.polling.records import ScheduleRecord
from coord.polling.store import PollPaths
from coord.rights import Role
from coord.runbooks import find
from demo.fleet import Fleet, Node
from get_prometheus import Tools

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

WORKLOADS = "cluster-health,poll-orchestrator"


@dataclass(frozen=True, slots=True)
class Bench:
    """A Consul, nodes on it, and what watches them."""

    agent: ConsulAgent
    fleet: Fleet
    watch: Watch

    async def lead(self, *names: str) -> Node:
        """Start these nodes, and wait until one works and Prometheus has seen all of them."""
        await self.fleet.start(*names)
        leader = await self.fleet.leader()
        await self.watch.until(f"count(up == 1) == {len(names)}")
        await self.watch.until(f'coordinator_working{{node="{leader.name}"}} == 1')
        return leader


@pytest.fixture
async def bench(consul_binary: Path, tools: Tools, tmp_path: Path) -> AsyncIterator[Bench]:
    config = AgentConfig(name="consul", directory=tmp_path / "consul", binary=consul_binary)
    config.directory.mkdir()
    agent = await asyncio.to_thread(lambda: ConsulAgent(config).start().wait_ready())
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, agent.kill)
        fleet = Fleet(agent.http_addr, tmp_path / "fleet", workloads=WORKLOADS)
        await stack.enter_async_context(fleet)
        watch = await stack.enter_async_context(
            watching(tools, agent.http_addr, tmp_path / "watch")
        )
        yield Bench(agent, fleet, watch)


async def test_each_change_of_the_leader_is_told_once_with_names_cause_and_link(
    bench: Bench,
) -> None:
    webhook = bench.watch.webhook
    leader = await bench.lead("core-1", "core-2")
    (other,) = (node for node in bench.fleet.nodes.values() if node is not leader)
    await other.state("standby")
    await bench.watch.until(
        f'coordinator_why_not{{node="{other.name}", reason="held_by_other"}} == 1'
    )
    first = await webhook.wait_for("CoordinatorLeaderChanged", leader=leader.name)
    assert "previous_leader" not in first.labels

    leader.kill()
    told = await webhook.wait_for("CoordinatorLeaderChanged", leader=other.name)
    record = await bench.fleet.leader_record()
    assert told.receiver == "changes"
    assert told.labels["previous_leader"] == leader.name
    assert told.labels["term"] == str(record.term)
    assert told.labels["election"] == "coordinator"
    assert told.labels["node"] == other.name
    for part in (other.name, leader.name, told.labels["cause"]):
        assert part in told.annotations["summary"]
    link = told.annotations["runbook_url"]
    assert link == f"{RUNBOOKS}/alerts.md#coordinatorleaderchanged"
    _, section = find(link.removeprefix(f"{RUNBOOKS}/"))
    assert section is not None
    assert section.title == told.name

    # The same once more, the other way round; and nothing was told twice.
    await leader.restart()
    await leader.state("standby")
    other.terminate()
    back = await webhook.wait_for(
        "CoordinatorLeaderChanged",
        leader=leader.name,
        cause="handed_over",
        previous_leader=other.name,
    )
    assert int(back.labels["term"]) > int(told.labels["term"])
    await bench.watch.until(f'coordinator_working{{node="{leader.name}"}} == 1')
    changes = webhook.named("CoordinatorLeaderChanged")
    assert [each.labels["leader"] for each in changes] == [leader.name, other.name, leader.name]
    assert {each.status for each in changes} == {"firing"}


async def test_that_nobody_leads_is_told_and_that_it_is_over(bench: Bench) -> None:
    webhook = bench.watch.webhook
    leader = await bench.lead("core-1")
    leader.kill()
    await leader.wait_exit()
    told = await webhook.wait_for("CoordinatorNoLeader")
    assert told.receiver == "on-call"
    assert told.labels["severity"] == "critical"
    assert told.annotations["runbook_url"] == f"{RUNBOOKS}/alerts.md#coordinatornoleader"
    await leader.start()
    over = await webhook.wait_for("CoordinatorNoLeader", "resolved")
    assert over.receiver == "on-call"


async def test_while_nobody_works_why_a_single_node_does_not_is_not_told(bench: Bench) -> None:
    """Alertmanager alone: the alerts are put into it."""
    details = ("CoordinatorSuspended", "CoordinatorCannotCampaign")
    put = [{"alertname": "CoordinatorNoLeader", "election": "a", "severity": "critical"}]
    put += [
        {"alertname": name, "election": election, "severity": "warning", "node": "core-1"}
        for name in details
        for election in ("a", "b")
    ]
    url = bench.watch.alerts_url + "/api/v2/alerts"
    async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
        reply = await client.post(url, json=[{"labels": each} for each in put])
        assert reply.status_code == 200, reply.text
        await bench.watch.webhook.wait_for("CoordinatorNoLeader", election="a")
        for name in details:
            await bench.watch.webhook.wait_for(name, election="b")

        async def held_back() -> set[tuple[str, str]]:
            labels = [
                each["labels"]
                for each in (await client.get(url)).json()
                if each["status"]["inhibitedBy"]
            ]
            return {(each["alertname"], each["election"]) for each in labels}

        await eventually(held_back, until=lambda told: told == {(name, "a") for name in details})
    for name in details:
        assert [each.labels["election"] for each in bench.watch.webhook.named(name)] == ["b"]


async def test_a_viewers_token_is_enough_to_find_the_nodes(
    consul_binary: Path, tools: Tools, tmp_path: Path
) -> None:
    config = AgentConfig(
        name="locked",
        directory=tmp_path / "consul",
        binary=consul_binary,
        token=ROOT_TOKEN,
        acl=True,
    )
    config.directory.mkdir()
    agent = await asyncio.to_thread(lambda: ConsulAgent(config).start().wait_ready())
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, agent.kill)
        secrets = await asyncio.to_thread(tokens_for, agent, "coordinator")
        rights = Rights(agent, "coordinator", ROOT_TOKEN, secrets)
        fleet = Fleet(agent.http_addr, tmp_path / "fleet", token=ROOT_TOKEN, more=rights.of_node)
        await stack.enter_async_context(fleet)
        directory, token = tmp_path / "watch", secrets[Role.VIEWER]
        watch = await stack.enter_async_context(
            watching(tools, agent.http_addr, directory, token=token)
        )
        await Bench(agent, fleet, watch).lead("core-1", "poller-1")
        (info,) = await watch.until("coordinator_leader_info")
        assert info[0]["leader"] == "core-1"


# --- the dashboard -------------------------------------------------------------------------------

DASHBOARD = json.loads((OBSERVABILITY / "grafana" / "coordinator.json").read_text())
GRAFANAS = {
    "$election": "coordinator",
    "$__rate_interval": "1m",
    "$__range": "5m",
    "$__interval": "1m",
}

MAY_BE_EMPTY = {"Changes of the leader"}
"""What has data only where something has just happened."""


def queries() -> Iterator[tuple[str, str]]:
    """Each query of the dashboard with the title of its panel."""
    for note in DASHBOARD["annotations"]["list"]:
        yield note["name"], note["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def as_grafana_asks(expr: str) -> str:
    """The query with Grafana's variables put in."""
    for name, value in GRAFANAS.items():
        expr = expr.replace(name, value)
    assert "$" not in expr, expr
    return expr


async def test_every_query_of_the_dashboard_is_answered_with_data(bench: Bench) -> None:
    schedule = ScheduleRecord.model_validate(
        {
            "id": "consul",
            "interval": "1s",
            "since_ms": SystemClock().wall_ms(),
            "checks": [{"kind": "tcp", "target": bench.agent.http_addr}],
        }
    )
    async with client_of(bench.agent) as consul:
        keys = PollPaths(bench.fleet.paths)
        assert await consul.kv_put(keys.schedule(schedule.id), schedule.encode())
    leader = await bench.lead("core-1", "core-2", "poller-1")
    (other,) = (bench.fleet[n] for n in ("core-1", "core-2") if n != leader.name)
    await bench.watch.until(
        f'coordinator_why_not{{node="{other.name}", reason="held_by_other"}} == 1'
    )
    leader.terminate()
    await bench.watch.until(f'coordinator_working{{node="{other.name}"}} == 1')
    await bench.watch.until('increase(coordinator_polls_total{outcome="up"}[1m]) > 0')
    for title, expr in queries():
        found = await bench.watch.query(as_grafana_asks(expr))
        if title not in MAY_BE_EMPTY:
            values = [value for _, value in found]
            assert any(not math.isnan(value) for value in values), (title, expr, found)


async def test_every_metric_is_on_the_dashboard_or_in_an_alert(bench: Bench) -> None:
    """What nobody looks at is not worth its series."""
    await bench.lead("core-1")
    body = await bench.watch.get("/api/v1/label/__name__/values")
    told = {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for name in body["data"]
        if name.startswith("coordinator_")
    }
    looked_at = " ".join(expr for _, expr in queries()) + (OBSERVABILITY / "rules.yml").read_text()
    assert {name for name in told if name not in looked_at} == set()
