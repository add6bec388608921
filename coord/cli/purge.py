"""`coord purge`."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click

from coord.cli.errors import CHANGING_EPILOG, BadUsage, ExitCode
from coord.cli.options import CONNECTION_FIELDS, SettingsCommand, load_settings
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul.client import ConsulClient
from coord.operations import whoami
from coord.purge import SESSIONS, Inspection, Life, Outcome, inspect, purge
from coord.records import MAX_REASON, AuditRecord, Paths, utc
from coord.status.words import plain

_LIFE: dict[Life, str] = {
    Life.LOCKED: "a session holds the key {who}",
    Life.LEADER_SERVICE: "{who} is found as the leader",
    Life.CANDIDATE: "the candidate {who} runs",
    Life.OBSERVER: "the observer {who} runs",
    Life.POLLER: "the poller {who} runs",
    Life.SESSION: "a session lives, or did until 30 s ago: {who}",
}

_OUTCOMES: dict[Outcome, tuple[str, ExitCode]] = {
    Outcome.NOTHING_THERE: ("there is nothing to remove", ExitCode.OK),
    Outcome.PURGED: ("removed", ExitCode.OK),
    Outcome.ALIVE: ("refused: somebody lives in it; nothing was removed", ExitCode.REFUSED),
    Outcome.HIDDEN: (
        "refused: this token may not see all that would show life; nothing was removed",
        ExitCode.NOT_PERMITTED,
    ),
    Outcome.CHANGED: (
        "refused: somebody took the lock meanwhile; nothing was removed",
        ExitCode.REFUSED,
    ),
}


@click.command(
    name="purge",
    cls=SettingsCommand,
    settings_fields=CONNECTION_FIELDS,
    epilog=CHANGING_EPILOG,
)
@click.option("--reason", help="Why, for the record; asked for when missing.")
@click.option("--yes", is_flag=True, help="Do not ask; then --reason is required.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; needs --yes or --dry-run.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    reason: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    **params: Any,
) -> None:
    """Remove a dead election's keys from Consul.

    A living one is refused: a lock, a session, a candidate, an observer, a poller or a leader that
    passes its check. Who did it, and why, stays in the election's audit/; purging once more
    removes that too. The token needs to write all keys of the election, to see all services, and
    to make and see sessions.

    Exits with 0 when it is removed, or nothing was there (or with --dry-run: may be removed); with
    1 if you said no; with 5 if it lives or somebody came meanwhile; with 4 if the token may not
    see enough, or not write.
    """
    settings = load_settings(params)
    if yes and not dry_run and not reason:
        raise BadUsage("--yes needs --reason: it is kept in the audit")
    if as_json and not (yes or dry_run):
        raise BadUsage("--json asks nothing: say --yes and --reason, or --dry-run")
    if not (yes or dry_run) and not sys.stdin.isatty():
        raise BadUsage("there is no terminal to ask on: say --yes and --reason, or --dry-run")
    found = asyncio.run(_look(settings))
    if not as_json:
        for line in _lines(found):
            click.echo(line)
    outcome = found.refusal or (Outcome.NOTHING_THERE if not found.total else None)
    if outcome is None and not dry_run:
        said = _reason(reason, found, yes=yes)
        if said is None:
            click.echo("nothing was done", err=True)
            ctx.exit(ExitCode.NOT_GOOD)
        audit = _audit(settings, said)
        outcome = asyncio.run(_remove(settings, found, audit))
        if outcome is Outcome.HIDDEN:
            found = replace(found, hidden=(SESSIONS,))
    ctx.exit(_told(found, outcome, as_json=as_json))


async def _look(settings: Settings) -> Inspection:
    async with ConsulClient(settings.consul_address) as consul:
        return await inspect(consul, Paths(settings.election), clock=SystemClock())


async def _remove(settings: Settings, found: Inspection, audit: AuditRecord) -> Outcome:
    async with ConsulClient(settings.consul_address) as consul:
        return await purge(consul, found, audit)


def _lines(found: Inspection) -> Iterator[str]:
    yield f"Election {found.election}: {_amount(found.total, 'key')}"
    width = max((len(kind) for kind in found.keys), default=0)
    for kind, number in found.keys.items():
        yield f"  {kind:<{width}}  {number}"
    for sign in found.alive:
        yield "  lives: " + _LIFE[sign.life].format(who=plain(sign.who))
    for service_id in found.leftovers:
        yield f"  left over, goes by itself: the service {_shown(service_id)}, failing"


def _shown(text: str) -> str:
    return plain(text, 160)


def _amount(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _reason(given: str | None, found: Inspection, *, yes: bool) -> str | None:
    """Why, asked for if need be; then whether: None means no.

    Raises:
        BadUsage: the reason is too long.
    """
    reason = (given or "").strip() or click.prompt("Why", err=True).strip()
    if len(reason) > MAX_REASON:
        raise BadUsage(f"--reason: at most {MAX_REASON} characters; it has {len(reason)}")
    if not yes:
        asked = f"Remove {_amount(found.total, 'key')} of the election {found.election}?"
        if not click.confirm(asked, err=True):
            return None
    return reason


def _audit(settings: Settings, reason: str) -> AuditRecord:
    now = utc(SystemClock().wall_ms())
    return AuditRecord(
        operation="purge",
        actor=whoami(),
        reason=reason,
        request_id=secrets.token_hex(8),
        at=now,
        finished_at=now,
        outcome=Outcome.PURGED.value,
        detail=f"every key of the election {settings.election} was removed",
    )


def _told(found: Inspection, outcome: Outcome | None, *, as_json: bool) -> ExitCode:
    words, code = _OUTCOMES[outcome] if outcome else ("may be removed; nothing was", ExitCode.OK)
    if as_json:
        report = {
            "election": found.election,
            "outcome": outcome.value if outcome else "would_be_purged",
            "keys": dict(found.keys),
            "alive": [{"life": sign.life.value, "who": sign.who} for sign in found.alive],
            "hidden": list(found.hidden),
            "leftovers": list(found.leftovers),
        }
        click.echo(json.dumps(report, indent=2))
    else:
        if outcome is Outcome.HIDDEN:
            click.echo(f"Hidden from this token: {', '.join(map(_shown, found.hidden))}")
        click.echo(f"{found.election}: {words}")
    return code
