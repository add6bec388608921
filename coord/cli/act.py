"""`coord step-down`, `transfer`, `force-release`, `pause`, `resume`, `drain`, `undrain`.

Each shows what it would do, asks, does it, and follows it to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from coord.cli.acting import Act, act
from coord.cli.errors import BadUsage
from coord.cli.options import CONNECTION_FIELDS, SettingsCommand, load_settings
from coord.operations.asks import Operation
from coord.operations.confirming import parse_for

_EPILOG = (
    "Exit codes: 0 done as asked; 1 not, or not quite (another took over, nobody answered, you "
    "said no); 2 wrong usage or settings; 3 Consul cannot be reached, or was lost meanwhile; 4 not "
    "permitted; 5 refused, nothing was changed (the view was old, the node cannot lead, …); 70 "
    "internal error; 130 interrupted; 141 nobody reads the output any more."
)

Function = Callable[..., Any]


def _command(name: str) -> Callable[[Function], click.Command]:
    def decorate(function: Function) -> click.Command:
        for option in reversed(_OPTIONS):
            function = option(function)
        make = click.command(
            name=name, cls=SettingsCommand, settings_fields=CONNECTION_FIELDS, epilog=_EPILOG
        )
        return make(function)

    return decorate


_OPTIONS: tuple[Callable[[Function], Function], ...] = (
    click.option("--reason", metavar="TEXT", help="Why; asked for if missing, kept in the audit."),
    click.option("--yes", is_flag=True, help="Do not ask; needs --reason."),
    click.option("--dry-run", is_flag=True, help="Only show what it would do; changes nothing."),
    click.option(
        "--term",
        type=click.IntRange(min=0),
        metavar="N",
        help="The term that this was decided on; refused if it is another. Default: the one shown.",
    ),
    click.option("--timeout", metavar="DURATION", help="Wait this long for the outcome, at most."),
    click.option("--actor", metavar="NAME", help="Who asks; default: user@host, before sudo."),
    click.option(
        "--anyway",
        is_flag=True,
        help="Also where it is refused with these words: another's request stands, it is paused or "
        "drained already, the node is not known.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON: preview, steps, outcome."),
)

_no_wait = click.option("--no-wait", is_flag=True, help="Do not wait until the nodes say so.")


def _run(ctx: click.Context, operation: Operation, params: dict[str, Any], **more: Any) -> None:
    settings = load_settings(params)
    wished = Act(
        operation=operation,
        node=more.get("node", ""),
        for_s=more.get("for_s"),
        wait=not params.get("no_wait", False),
        reason=params["reason"],
        yes=params["yes"],
        dry_run=params["dry_run"],
        term=params["term"],
        timeout_s=_duration("--timeout", params["timeout"]),
        actor=params["actor"],
        anyway=params["anyway"],
        as_json=params["as_json"],
    )
    ctx.exit(act(settings, wished))


def _duration(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_for(text)
    except ValueError as error:
        raise BadUsage(f"{option}: {error}") from None


@_command("step-down")
@click.pass_context
def step_down(ctx: click.Context, /, **params: Any) -> None:
    """Have the leader stop its work and hand over.

    It stops, gives the lock back and stays back for a while; the best successor (the highest
    priority, then the name) takes over at once.
    """
    _run(ctx, Operation.STEP_DOWN, params)


@_command("transfer")
@click.argument("node")
@click.pass_context
def transfer(ctx: click.Context, /, node: str, **params: Any) -> None:
    """Have the leader hand over to NODE.

    Refused, with the reason, if NODE cannot lead now. If it does not take over within about a
    second, another does, and the exit code is 1.
    """
    _run(ctx, Operation.TRANSFER, params, node=node)


@_command("force-release")
@click.pass_context
def force_release(ctx: click.Context, /, **params: Any) -> None:
    """Take the lock from a leader that does not answer.

    Destroys its session in Consul; the lock-delay and the quarantine then keep the others back
    until what it may still do is over. Needs nothing but Consul. If the leader is well, use
    step-down. Asks for the leader's name.
    """
    _run(ctx, Operation.FORCE_RELEASE, params)


@_command("pause")
@click.option(
    "--for", "for_", default="30m", show_default=True, metavar="DURATION", help="At most 24h."
)
@_no_wait
@click.pass_context
def pause(ctx: click.Context, /, for_: str, **params: Any) -> None:
    """Keep everybody from campaigning for a while.

    Who leads goes on leading; if it goes, nobody takes over until the pause is over. It ends by
    itself, or with `coord resume`.
    """
    _run(ctx, Operation.PAUSE, params, for_s=_duration("--for", for_))


@_command("resume")
@_no_wait
@click.pass_context
def resume(ctx: click.Context, /, **params: Any) -> None:
    """End a pause."""
    _run(ctx, Operation.RESUME, params)


@_command("drain")
@click.argument("node")
@_no_wait
@click.pass_context
def drain(ctx: click.Context, /, node: str, **params: Any) -> None:
    """Keep NODE from leading, as before its maintenance.

    If it leads it steps down, and the outcome is who follows. It does not campaign until `coord
    undrain`, unless nobody else leads for 30 s: a drained node is the last resort.
    """
    _run(ctx, Operation.DRAIN, params, node=node)


@_command("undrain")
@click.argument("node")
@_no_wait
@click.pass_context
def undrain(ctx: click.Context, /, node: str, **params: Any) -> None:
    """Let NODE lead again.

    If a drained node leads, it makes way for NODE, and the outcome is who follows.
    """
    _run(ctx, Operation.UNDRAIN, params, node=node)
