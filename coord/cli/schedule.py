"""`coord schedule …`: what is polled, and how it fares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from coord.cli.errors import CHANGING_EPILOG, EPILOG, BadUsage, ExitCode
from coord.cli.examples import ExemplifiedGroup
from coord.cli.options import CONNECTION_FIELDS, SettingsCommand, load_settings
from coord.cli.schedule_edit import Plan, Said, change
from coord.cli.schedule_flags import fields_of, source_of
from coord.cli.schedule_run import run_now
from coord.cli.schedule_text import as_json as schedule_json
from coord.cli.schedule_text import list_lines, show_lines
from coord.clock import SystemClock
from coord.config import Settings, Source, SourceKind
from coord.config.values import parse_duration
from coord.consul.client import ConsulClient
from coord.polling.audit import Act
from coord.polling.drafts import check_id, draft, read_file
from coord.polling.editing import plan_add, plan_import, plan_remove, plan_switch
from coord.polling.paths import PollPaths
from coord.polling.shelf import Shelf, read_shelf
from coord.records import MAX_REASON, Paths
from coord.status.as_json import encoded
from coord.status.words import plain

Function = Callable[..., Any]

_ID = Source(SourceKind.FLAG, "ID")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_REASON = click.option("--reason", metavar="TEXT", default="", help="Why, for the audit.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Only show what it would change.")


@click.group(name="schedule", cls=ExemplifiedGroup, epilog=CHANGING_EPILOG)
def schedule() -> None:
    """What is polled: schedules, kept in Consul.

    The leader reads them as they change, and sends each that is due to a poller. Changing them
    needs the operator's rights, looking at them the viewer's.
    """


def _command(name: str, epilog: str = CHANGING_EPILOG) -> Callable[[Function], click.Command]:
    make = schedule.command(
        name=name, cls=SettingsCommand, settings_fields=CONNECTION_FIELDS, epilog=epilog
    )
    return lambda function: make(function)


# --- look ------------------------------------------------------------------------------------


@_command("list", EPILOG)
@_JSON
@click.pass_context
def list_schedules(ctx: click.Context, /, as_json: bool, **params: Any) -> None:
    """Show all schedules, and how the last run of each ended."""
    settings = load_settings(params)
    shelf = asyncio.run(_read(settings))
    if as_json:
        data = {
            "election": settings.election,
            "results_seen": shelf.results is not None,
            "schedules": [schedule_json(name, shelf) for name in sorted(shelf.schedules)],
        }
        click.echo(encoded(data))
    else:
        for line in list_lines(settings.election, shelf, SystemClock().wall_ms()):
            click.echo(line)
    ctx.exit(ExitCode.OK)


@_command("show", EPILOG)
@click.argument("schedule_id", metavar="ID")
@_JSON
@click.pass_context
def show(ctx: click.Context, /, schedule_id: str, as_json: bool, **params: Any) -> None:
    """Show one schedule, and what its last run found.

    Exits with 1 if there is no such schedule, or it cannot be read.
    """
    settings = load_settings(params)
    name = check_id(schedule_id, _ID)
    shelf = asyncio.run(_read(settings))
    stored = shelf.schedules.get(name)
    seen = shelf.results is not None
    if as_json:
        told = schedule_json(name, shelf) if stored else {"id": name}
        data = {"election": settings.election, "results_seen": seen, "found": stored is not None}
        click.echo(encoded(data | told))
    elif stored is None:
        click.echo(f"There is no schedule {name} in election {settings.election}.")
    else:
        for line in show_lines(name, shelf, SystemClock().wall_ms()):
            click.echo(line)
    readable = stored is not None and stored.record is not None
    ctx.exit(ExitCode.OK if readable else ExitCode.NOT_GOOD)


async def _read(settings: Settings) -> Shelf:
    async with ConsulClient(settings.consul_address) as consul:
        return await read_shelf(consul, PollPaths(Paths(settings.election)))


# --- change ----------------------------------------------------------------------------------


@_command("add")
@click.argument("schedule_id", metavar="ID")
@click.option("--interval", metavar="DURATION", help="How often it runs, as 10s.  [required]")
@click.option("--http", multiple=True, metavar="URL", help="Check a URL; may be repeated.")
@click.option("--tcp", multiple=True, metavar="HOST:PORT", help="Check a port; may be repeated.")
@click.option(
    "--check",
    multiple=True,
    metavar="JSON",
    help='Any check, as \'{"kind": …, "target": …}\'; may be repeated.',
)
@click.option("--timeout", metavar="DURATION", help="How long each --http and --tcp may take.")
@click.option("--method", metavar="NAME", help="Of --http: GET, HEAD, OPTIONS or POST.")
@click.option("--status", metavar="N,N,…", help="Of --http: the statuses that are up.")
@click.option("--contains", metavar="TEXT", help="Of --http: what the body must hold.")
@click.option("--redirects", metavar="N", help="Of --http: follow so many redirects.")
@click.option("--poll-timeout", metavar="DURATION", help="How long all checks may take.")
@click.option("--max-retries", metavar="N", help="How often a run may be tried again.")
@click.option("--priority", metavar="N", help="Where there is no room for all: higher first.")
@click.option("--assignment", metavar="WORD", help="any, specific, partition or domain.")
@click.option("--assigned-to", metavar="NAME,NAME,…", help="Of these pollers, or the like.")
@click.option("--name", metavar="TEXT", help="For people.")
@click.option("--disabled", is_flag=True, help="It does not run until it is enabled.")
@click.option("--replace", is_flag=True, help="Write over a schedule that is there.")
@_REASON
@_DRY_RUN
@_JSON
@click.pass_context
def add(
    ctx: click.Context,
    /,
    schedule_id: str,
    replace: bool,
    reason: str,
    dry_run: bool,
    as_json: bool,
    **params: Any,
) -> None:
    """Write a schedule. Its first run is due at once.

    Exits with 5 if there is one of that id, unless --replace is given, or somebody wrote it
    meanwhile.
    """
    settings = load_settings(params)
    fields, origins = fields_of(params)
    name = check_id(schedule_id, _ID)
    now_ms = SystemClock().wall_ms()
    record = draft(name, fields, now_ms=now_ms, source=lambda where: source_of(where, origins))
    plan = Plan(Act.ADD, lambda found, keys: plan_add(found, record, keys, replace=replace))
    said = Said(reason=_checked_reason(reason), dry_run=dry_run, as_json=as_json)
    ctx.exit(change(settings, plan, said))


@_command("enable")
@click.argument("ids", metavar="ID…", nargs=-1, required=True)
@_REASON
@_JSON
@click.pass_context
def enable(
    ctx: click.Context, /, ids: tuple[str, ...], reason: str, as_json: bool, **params: Any
) -> None:
    """Let schedules run again, from now on."""
    ctx.exit(_switch(load_settings(params), ids, reason, as_json, enabled=True))


@_command("disable")
@click.argument("ids", metavar="ID…", nargs=-1, required=True)
@_REASON
@_JSON
@click.pass_context
def disable(
    ctx: click.Context, /, ids: tuple[str, ...], reason: str, as_json: bool, **params: Any
) -> None:
    """Keep schedules from running.

    A run that a poller works on ends as it would; one that waits to be tried again is cancelled.
    """
    ctx.exit(_switch(load_settings(params), ids, reason, as_json, enabled=False))


def _switch(
    settings: Settings, ids: tuple[str, ...], reason: str, as_json: bool, *, enabled: bool
) -> ExitCode:
    names = _checked(ids)
    now_ms = SystemClock().wall_ms()
    plan = Plan(
        Act.ENABLE if enabled else Act.DISABLE,
        lambda found, _: plan_switch(found, names, enabled=enabled, now_ms=now_ms),
        again=True,
    )
    return change(settings, plan, Said(reason=_checked_reason(reason), as_json=as_json))


@_command("run")
@click.argument("schedule_id", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait for what it finds, and show it.")
@click.option("--timeout", metavar="DURATION", help="Wait this long at most; 1m unless given.")
@_REASON
@_JSON
@click.pass_context
def run(
    ctx: click.Context,
    /,
    schedule_id: str,
    wait: bool,
    timeout: str | None,
    reason: str,
    as_json: bool,
    **params: Any,
) -> None:
    """Run a schedule now, once, whether it is due or not, or disabled.

    Its next run is due when it would have been. Exits with 5 if nobody leads, there is no such
    schedule, or a run of it is asked for already; with --wait also with 1 unless all its checks
    say up.
    """
    settings = load_settings(params)
    name = check_id(schedule_id, _ID)
    if timeout is not None and not wait:
        raise BadUsage("--timeout goes with --wait")
    wait_s = _duration(timeout or "1m") if wait else None
    why = _checked_reason(reason)
    ctx.exit(run_now(settings, name, wait_s=wait_s, as_json=as_json, reason=why))


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise BadUsage(f"--timeout: {error}") from None


@_command("rm")
@click.argument("ids", metavar="ID…", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_REASON
@_DRY_RUN
@_JSON
@click.pass_context
def remove(
    ctx: click.Context,
    /,
    ids: tuple[str, ...],
    yes: bool,
    reason: str,
    dry_run: bool,
    as_json: bool,
    **params: Any,
) -> None:
    """Remove schedules. The leader removes what their last runs found.

    Exits with 1 if you said no; with 5 if one is not there, or somebody wrote it meanwhile.
    """
    settings = load_settings(params)
    names = _checked(ids)
    said = Said(
        reason=_checked_reason(reason),
        yes=yes,
        dry_run=dry_run,
        as_json=as_json,
        asks=f"Remove {', '.join(names)}?",
    )
    plan = Plan(Act.REMOVE, lambda found, _: plan_remove(found, names))
    ctx.exit(change(settings, plan, said))


@_command("import")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--prune", is_flag=True, help="Remove the schedules that are not in the file.")
@click.option("--yes", is_flag=True, help="Do not ask before something is removed.")
@_REASON
@_DRY_RUN
@_JSON
@click.pass_context
def import_file(
    ctx: click.Context,
    /,
    file: Path,
    prune: bool,
    yes: bool,
    reason: str,
    dry_run: bool,
    as_json: bool,
    **params: Any,
) -> None:
    """Write the schedules that a TOML file has.

    One that stands in Consul as it does in the file is left as it is.

    \b
    [schedules.web]
    interval = "10s"
    checks = [{ kind = "http", target = "https://www.example.org/", status = [200] }]

    Up to 63 changes are made together or not at all; more in several steps, and if one fails it
    says which were made: the same command goes on from there.

    Exits with 1 if you said no; with 5 if somebody wrote one of them meanwhile.
    """
    settings = load_settings(params)
    records = read_file(file, now_ms=SystemClock().wall_ms())
    if not records and prune:
        raise BadUsage(f"{plain(str(file), 200)} has no schedule, and --prune would remove all")
    plan = Plan(Act.IMPORT, lambda found, keys: plan_import(found, records, keys, prune=prune))
    asks = "Remove what is not in the file?" if prune else None
    why = _checked_reason(reason)
    said = Said(reason=why, yes=yes, dry_run=dry_run, as_json=as_json, asks=asks)
    ctx.exit(change(settings, plan, said))


def _checked(ids: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(check_id(each, _ID) for each in ids))


def _checked_reason(reason: str) -> str:
    if len(reason.strip()) > MAX_REASON:
        raise BadUsage(f"--reason: at most {MAX_REASON} characters; it has {len(reason.strip())}")
    return reason.strip()
