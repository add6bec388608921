"""`coord-console …`: parses, opens the console, or prints what it would show.

Of `coord.cli` it takes what the two commands must have in common: the flags of settings, the exit
codes and the words for errors. What only some of its ways need is imported there: loading takes
most of the time until the first picture.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from console.controls.desk import Desk
from console.once import as_json, print_dashboard
from console.snapshot import Snapshot
from console.source import ASK_S, Post, Source
from coord.cli.errors import EPILOG, BadUsage, CliError, ExitCode, cli_errors
from coord.cli.options import CONNECTION_FIELDS, SettingsCommand, load_settings
from coord.cli.status import status_exit_code
from coord.cli.version import version_option
from coord.clock import Clock, SystemClock
from coord.config import Settings
from coord.config.sources import SourceKind
from coord.consul.client import ConsulClient
from coord.doctor import here_of
from coord.operations import Ask, Operation, whoami
from coord.operations.confirming import UNSAID
from coord.records import Paths
from coord.status.as_json import encoded

if TYPE_CHECKING:
    from console.recording.writing import Recorder

PROGRAM = "coord-console"
PIPED_WIDTH = 120
"""How many columns to fill where there is no terminal to ask."""


class _Command(SettingsCommand):
    """Every error becomes one line and an exit code, as those of `coord` do."""

    def invoke(self, ctx: click.Context) -> Any:
        traceback = bool(ctx.params.get("traceback"))
        try:
            with cli_errors(show_traceback=traceback, program=PROGRAM):
                return super().invoke(ctx)
        except CliError as error:
            error.program = PROGRAM
            raise


@click.command(
    name=PROGRAM,
    cls=_Command,
    settings_fields=CONNECTION_FIELDS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--once", is_flag=True, help="Print the dashboard once, as text.")
@click.option("--json", "json_", is_flag=True, help="Print the snapshot once, as JSON.")
@click.option(
    "--read-only", is_flag=True, default=None, help="Only look: offer no action, try no right."
)
@click.option(
    "--no-ask", is_flag=True, help="Do not ask the nodes themselves, by http at their addresses."
)
@click.option(
    "--record",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Record what is shown, as it changes; a name in .gz compresses. Needs no terminal.",
)
@click.option(
    "--replay",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Play what was recorded; needs no Consul.",
)
@click.option("--actor", metavar="NAME", help="Who acts; default: user@host, before sudo.")
@click.option("--theme", metavar="NAME", help="Begin with this theme; ctrl+p changes it.")
@version_option
@click.option("--traceback", is_flag=True, help="Show where an internal error came from.")
@click.pass_context
def main(
    ctx: click.Context,
    /,
    once: bool,
    json_: bool,
    no_ask: bool,
    record: Path | None,
    replay: Path | None,
    actor: str | None,
    theme: str | None,
    traceback: bool,
    **params: Any,
) -> None:
    """Show one election live, in a terminal, and act on it. It needs Consul only.

    To look, a viewer's token will do; to act, it takes an operator's. Every action shows first what
    it would do, and asks whether and why. COORDINATOR_READ_ONLY=true says --read-only for good,
    and COORDINATOR_THEME which theme to begin with.

    Where no election is named and Consul has others than the default one, it asks which.

    NO_COLOR is heeded; the themes ansi-dark and ansi-light take the terminal's own colours, and
    high-contrast is what it says.

    --record FILE goes on until the console is left; without a terminal, until Ctrl-C or SIGTERM.
    --replay FILE shows it again on the same screens, with a clock of its own, and acts on nothing.

    With --once or --json it exits as `coord status` does: with 0 if somebody leads, 1 if nobody
    does, 3 if Consul cannot be reached, 4 if the token may not see it.
    """
    del traceback
    ways = {"--once": once, "--json": json_, "--record": record, "--replay": replay}
    given = [name for name, value in ways.items() if value]
    if len(given) > 1:
        raise BadUsage(f"{' and '.join(given)}: give one of them")
    seen = _is_seen()
    if replay is not None:
        if not seen:
            raise BadUsage("there is no terminal to play it on")
        ctx.exit(asyncio.run(_play(replay, theme)))
    settings = load_settings(params)
    ask_s = None if no_ask else ASK_S
    if once or json_:
        ctx.exit(asyncio.run(_print(settings, json_=json_)))
    if record is not None and not seen:
        ctx.exit(asyncio.run(_record(settings, record, ask_s)))
    if not seen:
        raise BadUsage("there is no terminal to draw on; --once, --json and --record need none")
    theme = theme or settings.theme or None
    ctx.exit(asyncio.run(_open(settings, theme, _actor(actor), record, ask_s)))


def _is_seen() -> bool:
    """Whether there is something to draw on: a terminal, or what Textual was told to draw with, as
    textual-serve does for a page."""
    return "TEXTUAL_DRIVER" in os.environ or (sys.stdin.isatty() and sys.stdout.isatty())


def _actor(said: str | None) -> str:
    """Who acts, as the records will have it; the same as `coord step-down` takes."""
    actor = whoami() if said is None else said
    try:
        Ask(operation=Operation.STEP_DOWN, actor=actor, reason=UNSAID)
    except ValueError as error:
        raise BadUsage(str(error)) from None
    return actor


def _source(
    settings: Settings,
    consul: ConsulClient,
    clock: Clock,
    also: Post = lambda _: None,
    ask_s: float | None = None,
    election: str | None = None,
) -> Source:
    """What reads that election; None: that of the settings. also: gets each snapshot, too. ask_s:
    how often the nodes are asked, in seconds; None: they are not."""
    return Source(
        consul,
        Paths(election or settings.election),
        clock=clock,
        address=settings.consul_address.url,
        here=here_of(settings),
        ask_s=ask_s,
        also=also,
    )


def _recorder(path: Path, settings: Settings, clock: Clock) -> Recorder:
    """What records there; no token of ours gets into it."""
    from console.recording.writing import Recorder

    token = settings.consul_address.token
    try:
        return Recorder(path, clock=clock, secrets=(token,) if token else ())
    except FileExistsError:
        said = f"--record {path}: there is such a file already; name another, or remove it"
    except OSError as error:
        said = f"--record {path}: {error.strerror or error}"
    raise BadUsage(said)


async def _print(settings: Settings, *, json_: bool) -> ExitCode:
    clock = SystemClock()
    async with ConsulClient(settings.consul_address) as consul:
        snapshot = await _source(settings, consul, clock).read_once()
    if json_:
        click.echo(encoded(as_json(snapshot, clock.now())))
    else:
        console = Console(highlight=False, markup=False, emoji=False)
        if not console.is_terminal:
            console.width = PIPED_WIDTH
        print_dashboard(console, snapshot, clock.now())
    return _exit_code(snapshot)


def _exit_code(snapshot: Snapshot) -> ExitCode:
    assert snapshot.status is not None
    return status_exit_code(snapshot.status)


async def _record(settings: Settings, path: Path, ask_s: float | None) -> int:
    """Record without a terminal, until a signal comes."""
    from console import headless

    clock, stop = SystemClock(), asyncio.Event()
    recorder = _recorder(path, settings, clock)
    async with ConsulClient(settings.consul_address, on_token=recorder.hide) as consul:
        _tell(f"recording election {settings.election} in {path}, until Ctrl-C or SIGTERM")
        numbers = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            numbers.append(signal.SIGHUP)
        with _heeding(dict.fromkeys(numbers, stop.set)):
            source = _source(settings, consul, clock, recorder.record, ask_s)
            found = await headless.record(source, recorder, stop)
    if isinstance(found, headless.Finished):
        _tell(f"{found.changes} pictures recorded in {path}, {found.size_bytes:,} bytes")
        return ExitCode.OK
    _tell(f"the recording {path} has ended: {found.why}")
    return ExitCode.NOT_GOOD


def _textual() -> None:
    try:
        import textual  # noqa: F401
    except ModuleNotFoundError:
        raise BadUsage("Textual is not installed: pip install 'coord[console]'") from None


async def _play(path: Path, theme: str | None) -> int:
    """Play a recording."""
    _textual()
    from console.recording.reading import RecordingError, read_recording
    from console.replay import ReplayApp

    try:
        app = ReplayApp(read_recording(path), clock=SystemClock(), theme=theme)
    except (RecordingError, ValueError) as error:
        raise BadUsage(str(error)) from None
    with _drawn(app.exit):
        return await app.run_to_its_end()


async def _open(
    settings: Settings, theme: str | None, actor: str, path: Path | None, ask_s: float | None
) -> int:
    _textual()
    from console.app import ConsoleApp

    clock = SystemClock()
    recorder = None if path is None else _recorder(path, settings, clock)
    also: Post = recorder.record if recorder is not None else lambda _: None
    hide = recorder.hide if recorder is not None else lambda _: None
    async with ConsulClient(settings.consul_address, on_token=hide) as consul:
        desk = Desk(consul, settings, clock=clock, actor=actor)
        try:
            app = ConsoleApp(
                _source(settings, consul, clock, also, ask_s),
                clock=clock,
                theme=theme,
                opened=partial(_source, settings, consul, clock, also, ask_s),
                named=settings.sources["election"].kind is not SourceKind.DEFAULT,
                desk=desk,
                read_only=settings.read_only,
            )
        except ValueError as error:
            raise BadUsage(str(error)) from None
        if recorder is not None:
            recorder.on_end = lambda ended: app.notify(
                f"Nothing is recorded any more: {ended.why}", severity="error", markup=False
            )
        try:
            with _drawn(app.exit):
                return await app.run_to_its_end()
        finally:
            await _closed(desk)
            if recorder is not None:
                _closed_recorder(recorder)


def _closed_recorder(recorder: Recorder) -> None:
    """Say what became of the recording."""
    early = recorder.ended
    recorder.close()
    if early is not None:
        _tell(f"the recording {recorder.path} had ended before: {early.why}")
    else:
        _tell(f"{recorder.changes} pictures recorded in {recorder.path}")


@contextlib.contextmanager
def _heeding(told: Mapping[signal.Signals, Callable[[], object]]) -> Iterator[None]:
    """What each of these signals does instead of ending the process at once: they end the console
    as `q` does, so that what it has begun is brought to an end, too."""
    loop = asyncio.get_running_loop()
    for number, do in told.items():
        loop.add_signal_handler(number, do)
    try:
        yield
    finally:
        for number in told:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _drawn(leave: Callable[[], object]) -> Iterator[None]:
    """Leave when told to, or the terminal is closed, also under nohup: nothing can be drawn without
    one."""
    closed = partial(_terminal_closed, leave)
    with _heeding({signal.SIGTERM: leave, signal.SIGHUP: closed}), _watching_terminal(closed):
        yield


@contextlib.contextmanager
def _watching_terminal(closed: Callable[[], object]) -> Iterator[None]:
    """Call `closed` once it is gone. The kernel signals that only to those who have it as the
    terminal that controls them, which it need not be (as under setsid)."""
    if sys.platform != "linux":
        yield
        return
    loop = asyncio.get_running_loop()
    with select.epoll() as terminals:
        for stream in (0, 1, 2):
            if os.isatty(stream):
                terminals.register(stream, 0)  # that it hangs up is told in any case

        def gone() -> None:
            loop.remove_reader(terminals)
            closed()

        loop.add_reader(terminals, gone)
        try:
            yield
        finally:
            loop.remove_reader(terminals)


def _terminal_closed(leave: Callable[[], object]) -> None:
    """Leave. Textual's thread that writes to it would end with an error, and whoever draws then
    wait for it for good: so all that is still drawn goes nowhere."""
    with open(os.devnull, "r+b", buffering=0) as nowhere:
        for stream in (0, 1, 2):
            if not os.isatty(stream):  # not any more; it may have been a mere signal
                os.dup2(nowhere.fileno(), stream)
    leave()


async def _closed(desk: Desk) -> None:
    """Wait until what is under way has ended, and tell how; nobody may be there to read it."""
    if desk.titles:
        _tell("an operation is under way: what is not answered is taken back")
    for said in await desk.close():
        _tell(said)


def _tell(said: str) -> None:
    with contextlib.suppress(OSError):
        click.echo(f"{PROGRAM}: {said}", err=True)
