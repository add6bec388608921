"""What a command loads: no more than it needs, and nothing that is searched for garbage."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import click
import pytest

from coord.cli import main
from coord.cli.errors import ExitCode
from coord.cli.loading import loading

MACHINE = ("coord.election.machine", "coord.election.commands", "coord.election.events")
NODE = (
    *MACHINE,
    *("coord.election.states", "coord.leadership", "coord.cluster_health", "coord.supervisor"),
    *("coord.application", "coord.api", "coord.polling.records", "coord.telemetry.metrics"),
    *("structlog", "starlette", "uvicorn", "prometheus_client", "tomllib"),
)
"""What only a node needs, or whoever has a file of settings."""

CONSUL = ("coord.consul", "httpx", "httpcore", "anyio", "consul", "requests", "coord.status")
"""What it takes to ask Consul."""

_PROGRAM = """
import gc, json, sys
from coord.cli import main
try:
    main(prog_name="coord")
finally:
    found = {"loaded": list(sys.modules), "kept": gc.get_freeze_count(), "gc": gc.isenabled()}
    print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended: its exit code, and the process as it was then."""

    code: int
    loaded: frozenset[str]
    kept: int
    collecting: bool


def ran(*args: str) -> Ran:
    """Run a command in a process of its own, with a Consul that refuses every connection."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATOR_")}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Not listened on: nobody can connect, and nobody else has it.
        env["CONSUL_HTTP_ADDR"] = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-c", _PROGRAM, *args]
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Ran(done.returncode, frozenset(found["loaded"]), found["kept"], found["gc"])


@pytest.mark.parametrize(
    ("args", "code", "spared"),
    [
        (["status"], ExitCode.CONSUL_UNREACHABLE, (*NODE, "coord.telemetry", "coord.operations")),
        (["events"], ExitCode.CONSUL_UNREACHABLE, NODE),
        (["history"], ExitCode.CONSUL_UNREACHABLE, NODE),
        (["doctor"], ExitCode.CONSUL_UNREACHABLE, NODE),
        (["step-down", "--reason", "r", "--yes"], ExitCode.CONSUL_UNREACHABLE, NODE),
        (["config"], ExitCode.OK, (*NODE, *CONSUL)),
        (["runbook", "force-leader-change"], ExitCode.OK, (*NODE, *CONSUL, "coord.config")),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_loads_nothing_that_it_has_no_use_for(
    args: list[str], code: int, spared: tuple[str, ...]
) -> None:
    done = ran(*args)
    assert done.code == code
    assert done.loaded.isdisjoint(spared), sorted(done.loaded.intersection(spared))


@pytest.mark.parametrize("name", sorted({*NODE, *CONSUL}))
def test_what_is_spared_exists(name: str) -> None:
    assert importlib.util.find_spec(name) is not None


def test_what_a_command_loaded_is_never_searched_for_garbage() -> None:
    done = ran("status")
    assert done.kept > 10_000
    assert done.collecting


def test_a_command_that_is_there_already_keeps_nothing_more_alive() -> None:
    assert isinstance(main, click.Group)
    context = click.Context(main)
    main.get_command(context, "status")
    kept = gc.get_freeze_count()
    main.get_command(context, "status")
    assert gc.get_freeze_count() == kept


def test_loading_leaves_the_collector_off_where_it_was_off() -> None:
    gc.disable()
    try:
        with loading():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
    with pytest.raises(ImportError), loading():
        raise ImportError
    assert gc.isenabled()


def test_the_console_loads_what_reads_polls_only_after_its_first_picture() -> None:
    program = "import console.app, console.cli, sys; print('coord.polling.records' in sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "False\n"
