"""From what the election has to tell to the events that the telemetry hands out."""

from __future__ import annotations

from coord.clock import Clock
from coord.election import commands as cmd
from coord.election.reasons import Cause, WhyNot
from coord.telemetry import (
    BecameLeader,
    ElectionCheck,
    ElectionStarted,
    LeaderChanged,
    LeaderDown,
    LostLeadership,
    Resumed,
    StateChanged,
    StepDownRequested,
    Suspended,
    TakeoverAttempted,
    Telemetry,
)


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


class Notices:
    """Turns the election's notices into telemetry; keeps what later ones need of earlier ones."""

    def __init__(self, telemetry: Telemetry, node: str, clock: Clock) -> None:
        self._telemetry = telemetry
        self._node = node
        self._clock = clock
        self._former = ""
        self._cause = Cause.UNKNOWN
        self._why_not: WhyNot | None = None
        self._attempt_at = 0.0

    def attempt_sent(self) -> None:
        """An attempt to take the lock sets out now."""
        self._attempt_at = self._clock.now()

    def work_started(
        self, term: int, vacancy: cmd.VacancyTaken, last_sign_before: float | None
    ) -> None:
        """This node's work runs: tell the change of the leader, with its phases.

        last_sign_before: how long before the vacancy was seen the former leader gave its last sign
            of life, in seconds, where that is known.
        """
        now = self._clock.now()
        detect_ms = None if last_sign_before is None else _ms(last_sign_before)
        phases = (
            _ms(vacancy.acquire_sent_at - vacancy.seen_at),
            _ms(vacancy.acquired_at - vacancy.acquire_sent_at),
            _ms(now - vacancy.acquired_at),
        )
        self._telemetry.emit(
            LeaderChanged,
            term=term,
            previous_leader=vacancy.previous or None,
            new_leader=self._node,
            cause=vacancy.cause,
            gap_ms=(detect_ms or 0) + sum(phases),
            detect_ms=detect_ms,
            quarantine_ms=phases[0],
            acquire_ms=phases[1],
            start_ms=phases[2],
        )

    def tell(self, notice: cmd.Notice) -> None:
        """Emit what this notice amounts to."""
        emit = self._telemetry.emit
        match notice:
            case cmd.StateChanged(previous, state, why_not):
                self._why_not = why_not
                emit(StateChanged, previous=previous.value, state=state.value, why_not=why_not)
            case cmd.Checked(leader, state):
                emit(
                    ElectionCheck,
                    leader=leader or None,
                    state=state.value,
                    why_not=self._why_not,
                )
            case cmd.LeaderSeen():
                self._tell_leader(notice)
            case cmd.LeaderGone(former, cause, term):
                self._former, self._cause = former, cause
                emit(LeaderDown, term=term, former_leader=former or None, cause=cause)
            case cmd.ElectionBegun(wait):
                emit(
                    ElectionStarted,
                    former_leader=self._former or None,
                    cause=self._cause,
                    wait_ms=_ms(wait),
                )
            case _:
                self._tell_own(notice)

    def _tell_leader(self, notice: cmd.LeaderSeen) -> None:
        self._former, self._cause = "", Cause.UNKNOWN
        if notice.leader == self._node:
            return  # told with its phases, when the work runs
        self._telemetry.emit(
            LeaderChanged,
            term=notice.term,
            previous_leader=notice.previous or None,
            new_leader=notice.leader,
            cause=notice.cause,
        )

    def _tell_own(self, notice: cmd.Notice) -> None:
        """What concerns this node's own leadership."""
        emit = self._telemetry.emit
        match notice:
            case cmd.Attempted(term, outcome):
                took_ms = _ms(self._clock.now() - self._attempt_at)
                emit(TakeoverAttempted, term=term, outcome=outcome, took_ms=took_ms)
            case cmd.Won(term):
                emit(BecameLeader, term=term)
            case cmd.Lost(term, reason, child):
                emit(LostLeadership, term=term, reason=reason, child=child or None)
            case cmd.SteppingDown(term, reason, actor, request, said):
                emit(
                    StepDownRequested,
                    term=term,
                    reason=reason,
                    actor=actor or None,
                    request_id=request or None,
                    detail=said,
                )
            case cmd.LeadershipSuspended(term, reason):
                emit(Suspended, term=term, reason=reason)
            case cmd.LeadershipResumed(term, suspended_for):
                emit(Resumed, term=term, suspended_ms=_ms(suspended_for))
            case _:
                raise AssertionError(f"nothing tells {notice}")
