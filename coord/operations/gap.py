"""How long nobody is expected to work, and how long an outcome is waited for. Pure.

From what the fleet tells of itself: the leader's record and its candidate's meta, the likely
successor's meta. The operator's own settings count only where nothing is told, and it is said so.
"""

from __future__ import annotations

from dataclasses import dataclass

from coord.election.timing import (
    CLOCK_TOLERANCE,
    COOL_LEAST_S,
    HEIR_TURN_S,
    ROUND_TRIPS_S,
    Timing,
)
from coord.members import Member
from coord.operations.model import Gap, Phase, PhaseName, Source, Waits

MARGIN_S = 5.0
"""What is waited beyond every expectation, in seconds: machines are busy."""

FALL_BACK_MS = round(HEIR_TURN_S * 1000)
"""How long the others wait for the one that a transfer names, in milliseconds."""

START_MS = 50
ACQUIRE_MS = round(ROUND_TRIPS_S * 1000) - START_MS
"""Taking the lock and starting the work, on a sound network."""

TOLD_S = 5.0
"""A node tells the catalog a new state only once it has lasted this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The members whose settings count. fenced_within_ms: of the leader, as its record says."""

    leader: Member | None
    successor: Member | None
    fenced_within_ms: int | None


def handed_over(timing: Timing) -> Gap:
    """The gap of a leader that stops, and then gives the lock back: nobody needs to wait."""
    phases = (
        Phase(PhaseName.DETECT, 0, Source.ALLOWANCE),
        Phase(PhaseName.QUARANTINE, 0, Source.FLEET),
        Phase(PhaseName.ACQUIRE, ACQUIRE_MS, Source.ALLOWANCE),
        Phase(PhaseName.START, START_MS, Source.ALLOWANCE),
    )
    return Gap(phases, stop_ms=round(timing.shutdown_timeout * 1000))


def forced(told: Told, timing: Timing) -> Gap:
    """The gap of a leader whose session is destroyed: what it may still do must be over first."""
    quarantine_ms, source = quarantine(told, timing)
    phases = (
        Phase(PhaseName.DETECT, 0, Source.ALLOWANCE),
        Phase(PhaseName.QUARANTINE, quarantine_ms, source),
        Phase(PhaseName.ACQUIRE, ACQUIRE_MS, Source.ALLOWANCE),
        Phase(PhaseName.START, START_MS, Source.ALLOWANCE),
    )
    return Gap(phases)


def quarantine(told: Told, timing: Timing) -> tuple[int, Source]:
    """How long an unknown vacancy is left alone, in milliseconds, and who says so.

    Consul keeps the lock back for the lock-delay of the session that held it; the successor waits
    its own lock_delay + takeover_delay, and for as long as the leader may need to have stopped.
    """
    guessed = False

    def ms_of(member: Member | None, name: str) -> float:
        nonlocal guessed
        said = member.timing_ms.get(name) if member is not None else None
        if said is None:
            guessed = True
            return float(getattr(timing, name)) * 1000
        return said

    fenced = told.fenced_within_ms
    if fenced is None and told.leader is not None:
        fenced = told.leader.fenced_within_ms
    if fenced is None:
        guessed = True
        fenced = round(timing.fenced_within * 1000)
    kept_back = told.leader.timing_ms.get("lock_delay", 0) if told.leader is not None else 0
    wait = ms_of(told.successor, "lock_delay") + ms_of(told.successor, "takeover_delay")
    longest = max(wait, fenced * CLOCK_TOLERANCE, kept_back)
    return round(longest), Source.OWN_SETTINGS if guessed else Source.FLEET


def come_back_ms(timing: Timing, *, alone: bool) -> int:
    """How long a leader that stepped down stays back where nobody else leads, in milliseconds.

    alone: no other candidate is there that is not drained.
    """
    return round((COOL_LEAST_S if alone else min(timing.cool_down, timing.last_resort)) * 1000)


def waits(told: Told, timing: Timing) -> Waits:
    """How long each part of an outcome is waited for, at the most.

    A leader answers within milliseconds; one that is just suspended when it has contact again. A
    vacancy is anybody's once it is `last_resort` old.
    """
    quarantine_ms, _ = quarantine(told, timing)
    return Waits(
        answer_s=timing.election_interval + MARGIN_S,
        stop_s=timing.shutdown_timeout + MARGIN_S,
        takeover_s=timing.last_resort + quarantine_ms / 1000 + MARGIN_S,
        start_s=2 * MARGIN_S,
        told_s=TOLD_S + timing.cool_down + MARGIN_S,
    )
