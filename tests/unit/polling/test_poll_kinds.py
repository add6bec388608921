"""Kinds of check that users bring: how they are found, and that none harms the poller."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coord.clock import SystemClock
from coord.config import Settings
from coord.config.values import HostPort
from coord.identity import make_identity
from coord.plugins import PluginError
from coord.polling.checks import CheckRunner
from coord.polling.dialling import Dialler
from coord.polling.kinds import CheckContext, Kind, load_kinds
from coord.polling.networks import Networks
from coord.polling.records import CheckError, CheckKind, CheckResult, HttpCheck, OtherCheck

SETTINGS = Settings(environ={}, node="poller-1")

SOURCE = """
import asyncio

from coord.polling.check_failed import CheckFailed
from coord.polling.records import CheckError

class Port:
    kind = "port"

    def __init__(self, context):
        self._context = context

    async def run(self, check):
        host, _, port = check.target.rpartition(":")
        _, writer = await self._context.dialler.open(host, int(port))
        writer.close()

class Behaves:
    kind = "behaves"

    def __init__(self, context):
        pass

    async def run(self, check):
        match check.fields["how"]:
            case "down":
                raise CheckFailed(CheckError.DOWN, "4711 too many")
            case "odd":
                raise CheckFailed("no such word", "odd")
            case "crash":
                raise RuntimeError("no luck \\x1b[2J")
            case "exit":
                raise SystemExit(3)
            case "cancel":
                raise asyncio.CancelledError
            case "hang":
                await asyncio.Event().wait()
        return "whatever"

class NoKind:
    def __init__(self, context):
        pass
    async def run(self, check):
        pass

class Blocks(NoKind):
    kind = "blocks"
    def run(self, check):
        pass

class Http(NoKind):
    kind = "http"

class Spaced(NoKind):
    kind = "a kind"
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_checks.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))


def context_of(*forbidden: str) -> CheckContext:
    identity = make_identity(SETTINGS, boot_id="b" * 32, bound=HostPort("127.0.0.1", 1))
    return CheckContext(SETTINGS, identity, SystemClock(), Dialler(Networks.of(forbidden)))


def load(*names: str, forbidden: tuple[str, ...] = ()) -> Any:
    return load_kinds([f"own_checks:{name}" for name in names], context_of(*forbidden))


async def run(kinds: Any, kind: str, target: str, **fields: Any) -> CheckResult:
    runner = CheckRunner(SystemClock(), kinds=kinds)
    check = OtherCheck.model_validate({"kind": kind, "target": target, "timeout": "5s", **fields})
    return await runner.run(check)


def test_kinds_are_found_by_what_they_call_themselves() -> None:
    assert set(load("Port", "Behaves")) == {"port", "behaves"}
    assert load() == {}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("NoKind",), "kind"),
        (("Blocks",), "async def run"),
        (("Spaced",), "small letters"),
        (("Http",), "there already"),
        (("Port", "Port"), "there already"),
        (("NoSuch",), "cannot be loaded"),
    ],
)
def test_what_is_no_kind_is_refused(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(PluginError, match=said) as caught:
        load(*names)
    assert caught.value.field == "poller_checks"


def test_a_name_that_no_package_offers_is_refused() -> None:
    with pytest.raises(PluginError, match="no installed package"):
        load_kinds(["postgres"], context_of())


def test_a_package_offers_one_by_an_entry_point(tmp_path: Path) -> None:
    about = tmp_path / "own_checks-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-checks\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[coord.checks]\nharbour = own_checks:Port\n")
    assert set(load_kinds(["harbour"], context_of())) == {"port"}


async def test_one_that_returns_says_up() -> None:
    result = await run(load("Behaves"), "behaves", "x", how="well")
    assert (result.kind, result.target, result.ok, result.status) == ("behaves", "x", True, None)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("down", CheckError.DOWN),
        ("odd", CheckError.INTERNAL),
        ("crash", CheckError.INTERNAL),
        ("exit", CheckError.INTERNAL),
        ("cancel", CheckError.INTERNAL),
    ],
)
async def test_whatever_one_does_is_a_result(how: str, error: CheckError) -> None:
    result = await run(load("Behaves"), "behaves", "x", how=how)
    assert (result.ok, result.error) == (False, error)
    assert result.detail.isprintable()


async def test_one_that_hangs_is_cut_at_its_timeout_and_harms_no_other() -> None:
    kinds: dict[str, Kind] = load("Behaves")
    runner = CheckRunner(SystemClock(), kinds=kinds)
    checks = [
        OtherCheck.model_validate(
            {"kind": "behaves", "target": "x", "timeout": "200ms", "how": how}
        )
        for how in ("hang", "well", "exit", "cancel")
    ]
    results = await runner.run_all(checks, 5.0)
    errors = [None, CheckError.INTERNAL, CheckError.INTERNAL]
    assert [result.error for result in results] == [CheckError.TIMEOUT, *errors]


async def test_a_poll_that_is_called_off_ends_what_hangs() -> None:
    task = asyncio.create_task(run(load("Behaves"), "behaves", "x", how="hang", timeout="60s"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("forbidden", "error"), [((), None), (("127.0.0.0/8",), CheckError.FORBIDDEN)]
)
async def test_the_dialler_that_it_is_given_keeps_to_the_settings(
    forbidden: tuple[str, ...], error: CheckError | None
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        result = await run(load("Port", forbidden=forbidden), "port", where)
    assert (result.ok, result.error) == (error is None, error)
    if error is None:
        result = await run(load("Port"), "port", where)
        assert result.error is CheckError.REFUSED  # nobody listens any more


async def test_a_kind_that_is_not_there_names_those_that_are() -> None:
    result = await run(load("Port"), "postgres", "db-1")
    assert result.error is CheckError.UNKNOWN_KIND
    assert "http, tcp, port" in result.detail
    assert "poller_checks" in result.detail


def test_built_in_kinds_are_never_taken_for_others() -> None:
    made: Callable[..., Any] = HttpCheck.model_validate
    assert made({"kind": "http", "target": "http://x/"}).kind is CheckKind.HTTP
