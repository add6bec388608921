"""One operation on the command line: look, show, ask, do, follow, tell."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass

import click

from coord.cli.errors import BadUsage, ExitCode, discard_stdout
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul.client import ConsulClient
from coord.operations import (
    DEFAULT_PAUSE_S,
    Ask,
    Operation,
    Outcome,
    OutcomeWord,
    Preview,
    RefusalCode,
    Refused,
    Step,
    look,
    perform,
    preview,
    to_dict,
    whoami,
)
from coord.operations.confirming import UNSAID, asked_name, confirmed, confirms, pinned
from coord.operations.text import caution_lines, outcome_lines, preview_lines, step_line
from coord.records import MAX_REASON, Paths
from coord.status.words import plain

_MAX_LINE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What was said on the command line."""

    operation: Operation
    node: str
    for_s: float | None
    wait: bool
    reason: str | None
    yes: bool
    dry_run: bool
    term: int | None
    timeout_s: float | None
    actor: str | None
    anyway: bool
    as_json: bool

    def ask(self) -> Ask:
        """As an operation is asked for. Raises BadUsage."""
        try:
            return Ask(
                operation=self.operation,
                node=self.node,
                for_s=DEFAULT_PAUSE_S if self.for_s is None else self.for_s,
                actor=whoami() if self.actor is None else self.actor,
                reason=UNSAID if self.reason is None else self.reason,
                expected_term=self.term,
                anyway=self.anyway,
            )
        except ValueError as error:
            raise BadUsage(str(error).replace("for_s:", "--for:")) from None


def act(settings: Settings, wished: Act) -> ExitCode:
    """Do what was asked on the command line; gives the exit code."""
    ask = wished.ask()
    asks = not wished.yes and not wished.dry_run
    if asks and not sys.stdin.isatty():
        raise BadUsage("there is no terminal to ask on: say --yes and --reason, or --dry-run")
    if wished.yes and wished.reason is None and not wished.dry_run:
        raise BadUsage("--yes needs --reason: it is kept in the audit")
    showing = _Showing(as_json=wished.as_json)
    plan = asyncio.run(_planned(settings, ask))
    showing.plan(plan, dry_run=wished.dry_run)
    if isinstance(plan, Refused):
        return refusal_code(plan)
    if wished.dry_run:
        return ExitCode.OK
    if asks:
        # Outside any event loop: there, the first Ctrl-C would not end the asking.
        said = _confirmed(plan, wished)
        if said is None:
            click.echo("nothing was done", err=True)
            return ExitCode.NOT_GOOD
        again = asyncio.run(_planned(settings, pinned(plan, said)))
        still = confirmed(plan, again, said)
        if isinstance(still, Refused):
            showing.plan(still, dry_run=False)
            return refusal_code(still)
        plan = still
    try:
        return outcome_code(asyncio.run(_performed(settings, plan, wished, showing)))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None  # by the second Ctrl-C


async def _planned(settings: Settings, ask: Ask) -> Preview | Refused:
    async with ConsulClient(settings.consul_address) as consul:
        seen = await look(consul, Paths(settings.election), clock=SystemClock())
    return preview(
        seen.status, seen.controls, ask, settings.timing, polls_running=seen.polls_running
    )


async def _performed(settings: Settings, plan: Preview, wished: Act, showing: _Showing) -> Outcome:
    stop = asyncio.Event()
    outcome: Outcome | None = None
    async with ConsulClient(settings.consul_address) as consul:
        with _stopped_by_signals(stop):
            done = perform(
                consul,
                plan,
                clock=SystemClock(),
                wait=wished.wait,
                timeout_s=wished.timeout_s,
                stop=stop,
            )
            async with aclosing(done) as items:
                async for item in items:
                    if isinstance(item, Outcome):
                        outcome = item
                    if not showing.item(item):
                        stop.set()
    assert outcome is not None, "an operation ends with its outcome"
    return outcome


def refusal_code(refused: Refused) -> ExitCode:
    """What a command exits with that was refused."""
    return {
        RefusalCode.NOT_PERMITTED: ExitCode.NOT_PERMITTED,
        RefusalCode.NO_CONSUL_LEADER: ExitCode.CONSUL_UNREACHABLE,
    }.get(refused.code, ExitCode.REFUSED)


def outcome_code(outcome: Outcome) -> ExitCode:
    """What a command exits with at the end."""
    return {
        OutcomeWord.DONE: ExitCode.OK,
        OutcomeWord.REFUSED: ExitCode.REFUSED,
        OutcomeWord.NOT_PERMITTED: ExitCode.NOT_PERMITTED,
        OutcomeWord.UNREACHABLE: ExitCode.CONSUL_UNREACHABLE,
        OutcomeWord.UNKNOWN: ExitCode.CONSUL_UNREACHABLE,
        OutcomeWord.INTERRUPTED: ExitCode.INTERRUPTED,
    }.get(outcome.word, ExitCode.NOT_GOOD)


def _confirmed(plan: Preview, wished: Act) -> str | None:
    """The reason, once the operator has confirmed; None: they did not.

    On stderr, so that stdout has the results alone.
    """
    name = asked_name(plan)
    if name:
        asked = f"Type {name} to confirm"
        typed = click.prompt(asked, err=True, default="", show_default=False)
        if not confirms(plan, typed):
            return None
    elif not click.confirm("Go on?", err=True):
        return None
    if wished.reason is not None:
        return wished.reason
    while True:
        said = str(click.prompt("Reason (kept in the audit)", err=True)).strip()
        if 0 < len(said) <= MAX_REASON and said.isprintable():
            return said
        click.echo(f"on one line, with at most {MAX_REASON} characters", err=True)


@contextlib.contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a terminal that is closed end the waiting, not the process; the second
    such signal does that, too."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None

    def told() -> None:
        if stop.is_set():
            task.cancel()
        stop.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, told)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


class _Showing:
    """Prints what there is to show, as text or as JSON lines."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._unread = False

    def plan(self, plan: Preview | Refused, *, dry_run: bool) -> None:
        """What would be done, or why not."""
        if self._as_json:
            self._json(plan)
        elif isinstance(plan, Refused):
            self._lines([f"refused: {plan.sentence}", *([f"  {plan.hint}"] if plan.hint else [])])
        else:
            self._lines(preview_lines(plan))
            self._lines(caution_lines(plan))
            if dry_run:
                self._lines(["dry run: nothing was changed"])

    def item(self, item: Step | Outcome) -> bool:
        """A step, or the end. False: nobody reads it, the terminal or the pipe being gone."""
        if self._unread:
            return False
        try:
            if self._as_json:
                self._json(item)
            else:
                self._lines([step_line(item)] if isinstance(item, Step) else outcome_lines(item))
        except OSError:
            self._unread = True
            discard_stdout()
        return not self._unread

    def _json(self, item: Preview | Refused | Step | Outcome) -> None:
        click.echo(json.dumps(to_dict(item), ensure_ascii=True))

    def _lines(self, lines: list[str]) -> None:
        for line in lines:
            click.echo(plain(line, _MAX_LINE))
