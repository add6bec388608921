"""The whole examination: look, look again at what may pass, mend, look once more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from coord.clock import Clock
from coord.consul import ConsulApi
from coord.doctor.facts import Contact, Facts, Here, Rights
from coord.doctor.findings import Finding, Report, worst_first
from coord.doctor.fix import apply
from coord.doctor.gather import gather
from coord.doctor.judge import fine, judge, skipped
from coord.doctor.probe import try_rights
from coord.election.timing import CLOCK_TOLERANCE
from coord.records import Paths
from coord.rights import Role

MOST_S = 60.0
"""The longest that a second look is waited for, in seconds: anybody may tell a timing."""

LONGER_S = 2.0
"""How much longer than a quarantine the second look waits, in seconds."""


class Stage(StrEnum):
    """What it is about to do."""

    LOOKING = "looking"
    TRYING_RIGHTS = "trying_rights"
    WAITING = "waiting"
    """For a second look at what may be so for a moment."""
    LOOKING_AGAIN = "looking_again"
    FIXING = "fixing"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is. lasts_s: how long it is going to wait, where it waits, in seconds."""

    stage: Stage
    lasts_s: float | None = None


Tell = Callable[[Progress], None]


def _silent(_: Progress) -> None:
    """Nobody wants to know."""


async def examine(
    consul: ConsulApi,
    paths: Paths,
    here: Here,
    *,
    clock: Clock,
    read_only: bool = False,
    role: Role | None = None,
    fix: bool = False,
    again_s: float | None = None,
    tell: Tell = _silent,
) -> Report:
    """Examine an election. Never fails: what cannot be reached is a finding.

    read_only: do not try rights to write. Otherwise nothing is left changed but by `fix`.
    role: judge the token's rights by that role; None: by whichever it fits.
    fix: do what can be done safely, then examine again.
    again_s: how long until a second look at what may be so for a moment, in seconds; None: longer
        than a takeover takes, by the timing here and by what the candidates tell of theirs.
    tell: is told how far it is.

    Raises:
        ValueError: to fix is not to read only.
    """
    if fix and read_only:
        raise ValueError("to fix is not to read only")
    rights: Rights | None = None
    tell(Progress(Stage.LOOKING))
    facts = await gather(consul, paths, here, clock=clock)
    if facts.contact is Contact.GOOD:
        assert facts.status is not None
        holder = facts.status.leader.session
        tell(Progress(Stage.TRYING_RIGHTS))
        rights = await try_rights(consul, paths, write=not read_only, role=role, holder=holder)
    facts = replace(facts, rights=rights)
    lasting = partial(_lasting, consul, paths, clock=clock, again_s=again_s, tell=tell)
    facts, findings = await lasting(facts)
    if not fix or not any(finding.fixes for finding in findings):
        return _report(facts, findings)
    tell(Progress(Stage.FIXING))
    fixed = await apply(consul, paths, findings, clock=clock)
    facts = replace(await gather(consul, paths, here, clock=clock), rights=rights)
    facts, findings = await lasting(facts)
    return replace(_report(facts, findings), fixed=fixed)


async def _lasting(
    consul: ConsulApi,
    paths: Paths,
    facts: Facts,
    *,
    clock: Clock,
    again_s: float | None,
    tell: Tell,
) -> tuple[Facts, tuple[Finding, ...]]:
    """What these facts show, without what may be so for a moment and is not so any more."""
    first = judge(facts)
    if not any(finding.momentary for finding in first):
        return facts, first
    waits_s = takeover_s(facts) + LONGER_S if again_s is None else again_s
    tell(Progress(Stage.WAITING, waits_s))
    await asyncio.sleep(waits_s)
    tell(Progress(Stage.LOOKING_AGAIN))
    facts = replace(await gather(consul, paths, facts.here, clock=clock), rights=facts.rights)
    kept = (
        finding
        for finding in judge(facts)
        if not finding.momentary or any(finding.same_as(other) for other in first)
    )
    return facts, worst_first(kept)


def takeover_s(facts: Facts) -> float:
    """How long the slowest of all must leave a vacancy alone, as far as is told, in seconds."""
    told = [facts.here.timing.quarantine()]
    for member in facts.status.candidates.items if facts.status else ():
        waits_ms = member.timing_ms.get("lock_delay", 0) + member.timing_ms.get("takeover_delay", 0)
        told += [waits_ms / 1000, (member.fenced_within_ms or 0) / 1000 * CLOCK_TOLERANCE]
    return min(max(told), MOST_S)


def _report(facts: Facts, findings: tuple[Finding, ...]) -> Report:
    return Report(
        election=facts.election,
        at_ms=facts.at_ms,
        findings=findings,
        fine=fine(facts, findings),
        skipped=skipped(facts),
        roles=facts.rights.roles if facts.rights else (),
    )
