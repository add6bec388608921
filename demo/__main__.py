"""``python -m demo``: the whole main job on a real Consul, told as it goes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from agents import AgentConfig, AgentError, ConsulAgent
from coord.consul import ConsulError
from demo import REPO
from demo.arguments import Arguments, parse
from demo.fleet import Fleet
from demo.ledger import KEY
from demo.misbehaviour import WRITE_KEY
from demo.outcome import Outcome
from demo.story import Story
from demo.telling import Narrator, console_for
from demo.witness import Witness, WitnessError
from get_consul import ObtainError, consul_version

INTERRUPTED = 130
FAILED = 1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal came while nothing but the setting up was under way."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Signals raise `Interrupted` in the body, so that whatever it opened is closed."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    before = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def run_directory(given: Path | None) -> Iterator[tuple[Path, list[bool]]]:
    """Where logs go; the list says whether they are kept: put something in, and they are."""
    keep: list[bool] = []
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.absolute(), keep
        return
    above = REPO / ".cache" / "demo"
    above.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=above))
    try:
        yield directory, keep
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


async def tell_story(
    agent: ConsulAgent, directory: Path, given: Arguments, tell: Narrator
) -> Outcome | None:
    """The story, and what is left running after it; None: interrupted in the middle."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(INTERRUPTED)  # the guards end what is still there
        stop.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    async with (
        Witness() as witness,
        Fleet(agent.http_addr, directory, witness=witness, env={WRITE_KEY: KEY}) as fleet,
        fleet.consul() as consul,
    ):
        story = Story(fleet, witness, consul, agent.http_addr, given.targets, tell)
        telling = asyncio.create_task(story.run(), name="story")
        stopping = asyncio.create_task(stop.wait(), name="signal")
        await asyncio.wait((telling, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not telling.done():
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            tell.blank()
            tell.plain("Interrupted: everything that was started is ended.")
            return None
        outcome = await telling
        tell.verdict(outcome.problems)
        if given.keep:
            say_where(agent, fleet, directory, tell)
        if given.as_json:
            print(json.dumps(outcome.to_dict(), indent=2), flush=True)
        if given.keep:
            await stopping
        stopping.cancel()
    return outcome


def say_where(agent: ConsulAgent, fleet: Fleet, directory: Path, tell: Narrator) -> None:
    """What to look at while the fleet goes on."""
    tell.blank()
    tell.plain("The fleet goes on until Ctrl-C. To look at:")
    tell.note("Consul UI", agent.ui_url)
    for node in fleet.nodes.values():
        tell.note(node.name, f"{node.url}/api/health")
    for what, name in (("who leads", "coord status"), ("the console", "coord-console")):
        program, *words = name.split()
        path = Path(sys.executable).with_name(program)
        with contextlib.suppress(ValueError):
            path = path.relative_to(Path.cwd())
        tell.note(what, f"CONSUL_HTTP_ADDR={agent.http_addr} {shlex.join([str(path), *words])}")
    tell.note("logs", str(directory))


def run(given: Arguments) -> int:
    """All of it; gives the exit status."""
    tell = Narrator(console_for(sys.stderr if given.as_json else sys.stdout))
    with interruptible(), run_directory(given.directory) as (directory, keep_logs):
        tell.title(
            "coord: one leader, whatever happens to it",
            "Five real nodes on a real Consul. A witness outside of them hears every unit of "
            "their work and judges by its own clock.",
        )
        with tell.waiting("starting Consul"):
            agent = ConsulAgent(AgentConfig(name="demo", directory=directory / "consul"))
            agent.start()
        try:
            with tell.waiting("waiting for Consul"):
                agent.wait_ready()
            version = consul_version(agent.binary)
            tell.say(f"Consul {version} answers on {agent.http_addr}")
            outcome = asyncio.run(tell_story(agent, directory, given, tell))
        except BrokenPipeError:
            raise
        except Exception:
            keep_logs.append(True)
            raise
        finally:
            for number in SIGNALS:  # it is ending; and should it not, the guard ends it
                signal.signal(number, signal.SIG_IGN)
            agent.stop()
        if outcome is None:
            return INTERRUPTED
        if not outcome.held:
            keep_logs.append(True)
            tell.plain(f"logs are kept in {directory}")
        return 0 if outcome.held else FAILED


def main() -> int:
    """Run the command; what it cannot do, it says in a line."""
    given = parse()
    try:
        return run(given)
    except Interrupted:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the story has gone; nothing more can be told, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (AgentError, ObtainError, ConsulError, WitnessError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
