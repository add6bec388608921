"""`coord doctor`."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from coord.cli.errors import ExitCode
from coord.cli.options import CONNECTION_FIELDS, SettingsCommand, load_settings
from coord.cli.printing import console_here, lines_of
from coord.clock import SystemClock
from coord.config import TIMING_FIELDS, Settings
from coord.consul.client import ConsulClient
from coord.doctor import (
    Code,
    Report,
    Severity,
    Subject,
    examine,
    here_of,
    render_report,
    to_json,
)
from coord.records import Paths
from coord.rights import Role, policy

CRITICAL = 6
"""The exit code where something is critical, but Consul can be reached."""

DEADLINE_S = 5.0
"""How long each answer of Consul's is waited for: what is slow is a finding."""

_EPILOG = (
    "Exit codes: 0 nothing worse than notes; 1 warnings; 2 wrong usage or settings; 3 Consul "
    "cannot be reached, or has no leader; 4 the token may not see the election; 6 critical; "
    "70 internal error; 130 interrupted; 141 nobody reads the output any more."
)
_ROLES = click.Choice([role.value for role in Role])


@click.command(
    name="doctor",
    cls=SettingsCommand,
    settings_fields=("node", *CONNECTION_FIELDS, *TIMING_FIELDS),
    epilog=_EPILOG,
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--fix",
    is_flag=True,
    help="Do what is safe: take away orphaned sessions that hold nothing, entries of processes "
    "that are gone, pauses that were over more than an hour ago, and requests that nobody answers "
    "any more; then look again.",
)
@click.option(
    "--read-only", is_flag=True, help="Write nothing at all: do not try what the token may write."
)
@click.option("--role", type=_ROLES, help="Judge the token's rights by this role.")
@click.option("--policy", "policy_of", type=_ROLES, help="Print this role's ACL policy, and end.")
@click.pass_context
def doctor(
    ctx: click.Context,
    /,
    as_json: bool,
    fix: bool,
    read_only: bool,
    role: str | None,
    policy_of: str | None,
    **params: Any,
) -> None:
    """Find what is wrong with an election, what it means, and what to do about it.

    Looks at Consul, the keys, sessions, services, timing and rights. What may be so for a moment is
    looked at twice, some seconds apart. What the token may write is tried on a scratch key and a
    scratch session, which are taken away again, and with writes that Consul is bound to refuse.
    """
    if fix and read_only:
        raise click.UsageError("--fix and --read-only exclude each other")
    settings = load_settings(params)
    if policy_of is not None:
        click.echo(policy(policy_of, settings), nl=False)
        return
    report = asyncio.run(
        _examine(settings, fix=fix, read_only=read_only, role=Role(role) if role else None)
    )
    if as_json:
        click.echo(to_json(report))
    else:
        console = console_here()
        for line in lines_of(console, render_report(report)):
            console.print(line)
    ctx.exit(doctor_exit_code(report))


def doctor_exit_code(report: Report) -> int:
    """What `coord doctor` exits with after this report."""
    if report.has(Code.CONSUL_UNREACHABLE) or report.has(Code.CONSUL_NO_LEADER):
        return ExitCode.CONSUL_UNREACHABLE
    if report.severity is Severity.CRITICAL:
        return CRITICAL
    if any(skipped.subject is Subject.KEYS for skipped in report.skipped):
        return ExitCode.NOT_PERMITTED
    return ExitCode.NOT_GOOD if report.severity is Severity.WARNING else ExitCode.OK


async def _examine(settings: Settings, *, fix: bool, read_only: bool, role: Role | None) -> Report:
    here = here_of(settings)
    async with ConsulClient(settings.consul_address, request_timeout_s=DEADLINE_S) as consul:
        return await examine(
            consul,
            Paths(settings.election),
            here,
            clock=SystemClock(),
            read_only=read_only,
            role=role,
            fix=fix,
        )
