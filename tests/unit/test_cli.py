"""The command line: exit codes, what goes to stderr, and that nothing shows a traceback."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from coord.cli import main
from coord.cli.config_report import MASK, config_report
from coord.cli.errors import ExitCode, cannot_listen, cli_errors, consul_failure
from coord.cli.status import status_exit_code
from coord.config import NO_FLAG_FIELDS, Settings, SettingsError, flag_name
from coord.consul.errors import (
    ConsulError,
    ConsulNotFound,
    ConsulNotPermitted,
    ConsulRefused,
    ConsulUnavailable,
)
from coord.members import Listing, Seen
from coord.status.model import (
    ClusterStatus,
    Condition,
    ConsulStatus,
    HealthStatus,
    LeaderStatus,
    TermCondition,
    TermStatus,
)

TOKEN = "b1gs3cret-0000"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("COORDINATOR_", "CONSUL_", "CLUSTER_", "SERVICERADAR_")):
            monkeypatch.delenv(name)


def run(*args: str, **env: str) -> Result:
    return CliRunner().invoke(main, list(args), env=env)


def test_config_prints_every_setting_with_its_source() -> None:
    result = run("config", "--json", "--node", "core-1", "--lease", "1s", COORDINATOR_MIN_NODES="3")
    assert result.exit_code == ExitCode.OK
    report = json.loads(result.stdout)
    settings = report["settings"]
    assert set(settings) == set(Settings.model_fields)
    assert settings["lease"] == {
        "value": "1s",
        "value_s": 1.0,
        "source": {"kind": "flag", "name": "--lease"},
    }
    assert settings["min_nodes"] == {
        "value": 3,
        "source": {"kind": "env", "name": "COORDINATOR_MIN_NODES"},
    }
    assert settings["check_ttl"]["source"] == {"kind": "default", "name": None}


def test_config_says_whether_the_node_may_lead() -> None:
    report = json.loads(run("config", "--json", "--node", "poller-1").stdout)
    assert report["node"] == {
        "name": "poller-1",
        "node_type": "poller",
        "node_type_from": "node_name",
        "eligible": False,
        "eligible_why": "node_type_may_not_lead",
    }
    arguments = ("config", "--node", "poller-1", "--eligible", "true")
    assert "set_eligible" in run(*arguments).stdout


def test_config_prints_the_timing_budget() -> None:
    settings = Settings(environ={}, node="core-1")
    amounts = config_report(settings)["budget_s"]
    assert amounts["overlap_margin"] == pytest.approx(settings.timing.overlap_margin)
    assert 0 < amounts["clean_end"] < amounts["kill"] <= amounts["hang"] < amounts["host_loss"]
    assert 0 < amounts["outage_unnoticed"] < settings.lease < amounts["outage_ridden_out"]
    assert amounts["agent_outage_ridden_out"] < settings.check_ttl
    text = run("config", "--node", "core-1").stdout
    for seconds in amounts.values():
        assert f"{seconds:.3f} s" in text


@pytest.mark.parametrize("arguments", [("config",), ("config", "--json")])
def test_config_masks_secrets(arguments: tuple[str, ...]) -> None:
    env = {"CONSUL_HTTP_TOKEN": TOKEN, "COORDINATOR_POLLER_TOKEN": TOKEN}
    result = run(*arguments, "--node", "core-1", **env)
    assert result.exit_code == ExitCode.OK
    assert TOKEN not in result.output
    assert result.output.count(MASK) == 2


def test_config_warns_of_what_decides_nothing() -> None:
    env = {"CLUSTER_COORDINATOR": "true", "COORDINATOR_LEESE": "1s"}
    report = json.loads(run("config", "--json", "--node", "core-1", **env).stdout)
    assert [item["name"] for item in report["deprecated"]] == ["CLUSTER_COORDINATOR"]
    assert report["unknown_variables"] == [
        {"name": "COORDINATOR_LEESE", "nearest": "COORDINATOR_LEASE"}
    ]
    text = run("config", "--node", "core-1", **env).stdout
    assert "CLUSTER_COORDINATOR" in text
    assert "COORDINATOR_LEESE" in text


def test_config_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "coord.toml"
    path.write_text('election = "east"')
    report = json.loads(run("config", "--json", "--config", str(path)).stdout)
    assert report["config_file"] == str(path)
    assert report["settings"]["election"]["value"] == "east"


def test_every_setting_but_secrets_has_a_flag() -> None:
    result = run("node", "--help")
    flags = set(result.stdout.split())
    for field in Settings.model_fields:
        assert (flag_name(field) in flags) is (field not in NO_FLAG_FIELDS)


@pytest.mark.parametrize(
    "arguments",
    [
        ("config", "--lease", "9s"),
        ("config", "--log-level", "loud"),
        ("config", "--config", "/nonexistent/coord.toml"),
        ("node", "--election", "../x"),
        ("status", "--consul-addr", "ftp://x"),
        ("config", "--no-such-flag"),
        ("nosuchcommand",),
    ],
)
def test_bad_settings_and_usage_exit_2_with_words_on_stderr(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == ExitCode.USAGE
    assert result.stdout == ""
    assert result.stderr
    assert "Traceback" not in result.output


def test_one_line_for_each_problem() -> None:
    result = run("config", "--lease", "x", "--min-nodes", "y")
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("coord: ") for line in lines)


@pytest.mark.parametrize("command", ["node", "status", "history", "events", "config"])
def test_each_command_has_help(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == ExitCode.OK
    assert "--config" in result.stdout


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ("", "0 1 2 3 4 5 6 70 130 141"),
        ("status", "0 1 2 3 4 70 130 141"),
        ("doctor", "0 1 2 3 4 6 70 130 141"),
        ("step-down", "0 1 2 3 4 5 70 130 141"),
        ("purge", "0 1 2 3 4 5 70 130 141"),
        ("schedule list", "0 1 2 3 4 70 130 141"),
        ("schedule add", "0 1 2 3 4 5 70 130 141"),
        ("runbook", "0 1 2 70 130 141"),
    ],
)
def test_help_ends_with_the_exit_codes_that_the_command_has(words: str, codes: str) -> None:
    _, _, told = run(*words.split(), "--help").stdout.partition("Exit codes: ")
    said = " ".join(told.split()).split("; ")
    assert [each.split()[0] for each in said] == codes.split()


def test_help_groups_the_commands_by_what_they_are_for() -> None:
    sections: dict[str, list[str]] = {}
    for line in run("--help").stdout.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            sections[line[:-1]] = []
        elif line.startswith("  ") and sections:
            sections[list(sections)[-1]].append(line.split()[0])
    order = [name for name in sections if name in ("Run", "Look", "Act")]
    assert order == sorted(order, key=("Run", "Look", "Act").index)
    assert sections["Run"] == ["node"]
    assert {"status", "history", "events", "config"} <= set(sections["Look"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("history", "--limit", "0"),
        ("history", "--limit", "many"),
        ("events", "--limit", "-1"),
        ("events", "surplus"),
        ("history", "--election", "../x"),
    ],
)
def test_numbers_and_words_that_make_no_sense_are_wrong_usage(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")


def test_version_and_help_do_not_wait_for_heavy_modules() -> None:
    program = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from coord.cli import main\n"
        "for flag in ('--version', '--help'):\n"
        "    assert CliRunner().invoke(main, [flag]).exit_code == 0\n"
        "heavy = {'httpx', 'pydantic', 'starlette', 'uvicorn', 'rich', 'consul'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_python_dash_m_coord() -> None:
    command = [sys.executable, "-m", "coord", "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("coord ")


# --- errors, whatever command they come from ---


def failing(error: BaseException, *, show_traceback: bool = False) -> Result:
    @click.command()
    def command() -> None:
        with cli_errors(show_traceback=show_traceback):
            raise error

    return CliRunner().invoke(command)


def settings_error() -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        Settings(environ={}, node="..")
    return caught.value


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (settings_error, ExitCode.USAGE),
        (lambda: ConsulUnavailable("GET /v1/x", "refused\nhere"), ExitCode.CONSUL_UNREACHABLE),
        (
            lambda: ConsulUnavailable("GET /v1/x", "none", no_leader=True),
            ExitCode.CONSUL_UNREACHABLE,
        ),
        (lambda: ConsulNotPermitted("GET /v1/x", "no", status=403), ExitCode.NOT_PERMITTED),
        (lambda: ConsulRefused("GET /v1/x", "no", status=400), ExitCode.INTERNAL),
        (lambda: ConsulError("GET /v1/x", "odd"), ExitCode.INTERNAL),
        (lambda: ConsulNotFound("PUT /v1/txn", "<html>"), ExitCode.CONSUL_UNREACHABLE),
        (lambda: ConsulRefused("PUT /v1/txn", "no", status=405), ExitCode.CONSUL_UNREACHABLE),
        (
            lambda: ConsulUnavailable("PUT /v1/txn", "unreadable reply: not JSON", status=200),
            ExitCode.CONSUL_UNREACHABLE,
        ),
        (lambda: RuntimeError("oh"), ExitCode.INTERNAL),
        (lambda: ExceptionGroup("g", [ValueError("a")]), ExitCode.INTERNAL),
        (
            lambda: ExceptionGroup("g", [ConsulUnavailable("GET /v1/x", "refused")]),
            ExitCode.CONSUL_UNREACHABLE,
        ),
        (
            lambda: ExceptionGroup("g", [ConsulUnavailable("GET /v1/x", "no"), ValueError("a")]),
            ExitCode.INTERNAL,
        ),
        (KeyboardInterrupt, ExitCode.INTERRUPTED),
    ],
)
def test_each_error_has_its_exit_code_and_one_line(
    make: Callable[[], BaseException], code: ExitCode
) -> None:
    result = failing(make())
    assert result.exit_code == code
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("coord: ")


def test_an_internal_error_shows_where_only_when_asked() -> None:
    assert "Traceback" not in failing(RuntimeError("oh")).stderr
    assert "Traceback" in failing(RuntimeError("oh"), show_traceback=True).stderr


def test_an_exit_of_its_own_passes() -> None:
    @click.command()
    @click.pass_context
    def command(ctx: click.Context, /, **_params: Any) -> None:
        with cli_errors(show_traceback=False):
            ctx.exit(17)

    assert CliRunner().invoke(command).exit_code == 17


@pytest.fixture
def nowhere() -> str:
    """host:port where nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{unused.getsockname()[1]}"


