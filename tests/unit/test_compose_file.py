"""docker-compose.yml and the Dockerfile hold to what docs/docker.md says, without Docker.

tests/docker tries them on a real engine.
"""

from __future__ import annotations

import http.server
import os
import re
import runpy
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own

from coord.config import Settings, env_name
from coord.consul import ConsulAddress
from coord.node_type import NodeType
from demo import REPO

COMPOSE = yaml.safe_load((REPO / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (REPO / "Dockerfile").read_text()
HEALTH = REPO / "deploy" / "docker" / "health.py"
TOKEN = "a-token"
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
NODES = {
    "core-1": NodeType.CORE,
    "core-2": NodeType.CORE,
    "web-1": NodeType.WEB,
    "poller-1": NodeType.POLLER,
    "poller-2": NodeType.POLLER,
}
CANDIDATES = [name for name, kind in NODES.items() if kind is not NodeType.POLLER]


def resolved(text: str) -> str:
    """With its variables put in as Compose does where none is set but the token."""

    def value(match: re.Match[str]) -> str:
        name, how, rest = match.groups()
        if name == "COORDINATOR_POLLER_TOKEN":
            assert how == "?", "no token may stand in a file that everybody has"
            return TOKEN
        assert how == "-", f"{match.group()} has no default"
        return str(rest)

    return VARIABLE.sub(value, text)


def environment(service: str) -> dict[str, str]:
    """What its container has as variables."""
    return {k: resolved(str(v)) for k, v in SERVICES[service].get("environment", {}).items()}


def image_of(text: str) -> str:
    """An image that is pinned, from the registry that Docker has by itself."""
    name, _, tag = text.rpartition(":")
    assert re.fullmatch(r"v?\d+\.\d+\.\d+(-[a-z.]+)?(-[a-z]+)?", tag), f"{text} is not pinned"
    assert re.fullmatch(r"([a-z0-9-]+/)?[a-z0-9-]+", name), f"{text} names a registry"
    return name


def test_these_services_are_there_and_no_others() -> None:
    consul = {f"consul-{number}" for number in (1, 2, 3)}
    assert {*SERVICES} == consul | {*NODES} | {"console", "prometheus", "alertmanager"}
    assert [name for name in SERVICES if "profiles" in SERVICES[name]] == ["console"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_hardened(service: str) -> None:
    told = SERVICES[service]
    assert told["user"].split(":")[0] not in ("", "0", "root")
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    for more in ("privileged", "cap_add", "devices", "network_mode", "pid", "ipc", "userns_mode"):
        assert more not in told
    assert not [each for each in told.get("volumes", []) if "docker.sock" in each]


@pytest.mark.parametrize("service", SERVICES)
def test_every_image_is_pinned_and_a_variable(service: str) -> None:
    match = VARIABLE.fullmatch(SERVICES[service]["image"])
    assert match is not None
    name, _, image = match.groups()
    expected = {"consul": "hashicorp/consul", "coord": "coord"}
    expected |= {kind: f"prom/{kind}" for kind in ("prometheus", "alertmanager")}
    kind = name.removesuffix("_IMAGE").lower()
    assert image_of(image) == expected[kind]


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_published_on_loopback_alone_and_none_twice(service: str) -> None:
    everybodys = [resolved(port) for each in SERVICES.values() for port in each.get("ports", [])]
    published = [port.rpartition(":")[0] for port in everybodys]
    assert len({*published}) == len(published)
    for port in map(resolved, SERVICES[service].get("ports", [])):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


def test_what_goes_on_is_started_again_and_has_a_health_check() -> None:
    for name, told in SERVICES.items():
        if name == "console":
            assert told["healthcheck"] == {"disable": True}
            assert "restart" not in told
        else:
            assert told["restart"] == "unless-stopped"
            assert told["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("node", NODES)
def test_a_nodes_settings_are_ones_and_say_what_it_is(node: str) -> None:
    given = environment(node)
    settings = Settings(environ=given)
    assert settings.unknown_variables == ()
    known = {env_name(field) for field in Settings.model_fields}
    assert given.keys() <= known
    assert settings.node == node
    assert settings.found_node_type.node_type is NODES[node]
    assert settings.eligibility.eligible is (node in CANDIDATES)
    assert str(settings.advertise) == f"{node}:8610"
    assert settings.listen.is_any
    assert settings.poller_token is not None
    assert settings.poller_token.get_secret_value() == TOKEN


def test_each_candidate_uses_another_of_consuls_servers() -> None:
    used = [Settings(environ=environment(node)).consul_address for node in CANDIDATES]
    servers = {ConsulAddress(f"http://consul-{number}:8500").url for number in (1, 2, 3)}
    assert {address.url for address in used} == servers
    assert len(used) == len(servers)


def test_a_node_has_the_time_to_hand_over() -> None:
    for node in NODES:
        grace = SERVICES[node]["stop_grace_period"]
        settings = Settings(environ=environment(node))
        assert int(grace.removesuffix("s")) > settings.shutdown_timeout
        assert SERVICES[node]["init"] is True, "as process 1 it would not heed a second signal"


def test_the_console_knows_its_settings() -> None:
    given = environment("console")
    ours = {k: v for k, v in given.items() if k.startswith(("COORDINATOR_", "CONSUL_"))}
    settings = Settings(environ=ours, node="console")
    assert settings.unknown_variables == ()
    assert TOKEN not in given.values(), "it has no need of the pollers' token"


def test_every_volume_is_declared_and_every_file_is_there() -> None:
    used = set()
    for told in SERVICES.values():
        for volume in map(resolved, told.get("volumes", [])):
            source, _, target = volume.partition(":")
            if source.startswith("./"):
                assert (REPO / source).is_file()
                assert target.endswith(":ro")
            else:
                used.add(source)
    assert used == {*COMPOSE["volumes"]}


def test_its_prometheus_is_the_example_with_other_addresses() -> None:
    example = (REPO / "observability" / "prometheus.yml").read_text()
    for old, new in {
        "127.0.0.1:8500": "consul-1:8500",
        "127.0.0.1:9093": "alertmanager:9093",
    }.items():
        assert old in example
        example = example.replace(old, new)
    ours = (REPO / "deploy" / "docker" / "prometheus.yml").read_text()
    assert yaml.safe_load(ours) == yaml.safe_load(example)


# --- the image -----------------------------------------------------------------------------------


def test_the_base_is_pinned_and_the_same_in_both_files() -> None:
    (base,) = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert image_of(base) == "python"
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert stages == ["${BASE}", "${BASE}"]
    for service in (*NODES, "console"):
        assert resolved(SERVICES[service]["build"]["args"]["BASE"]) == base


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    assert f'image.version="{project["version"]}"' in DOCKERFILE
    assert f'image.licenses="{project["license"]}"' in DOCKERFILE
    match = VARIABLE.fullmatch(SERVICES["core-1"]["image"])
    assert match is not None
    assert match[3] == f"coord:{project['version']}"


def test_packages_come_with_their_hashes_and_stay_in_the_first_stage() -> None:
    build, _, final = DOCKERFILE.rpartition("\nFROM ")
    installs = re.findall(r"\b(?:install|wheel) --(?:[^\n]|\\\n)*?(?=&&|\n[A-Z])", build)
    assert len(installs) == 4
    for words in installs:
        assert ("--require-hashes" in words) != ("--no-deps" in words), words
    assert "pip" not in final
    for user in re.findall(r"^USER (\S+)", final, re.MULTILINE):
        assert user == SERVICES["core-1"]["user"]


def test_the_context_is_what_is_copied_and_no_more() -> None:
    lines = (REPO / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    wanted = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = set()
    for words in re.findall(r"^COPY (?!--)(.+)$", DOCKERFILE, re.MULTILINE):
        copied |= {*words.split()[:-1]}
    assert wanted == copied
    assert all((REPO / path).exists() for path in wanted)


# --- its health check ----------------------------------------------------------------------------


@pytest.fixture
def answers() -> Iterator[tuple[int, dict[str, int]]]:
    """A port, and the status that is answered there, by path."""
    told: dict[str, int] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(told[self.path])
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, told
        server.shutdown()
        thread.join()


def health(port: int, which: str) -> int:
    """Its exit status, in the container of a node that listens on that port."""
    env = {**os.environ, "COORDINATOR_LISTEN": f"0.0.0.0:{port}"}
    words = [sys.executable, "-I", str(HEALTH), which]
    return subprocess.run(words, env=env, capture_output=True, check=False).returncode


def test_the_health_check_says_what_the_node_says(answers: tuple[int, dict[str, int]]) -> None:
    port, told = answers
    told |= {"/api/health/live": 200, "/api/health/ready": 503}
    assert health(port, "live") == 0
    assert health(port, "ready") == 1


def test_where_nobody_answers_it_is_not_well(answers: tuple[int, dict[str, int]]) -> None:
    port, told = answers
    del told
    assert health(port, "live") == 1, "it hangs up"


def test_the_checks_call_it_as_it_wants() -> None:
    (words,) = re.findall(r'CMD \["/opt/coord/bin/python", "-I", "(.+)", "(\w+)"\]', DOCKERFILE)
    assert words == ("/opt/coord/health.py", "live")
    for node in NODES:
        test = SERVICES[node]["healthcheck"]["test"]
        assert test == ["CMD", "/opt/coord/bin/python", "-I", "/opt/coord/health.py", "ready"]


@pytest.mark.parametrize(
    ("listen", "asked"),
    [
        (None, ("127.0.0.1", 8610)),
        ("0.0.0.0:8611", ("127.0.0.1", 8611)),
        ("[::]:8612", ("127.0.0.1", 8612)),
        ("10.0.0.11:8610", ("10.0.0.11", 8610)),
        ("[fd00::1]:8610", ("fd00::1", 8610)),
    ],
)
def test_the_health_check_asks_where_the_node_listens(
    listen: str | None, asked: tuple[str, int]
) -> None:
    assert runpy.run_path(str(HEALTH))["address"](listen) == asked
