"""When a vacancy may be tried for, and what an attempt came to."""

from __future__ import annotations

from dataclasses import dataclass

from coord.election import commands as cmd
from coord.election.events import KeyView
from coord.election.lookout import Lookout, Vacancy
from coord.election.orders import Orders
from coord.election.reasons import TakeoverOutcome, WhyNot
from coord.election.timing import COOL_LEAST_S, Timing

ACQUIRE_DEADLINE_S = 1.0
"""How long an attempt is waited for before its outcome counts as unknown."""

MAX_SUCCESSORS = 3

_PUT_OFF = {
    TakeoverOutcome.LOCK_DELAY: (0.25, WhyNot.LOCK_DELAY),
    TakeoverOutcome.NOT_PERMITTED: (5.0, WhyNot.NOT_PERMITTED),
    TakeoverOutcome.REFUSED: (5.0, WhyNot.WAITING_TURN),
    TakeoverOutcome.UNAVAILABLE: (0.5, WhyNot.CONSUL_UNREACHABLE),
}
"""How long after such a refusal the next attempt is made, in seconds, and what it waits for.

A refusal for the lock-delay costs Consul no write, so it may be repeated soon.
"""

_PUT_OFF_LEAST_S = 0.1
"""After any other refusal: what is refused again and again must not be tried without a pause."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """What was tried, and since when (if so) its outcome is unknown. Times in seconds."""

    number: int
    session: str
    term: int
    vacancy: Vacancy
    due_at: float
    sent_at: float
    tolerated: frozenset[str] = frozenset()
    """Who could have taken it before we did, drained as we are: they need not be waited for."""
    unknown_since: float | None = None

    def settled_by(self, view: KeyView, sent_at: float) -> bool | None:
        """What a consistent read says of it: whether it took the lock, its session and its term;
        None where the outcome is not in doubt, or the read was sent before it was."""
        if self.unknown_since is None or sent_at < self.unknown_since:
            return None
        return view.session == self.session and view.term == self.term

    def taken(self, now: float) -> cmd.VacancyTaken:
        """The time line of a success that is learnt of now."""
        return cmd.VacancyTaken(
            previous=self.vacancy.former,
            cause=self.vacancy.cause,
            seen_at=self.vacancy.seen_at,
            due_at=self.due_at,
            acquire_sent_at=self.sent_at,
            acquired_at=now,
        )


class Campaign:
    """One candidate's campaign for the lock: its turn, its attempts, its cool-down.

    Args:
        node: our name, as a leader's list of successors has it.
        jitter: from 0 to 1, our place among those whom no leader named.
    """

    def __init__(
        self, node: str, timing: Timing, jitter: float, lookout: Lookout, orders: Orders
    ) -> None:
        self.node = node
        self.timing = timing
        self.jitter = jitter
        self.lookout = lookout
        self.orders = orders
        self.others: tuple[str, ...] | None = None
        """The other candidates that pass, best successor first; None if not known."""
        self.heir = ""
        """Whom an operator wants to follow us."""
        self.attempt: Attempt | None = None
        self.look_first = False
        """An attempt was refused: what we believe of the key is not so."""
        self.cool_until = 0.0
        self._cool_least_until = 0.0
        self._attempts = 0
        self._put_off_until = 0.0
        self._put_off_by: WhyNot | None = None

    @property
    def followers(self) -> tuple[str, ...] | None:
        """The others that may lead, drained ones left out; None if not known."""
        if self.others is None:
            return None
        return tuple(name for name in self.others if name not in self.orders.drained)

    @property
    def successors(self) -> tuple[str, ...]:
        """Whom we would name in our record as those to follow us."""
        heir = (self.heir,) if self.heir else ()
        rest = tuple(name for name in self.followers or () if name != self.heir)
        return (heir + rest)[:MAX_SUCCESSORS]

    @property
    def last_resort_at(self) -> float:
        """When anybody may try for the vacancy, whoever else looks healthy."""
        since = self.lookout.vacant_since
        return float("inf") if since is None else since + self.timing.last_resort

    @property
    def due_at(self) -> float:
        """When the vacancy that there is may be tried for."""
        due = self.lookout.due_at(self.node, self.jitter, alone=self.followers == ())
        held_back = self.orders.held_back_until(self.last_resort_at)
        return max(due, self._put_off_until, held_back)

    @property
    def open(self) -> bool:
        """Whether only time stands between us and an attempt."""
        vacancy = self.lookout.vacancy
        return not self.look_first and vacancy is not None and vacancy.index > 0

    def over(self) -> None:
        """Somebody leads: what put us off before does not count any more."""
        self._put_off_until, self._put_off_by = 0.0, None

    # -- cooling down ----------------------------------------------------------------------

    def cool(self, now: float) -> None:
        """We led: stay back for a while, so that another may."""
        self.cool_until = now + self.timing.cool_down
        self._cool_least_until = now + min(COOL_LEAST_S, self.timing.cool_down)

    @property
    def cooled_at(self) -> float:
        """When we need not stay back any longer: nobody else could lead, or nobody did; or it is
        us whom an operator wants, and the others leave the vacancy to us."""
        since = self.lookout.vacant_since
        if since is None:
            return self.cool_until
        if self.followers == () or self.lookout.transferred_to(self.node):
            return self._cool_least_until
        return min(self.cool_until, self.last_resort_at)

    # -- trying ----------------------------------------------------------------------------

    def try_now(self, session: str, view: KeyView, vacancy: Vacancy, now: float) -> cmd.Acquire:
        """Begin an attempt to take that vacancy."""
        self._attempts += 1
        self.attempt = Attempt(
            number=self._attempts,
            session=session,
            term=self.lookout.next_term(),
            vacancy=vacancy,
            due_at=self.due_at,
            sent_at=now,
            tolerated=frozenset(self.followers or ()) if self.orders.drains_us else frozenset(),
        )
        return cmd.Acquire(
            attempt=self._attempts,
            session=session,
            leader_index=vacancy.index,
            term_index=view.term_index,
            term=self.attempt.term,
            successors=self.successors,
            deadline=ACQUIRE_DEADLINE_S,
        )

    def under_way(self, number: int) -> Attempt | None:
        """The attempt under way, if it has that number."""
        attempt = self.attempt
        return attempt if attempt is not None and attempt.number == number else None

    def refused(self, outcome: TakeoverOutcome, now: float) -> None:
        """The attempt failed: look again before the next, and perhaps wait."""
        self.attempt = None
        self.look_first = True
        wait, self._put_off_by = _PUT_OFF.get(outcome, (_PUT_OFF_LEAST_S, None))
        self._put_off_until = now + wait

    def why_not(self, vacancy: Vacancy, now: float) -> WhyNot:
        """What this vacancy is left alone for."""
        if now < self.orders.paused_until:
            return WhyNot.PAUSED
        if self.orders.drains_us and now < self.last_resort_at:
            return WhyNot.DRAINED
        if self._put_off_by is not None and now < self._put_off_until:
            return self._put_off_by
        quarantined = now < vacancy.seen_at + vacancy.quarantine
        return WhyNot.LOCK_DELAY if quarantined else WhyNot.WAITING_TURN