JSON_COMMANDS = (
    ("status",),
    ("history",),
    ("events",),
    ("purge", "--dry-run"),
    ("step-down", "--dry-run"),
    ("pause", "--yes", "--reason", "a test"),
)


@pytest.mark.parametrize("command", JSON_COMMANDS, ids=lambda c: c[0])
def test_whoever_reads_json_is_told_of_an_error_too(command: tuple[str, ...], nowhere: str) -> None:
    result = run(*command, "--json", "--consul-addr", nowhere)
    assert result.exit_code == ExitCode.CONSUL_UNREACHABLE
    said = json.loads(result.stdout)
    assert (said["kind"], said["code"], said["exit_code"]) == ("error", "consul_unreachable", 3)
    assert said["message"].splitlines() == [
        line.removeprefix("coord: ") for line in result.stderr.splitlines()
    ]


def test_settings_that_cannot_be_used_are_told_as_json_too() -> None:
    result = run("status", "--json", "--election", "!")
    assert result.exit_code == ExitCode.USAGE
    assert json.loads(result.stdout)["code"] == "usage"


def test_without_json_an_error_leaves_stdout_empty(nowhere: str) -> None:
    assert run("status", "--consul-addr", nowhere).stdout == ""


def test_the_consul_that_was_asked_is_named_with_where_that_comes_from(nowhere: str) -> None:
    by_flag = run("status", "--consul-addr", nowhere).stderr
    assert f"http://{nowhere} (flag --consul-addr)" in by_flag
    by_environment = run("status", CONSUL_HTTP_ADDR=nowhere).stderr
    assert f"http://{nowhere}" in by_environment
    assert "CONSUL_HTTP_ADDR)" in by_environment


