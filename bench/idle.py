"""What a node costs when nothing happens: requests, writes in Consul, CPU, memory.

Each node has a client agent of its own, and what is counted is what Consul's own telemetry counts:
the HTTP requests that the agent answered, and the calls that it made to the servers for them. What
the same agents do once the nodes have ended is taken off.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from agents import AgentError, ConsulAgent
from bench.stage import settle, wait_for
from cluster import Cluster, ClusterConfig
from demo.fleet import Fleet

WORKLOADS = "cluster-health,poll-orchestrator"
"""What a leader does unless told otherwise; nothing is scheduled to be polled."""

NODES = ("core-1", "core-2", "core-3", "poller-1")
ELIGIBLE = NODES[:2]
OBSERVER, POLLER = NODES[2:]

_LASTING = frozenset({"leading", "standby", "observer"})
TELEMETRY = {"telemetry": {"prometheus_retention_time": "24h"}}
"""Else Consul forgets what has not been counted for a minute, and begins again at 0."""

_OLD_HTTP = re.compile(r"consul_http_([A-Z]+)_v1_(\w+?)_*_count")
_NEW_HTTP = "consul_api_http_count"
_KIND = re.compile(r"consul_fsm_(\w+)_count")

RAFT = "raft writes"
RPC = "calls to the servers"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCost:
    """What one node costs at rest.

    local_per_s: its requests that its agent answers alone.
    server_per_s: its requests that the agent passes on to the servers.
    rpc_per_s: the agent's calls to the servers, beyond those that it makes without a node.
    cpu_percent: of one core; None where the system does not tell. Likewise
    rss_mb: its resident memory, in MB.
    requests: the requests one by one, per second.
    """

    role: str
    local_per_s: float
    server_per_s: float
    rpc_per_s: float
    cpu_percent: float | None
    rss_mb: float | None
    requests: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """A fleet at rest, over `seconds`.

    raft_per_s: raft entries while the fleet was there, Consul's own among them.
    raft_alone_per_s: when it had ended.
    raft_kinds: the former by Consul's name for their kind, per second.
    """

    seconds: float
    nodes: tuple[NodeCost, ...]
    raft_per_s: float
    raft_alone_per_s: float
    raft_kinds: dict[str, float]


# --- counting ------------------------------------------------------------------------------------


def counts(metrics: str) -> Counter[str]:
    """What one agent has counted since it started, by a readable name.

    HTTP requests are named as ``PUT agent_check_pass``; Consul names them in two ways, depending
    on its version, and some versions in both.
    """
    old: Counter[str] = Counter()
    new: Counter[str] = Counter()
    other: Counter[str] = Counter()
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            value = 0 if math.isnan(sample.value) else round(sample.value)
            if match := _OLD_HTTP.fullmatch(sample.name):
                old[f"{match[1]} {match[2]}"] += value
            elif sample.name == _NEW_HTTP:
                path = sample.labels["path"].removeprefix("v1_").rstrip("_")
                new[f"{sample.labels['method']} {path}"] += value
            elif match := _KIND.fullmatch(sample.name):
                other[f"fsm {match[1]}"] += value
            elif sample.name in ("consul_raft_apply", "consul_raft_apply_total"):
                other[RAFT] += value
            elif sample.name in ("consul_client_rpc", "consul_client_rpc_total"):
                other[RPC] += value
    return (new or old) + other


def is_request(name: str) -> bool:
    """Whether that is a request of a node's; reading the telemetry is ours."""
    method, _, path = name.partition(" ")
    return method.isupper() and path != "agent_metrics"


def is_local(name: str) -> bool:
    """Whether the agent answers that request without the servers.

    A registration reaches them too, but later and at the agent's own pace.
    """
    return name.partition(" ")[2].startswith("agent_")


def rates(before: Mapping[str, int], after: Mapping[str, int], seconds: float) -> dict[str, float]:
    """How often each thing happened per second; what did not happen is left out."""
    return {
        name: (count - before.get(name, 0)) / seconds
        for name, count in sorted(after.items())
        if count > before.get(name, 0)
    }


async def count(agent: ConsulAgent) -> Counter[str]:
    """What that agent has counted until now. Raises AgentError: it does not tell."""
    path = "/v1/agent/metrics?format=prometheus"
    status, body = await asyncio.to_thread(agent.request, "GET", path)
    if status != 200:
        raise AgentError(f"{agent.name} does not tell its telemetry: {status}")
    return counts(body.decode())


async def _count(agents: Mapping[str, ConsulAgent]) -> dict[str, Counter[str]]:
    found = await asyncio.gather(*(count(agent) for agent in agents.values()))
    return dict(zip(agents, found, strict=True))


