"""docker-compose.yml brings up a fleet that elects, and goes on electing, on a real engine."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.docker.engine import EngineError
from tests.docker.fleet import (
    ALERTMANAGER_URL,
    CANDIDATES,
    CONSUL_URL,
    NODES,
    POLLERS,
    PROJECT,
    PROMETHEUS_URL,
    TOKEN,
    Fleet,
    within,
)
from tests.docker.images import IMAGES
from tests.docker.watch import Sample, both_at_work

# The first of them waits for all that has to be obtained and built.
pytestmark = pytest.mark.timeout(900)

NETWORK = f"{PROJECT}_default"
SCHEDULE = "consul"


@pytest.fixture
async def leader(fleet: Fleet) -> Sample:
    """Who leads before the test, with all of the fleet there."""
    return await fleet.leader()


@pytest.fixture(autouse=True)
def never_two_at_work(request: pytest.FixtureRequest) -> Any:
    """Whatever a test does to the fleet."""
    yield
    if "fleet" in request.fixturenames:
        fleet: Fleet = request.getfixturevalue("fleet")
        assert both_at_work(fleet.watch.samples()) == []


async def discovered(fleet: Fleet) -> list[tuple[str, int]]:
    """Where discovery says that the leader is, and under which term it works."""
    entries = await fleet.get(f"{CONSUL_URL}/v1/health/service/coordinator", passing="1")
    return [(e["Service"]["Address"], int(e["Service"]["Meta"]["term"])) for e in entries]


async def test_the_fleet_elects_one_leader_and_everybody_says_the_same(
    fleet: Fleet, leader: Sample
) -> None:
    for node in NODES:
        status = await fleet.status(node)
        assert status["leader"]["node"] == leader.node
        assert status["term"]["value"] == leader.term
        assert status["health"]["record"]["verdict"] == "healthy"
        assert status["health"]["record"]["nodes"]["passing"] == len(NODES)
    told = {node: await fleet.health(node) for node in CANDIDATES}
    assert [node for node in told if told[node]["state"] == "leading"] == [leader.node]
    assert {each["state"] for each in told[leader.node]["work"]} == {"running"}
    assert told.keys() - {leader.node} == {n for n in told if told[n]["state"] == "standby"}
    await within(
        lambda: discovered(fleet), until=lambda found: found == [(leader.node, leader.term)]
    )


async def test_each_poller_is_sent_polls_and_answers(fleet: Fleet, leader: Sample) -> None:
    for poller in POLLERS:
        await fleet.coord(
            leader.node,
            *("schedule", "add", f"{SCHEDULE}-{poller}", "--interval", "1s"),
            *("--tcp", "consul-1:8500", "--http", "http://web-1:8610/api/health/live"),
            *("--assignment", "specific", "--assigned-to", poller),
        )
    for poller in POLLERS:
        await fleet.more_runs(f"{SCHEDULE}-{poller}")
        assert (await fleet.result(f"{SCHEDULE}-{poller}"))["poller"] == f"poller-{poller}"


async def test_the_console_shows_the_fleet(fleet: Fleet, leader: Sample) -> None:
    shown = await fleet.compose("run", "--rm", "-T", "console", "--once")
    assert f"{leader.node} LEADS · term {leader.term}" in shown
    for node in NODES:
        assert node in shown


async def test_prometheus_finds_every_node_and_knows_alertmanager(
    fleet: Fleet, leader: Sample
) -> None:
    async def up() -> dict[str, str]:
        said = await fleet.get(f"{PROMETHEUS_URL}/api/v1/query", query='up{job="coord"}')
        return {each["metric"]["node"]: each["value"][1] for each in said["data"]["result"]}

    await within(up, until=lambda found: found == dict.fromkeys(NODES, "1"))
    rules = await fleet.get(f"{PROMETHEUS_URL}/api/v1/rules")
    (group,) = rules["data"]["groups"]
    assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}
    managers = await fleet.get(f"{PROMETHEUS_URL}/api/v1/alertmanagers")
    (manager,) = managers["data"]["activeAlertmanagers"]
    assert manager["url"].startswith("http://alertmanager:9093/")

    async def told() -> list[str]:
        alerts = await fleet.get(f"{ALERTMANAGER_URL}/api/v2/alerts")
        return [each["labels"]["alertname"] for each in alerts]

    await within(told, until=lambda names: "CoordinatorLeaderChanged" in names)


async def test_no_process_is_roots_and_no_file_system_can_be_written_to(fleet: Fleet) -> None:
    services = (await fleet.compose("ps", "--services")).split()
    assert {*NODES, "consul-1", "prometheus", "alertmanager"} <= {*services}
    for service in services:
        shown = await fleet.docker("top", fleet.container(service), "-eo", "pid,uid,comm")
        users = {line.split()[1] for line in shown.splitlines()[1:]}
        assert users, service
        assert "0" not in users, shown
        with pytest.raises(EngineError, match="Read-only file system"):
            await fleet.compose("exec", "-T", "--user", "0", service, "sh", "-c", ": > /written")
        status = await fleet.compose("exec", "-T", service, "cat", "/proc/1/status")
        told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert int(told["CapBnd"], 16) == 0
        assert told["NoNewPrivs"] == "1"


async def test_the_image_is_what_runs_and_no_more(fleet: Fleet) -> None:
    image = IMAGES["COORD_IMAGE"]
    words = ("run", "--rm", "--entrypoint", "ls", image, "/opt/coord/bin", "/opt/coord")
    there = (await fleet.docker(*words)).split()
    assert {"coord", "coord-console", "python", "health.py"} <= {*there}
    assert not [name for name in there if name.startswith(("pip", "wheel", "hatch"))]
    labels = json.loads(await fleet.docker("inspect", "--format", "{{json .Config.Labels}}", image))
    version = await fleet.docker("run", "--rm", image, "--version")
    assert labels["org.opencontainers.image.version"] in version
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    runbook = await fleet.docker("run", "--rm", image, "runbook", "alerts")
    assert "CoordinatorNoLeader" in runbook


async def test_without_a_token_for_pollers_nothing_is_started(fleet: Fleet) -> None:
    with pytest.raises(EngineError, match=r"COORDINATOR_POLLER_TOKEN.*docs/docker\.md"):
        await fleet.compose("up", "--detach", env=IMAGES)


async def test_the_token_is_all_that_has_to_be_set(fleet: Fleet) -> None:
    images = await fleet.compose("--profile", "console", "config", "--images", env=TOKEN)
    assert {name.split(":")[0] for name in images.split()} == {
        *("coord", "hashicorp/consul", "prom/prometheus", "prom/alertmanager")
    }


async def test_a_leader_that_is_killed_is_replaced(fleet: Fleet, leader: Sample) -> None:
    await fleet.docker("kill", fleet.container(leader.node))
    after = await fleet.leader(after=leader.term or 0)
    assert after.node != leader.node
    await fleet.compose("start", leader.node)
    back = await fleet.state(leader.node, "standby")
    assert back["leader_node"] == after.node
    await within(lambda: discovered(fleet), until=lambda at: at == [(after.node, after.term)])


async def test_a_leader_that_is_cut_off_stops_its_work_and_comes_back_as_a_standby(
    fleet: Fleet, leader: Sample
) -> None:
    container = fleet.container(leader.node)
    await fleet.docker("network", "disconnect", NETWORK, container)
    others = [node for node in CANDIDATES if node != leader.node]
    after = await fleet.leader(after=leader.term or 0, among=others)
    said = [each for each in fleet.watch.samples(leader.node) if each.sent >= after.received]
    cut = said or [await _next_sample(fleet, leader.node)]
    assert all(not each.work and each.state != "leading" for each in cut)
    status = await fleet.status(after.node)
    assert status["leader"]["node"] == after.node
    assert status["leader"]["term"] == after.term

    await fleet.docker("network", "connect", "--alias", leader.node, NETWORK, container)
    back = await fleet.state(leader.node, "standby")
    assert (back["leader_node"], back["leader_term"]) == (after.node, after.term)


async def _next_sample(fleet: Fleet, node: str) -> Sample:
    """What it says next."""
    now = time.monotonic()

    async def after_now() -> Sample | None:
        return next((s for s in fleet.watch.samples(node) if s.sent > now), None)

    found = await within(after_now)
    assert found is not None
    return found


async def test_work_goes_on_while_all_nodes_are_restarted_one_by_one(
    fleet: Fleet, leader: Sample
) -> None:
    # As runbooks/rolling-restart.md has it: the leader last.
    for node in (*POLLERS, *(n for n in CANDIDATES if n != leader.node), leader.node):
        await fleet.compose("restart", node)
        if node in CANDIDATES:
            await fleet.state(node, "standby")
        # A poller's own runs say that it is back.
        await fleet.more_runs(f"{SCHEDULE}-{node if node in POLLERS else POLLERS[0]}")
    after = await fleet.leader(after=leader.term or 0)
    assert after.node != leader.node
    history = json.loads(await fleet.coord(after.node, "history", "--json"))
    tenures = {each["term"]: each for each in history["tenures"]}
    assert tenures[leader.term]["node"] == leader.node
    assert tenures[leader.term]["ended"] == "handed_over", "it had the time to hand over"