def test_output_that_nobody_reads_ends_it_as_the_signal_would() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "coord", "config"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (ExitCode.UNREAD, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, as Linux has it")
def test_output_that_cannot_be_written_is_said_in_a_line() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "coord", "config"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == ExitCode.NOT_GOOD
    assert len(done.stderr.splitlines()) == 1
    assert "cannot be written" in done.stderr


def test_a_duration_that_cannot_be_is_named_as_it_is_typed() -> None:
    result = run("pause", "--for", "48h", "--yes", "--reason", "a test")
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.startswith("coord: --for: ")


def advice(error: ConsulError) -> str:
    return consul_failure(error).message


def test_what_does_not_answer_like_consul_is_not_called_a_fault_of_ours() -> None:
    plain = advice(ConsulUnavailable("PUT /v1/txn", "status 503: busy", status=503))
    for error in (
        ConsulNotFound("PUT /v1/txn", "<!DOCTYPE html>" * 40),
        ConsulUnavailable("PUT /v1/txn", "status 501: no", status=501),
        ConsulUnavailable("PUT /v1/txn", "status 302", status=302),
    ):
        assert "does not answer like Consul" in advice(error)
        assert "--consul-addr" in advice(error)
        assert len(advice(error)) < 400
    assert "does not answer like Consul" not in plain


def test_tls_on_a_plain_port_and_the_other_way_round_say_what_to_write() -> None:
    raw = "cannot connect: [SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"
    told = advice(ConsulUnavailable("PUT /v1/txn", raw))
    assert "http://" in told
    assert "_ssl.c" not in told
    refused = "Client sent an HTTP request to an HTTPS server."
    error = ConsulRefused("PUT /v1/txn", refused, status=400)
    assert "https://" in advice(error)
    assert consul_failure(error).exit_code == ExitCode.CONSUL_UNREACHABLE


@pytest.mark.parametrize(
    ("where", "error", "fit", "unfit"),
    [
        ("0.0.0.0:80", OSError(errno.EACCES, "Permission denied"), "below 1024", "in use"),
        ("0.0.0.0:8600", OSError(errno.EACCES, "Permission denied"), "--listen", "below 1024"),
        ("0.0.0.0:8600", OSError(errno.EADDRINUSE, "in use"), "in use", "below 1024"),
        ("192.0.2.1:8600", OSError(errno.EADDRNOTAVAIL, "no"), "of this machine", "in use"),
        ("nohost:8600", socket.gaierror(-2, "unknown"), "resolved", "in use"),
        ("0.0.0.0:8600", OSError(errno.EMFILE, "too many files"), "too many files", "in use"),
    ],
)
def test_advice_fits_why_it_cannot_listen(where: str, error: OSError, fit: str, unfit: str) -> None:
    failed = cannot_listen(where, error)
    assert failed.exit_code == ExitCode.NOT_GOOD
    assert where in failed.message
    assert fit in failed.message
    assert unfit not in failed.message


# --- what `coord status` exits with ---


def snapshot(**changes: Any) -> ClusterStatus:
    parts: dict[str, Any] = {
        "election": "coordinator",
        "at_ms": 0,
        "leader": LeaderStatus(condition=Condition.HELD, locked=True, node="core-1"),
        "term": TermStatus(condition=TermCondition.KNOWN, value=1),
        "candidates": Listing(Seen.KNOWN),
        "observers": Listing(Seen.KNOWN),
        "pollers": Listing(Seen.KNOWN),
        "leader_service": Listing(Seen.KNOWN),
        "consul": ConsulStatus(leader="127.0.0.1:8300"),
        "health": HealthStatus(Seen.KNOWN),
    }
    return ClusterStatus(**(parts | changes))


def leader(condition: Condition, *, locked: bool = False) -> LeaderStatus:
    return LeaderStatus(condition=condition, locked=locked)


@pytest.mark.parametrize(
    ("shown", "node", "code"),
    [
        (snapshot(), None, ExitCode.OK),
        (snapshot(leader=leader(Condition.UNREADABLE, locked=True)), None, ExitCode.OK),
        (snapshot(leader=leader(Condition.VACANT)), None, ExitCode.NOT_GOOD),
        (snapshot(leader=leader(Condition.MISSING)), None, ExitCode.NOT_GOOD),
        (snapshot(leader=leader(Condition.NOT_PERMITTED)), None, ExitCode.NOT_PERMITTED),
        (snapshot(stale=True), None, ExitCode.CONSUL_UNREACHABLE),
        (snapshot(), "core-1", ExitCode.OK),
        (snapshot(), "core-2", ExitCode.NOT_GOOD),
        (snapshot(pollers=Listing(Seen.NOT_PERMITTED)), "p-1", ExitCode.NOT_PERMITTED),
        (snapshot(stale=True), "core-1", ExitCode.CONSUL_UNREACHABLE),
    ],
)
def test_status_exit_codes(shown: ClusterStatus, node: str | None, code: ExitCode) -> None:
    assert status_exit_code(shown, node) == code