def cpu_s(pid: int) -> float | None:
    """The CPU time that a process has used, in seconds."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float | None:
    """The resident memory of a process, in MB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) for line in lines if line.startswith("VmRSS:")]
    return found[0] * 1024 / 1e6 if found else None


# --- measuring -----------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _running_cluster(directory: Path, consul: Path) -> AsyncIterator[Cluster]:
    settings = ClusterConfig(directory=directory, servers=1, clients=len(NODES), binary=consul)
    cluster = Cluster(settings)
    for agent in cluster.agents:
        agent.reconfigure(extra=TELEMETRY)
    await asyncio.to_thread(cluster.__enter__)
    try:
        yield cluster
    finally:
        await asyncio.to_thread(cluster.stop)


async def measure(directory: Path, consul: Path, seconds: float) -> Idle:
    """Measure for `seconds` with a fleet that is at rest, then for as long without it.

    Raises:
        TimeoutError, NodeError, AgentError: the fleet does not come to rest.
    """
    async with _running_cluster(directory / "consul", consul) as cluster:
        server = cluster.servers[0]
        by_node = dict(zip(NODES, cluster.clients, strict=True))
        agents = {**by_node, "server": server}
        async with Fleet(server.http_addr, directory / "nodes", workloads=WORKLOADS) as fleet:
            for name, agent in by_node.items():
                more = {"COORDINATOR_ELIGIBLE": "false"} if name == OBSERVER else {}
                fleet.add(name, env={"CONSUL_HTTP_ADDR": agent.http_addr, **more})
            await fleet.start(*NODES)
            leader = (await settle(fleet, ELIGIBLE, None)).node
            await _at_rest(fleet)
            pids = {name: fleet[name].pid for name in NODES}
            used = {name: cpu_s(pid) for name, pid in pids.items()}
            found = await _rates_over(agents, seconds)
            cpu = {name: _percent(used[name], cpu_s(pid), seconds) for name, pid in pids.items()}
            memory = {name: rss_mb(pid) for name, pid in pids.items()}
        # Afterwards, because agents that have just started are busier than they will be.
        alone = await _rates_over(agents, seconds)
    order = sorted(NODES, key=lambda name: (name != leader, name))
    return Idle(
        seconds=seconds,
        nodes=tuple(
            _cost(_role(name, leader), found[name], alone[name], cpu[name], memory[name])
            for name in order
        ),
        raft_per_s=found["server"].get(RAFT, 0.0),
        raft_alone_per_s=alone["server"].get(RAFT, 0.0),
        raft_kinds=_kinds(found["server"]),
    )


async def _rates_over(
    agents: Mapping[str, ConsulAgent], seconds: float
) -> dict[str, dict[str, float]]:
    loop = asyncio.get_running_loop()
    before, began = await _count(agents), loop.time()
    await asyncio.sleep(seconds)  # this is what is measured
    after, took = await _count(agents), loop.time() - began
    return {name: rates(before[name], after[name], took) for name in agents}


async def _at_rest(fleet: Fleet) -> None:
    """Wait until every node's lasting state is in the catalog: that is the last of its start."""
    async with fleet.consul() as consul:
        for service in (fleet.paths.candidate_service, fleet.paths.observer_service):
            await wait_for(
                lambda index, service=service: consul.health_service(  # type: ignore[misc]
                    service, index=index, wait_s=None if index is None else 10.0
                ),
                lambda found: (
                    len(found) == 2 and all(each.meta.get("state") in _LASTING for each in found)
                ),
                f"the catalog tells the lasting state of both {service}",
            )


def _role(name: str, leader: str) -> str:
    roles = {leader: "leader", OBSERVER: "observer", POLLER: "poller (observes, too)"}
    return roles.get(name, "standby")


def _percent(before: float | None, after: float | None, seconds: float) -> float | None:
    return None if before is None or after is None else (after - before) / seconds * 100


def _cost(
    role: str,
    found: Mapping[str, float],
    alone: Mapping[str, float],
    cpu_percent: float | None,
    rss: float | None,
) -> NodeCost:
    requests = {name: rate for name, rate in found.items() if is_request(name)}
    return NodeCost(
        role=role,
        local_per_s=sum(rate for name, rate in requests.items() if is_local(name)),
        server_per_s=sum(rate for name, rate in requests.items() if not is_local(name)),
        rpc_per_s=found.get(RPC, 0.0) - alone.get(RPC, 0.0),
        cpu_percent=cpu_percent,
        rss_mb=rss,
        requests=requests,
    )


def _kinds(found: Mapping[str, float]) -> dict[str, float]:
    return {
        name.removeprefix("fsm "): rate for name, rate in found.items() if name.startswith("fsm ")
    }
