"""What a candidate knows of the two keys from what it has seen of them, and since when.

The lookout turns sightings into one answer: who leads, or which vacancy there is, why, and from
when on it may be taken. It decides nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from coord.election.commands import LeaderGone, LeaderSeen, Notice
from coord.election.events import KeyView
from coord.election.reasons import Cause
from coord.election.terms import MAX_TERM
from coord.election.timing import HEIR_TURN_S, Timing

TURN_STEP_S = 0.1
"""How long the second named successor leaves the first alone, the third the second."""

TURN_SPREAD_S = 0.5
"""Over how long everybody else's tries are spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacancy:
    """A leader key that nobody holds. Its identity is its ModifyIndex (0: the key is missing).

    `seen_at` is when this vacancy was first seen, `quarantine` how long it must be left alone
    from then on, in seconds: none if it was handed over.
    """

    index: int
    seen_at: float
    handed_over: bool
    quarantine: float
    cause: Cause
    former: str


class Lookout:
    """Remembers the last sighting, the highest indices and terms, and how long a vacancy lasts."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self.view: KeyView | None = None
        self.vacancy: Vacancy | None = None
        self.vacant_since: float | None = None
        self.leader = ""
        self.leader_term: int | None = None
        self.restored = False
        """The last consistent read showed that Consul went back to an earlier state."""
        self._catalog_fenced_within: float | None = None
        self._highest_leader_index = 0
        self._highest_term_index = 0
        self._highest_term = 0
        self._distrusted_index = 0
        self._distrusted_until = float("-inf")
        self._holder_fenced_within: float | None = None
        self._holder: str | None = None
        self._last_leader = ""
        self._last_cause = Cause.UNKNOWN
        self._forced_term: int | None = None

    def watched(self, view: KeyView, now: float) -> tuple[bool, list[Notice]]:
        """Take in what the watch showed: the leader key alone, by a read that proves nothing.

        It is believed only where it is newer than all that was seen. The term key is taken to be
        what it was; whoever acquires on the strength of that is stopped by its index.

        Returns whether it was believed, and what there is to tell. If it was not, look properly.
        """
        known = self.view
        if known is None or view.leader_index <= self._highest_leader_index:
            return False, []
        merged = replace(
            view,
            term=known.term,
            term_index=known.term_index,
            term_fenced_within=known.term_fenced_within,
        )
        return True, self._accept(merged, now)

    def observed(self, view: KeyView, now: float) -> list[Notice]:
        """Take in a consistent read of both keys; returns what there is to tell."""
        self.restored = (
            0 < view.leader_index < self._highest_leader_index
            or 0 < view.term_index < self._highest_term_index
        )
        if self.restored:
            self._distrusted_index = max(
                self._highest_leader_index, self._highest_term_index, view.leader_index
            )
            self._highest_leader_index = self._highest_term_index = 0
            # By then a leader that the restored state does not know of has stopped.
            self._distrusted_until = now + self._timing.quarantine(self._fenced_within(view))
        return self._accept(view, now)

    def _accept(self, view: KeyView, now: float) -> list[Notice]:
        first, self.view = self.view is None, view
        self._highest_leader_index = max(self._highest_leader_index, view.leader_index)
        self._highest_term_index = max(self._highest_term_index, view.term_index)
        self._highest_term = max(self._highest_term, view.term or 0, view.record_term or 0)
        if view.session is not None:
            return self._held(view)
        return self._vacant(view, now, first)

    def _held(self, view: KeyView) -> list[Notice]:
        self.vacancy = self.vacant_since = None
        said = [x for x in (view.record_fenced_within, view.term_fenced_within) if x is not None]
        self._holder_fenced_within = max(said, default=self._holder_fenced_within)
        # Somebody may have put back the record of the leader before.
        of_before = view.record_term is not None and view.record_term < (view.term or 0)
        node, term = ("", None) if of_before else (view.record_node, view.record_term)
        same = view.session == self._holder and (self.leader or not node)
        self._holder = view.session
        if same:
            return []
        self.leader, self.leader_term = node, term
        seen = LeaderSeen(self._last_leader, self.leader, self.leader_term, self._last_cause)
        self._last_leader, self._last_cause = self.leader, Cause.UNKNOWN
        return [seen]

    def _vacant(self, view: KeyView, now: float, first: bool) -> list[Notice]:
        if self.vacant_since is None:
            self.vacant_since = now
        same = self.vacancy if self.vacancy and self.vacancy.index == view.leader_index else None
        seen_at = same.seen_at if same and not self.restored else now
        old = 0 < view.leader_index <= self._distrusted_index
        distrusted = old and seen_at < self._distrusted_until
        handed_over = view.handed_over and not distrusted
        cause = Cause.RESTORED if distrusted else self._cause(view, handed_over, first)
        self.vacancy = Vacancy(
            index=view.leader_index,
            seen_at=seen_at,
            handed_over=handed_over,
            quarantine=0.0 if handed_over else self._timing.quarantine(self._fenced_within(view)),
            cause=cause,
            former=view.record_node or self._last_leader,
        )
        former, term = self.leader, self.leader_term
        self.leader, self.leader_term = "", None
        self._holder = None
        if self._last_cause is Cause.UNKNOWN or former:
            self._last_cause = cause
        if not self._last_leader:
            self._last_leader = view.record_node
        return [LeaderGone(former, cause, term)] if former else []

    def _cause(self, view: KeyView, handed_over: bool, first: bool) -> Cause:
        if view.missing:
            return Cause.FIRST_START if first or not self._highest_term else Cause.DELETED
        if not view.readable:
            return Cause.UNREADABLE
        if not view.record_vacant:
            forced = self._forced_term is not None and view.record_term == self._forced_term
            return Cause.RELEASED_BY_HAND if forced else Cause.SESSION_INVALIDATED
        said = Cause.parse(view.record_why)
        if handed_over:
            return said or Cause.HANDED_OVER
        created = said in (Cause.FIRST_START, Cause.DELETED)
        return said if said and created else Cause.UNKNOWN

    def forced(self, term: int | None) -> None:
        """An operator says that they destroy the session of that term's leader. That may be learnt
        of before the vacancy, or after."""
        self._forced_term = term
        vacancy, view = self.vacancy, self.view
        if vacancy is None or view is None or vacancy.cause is not Cause.SESSION_INVALIDATED:
            return
        cause = self._cause(view, False, False)
        self.vacancy = replace(vacancy, cause=cause)
        if self._last_cause is Cause.SESSION_INVALIDATED:
            self._last_cause = cause

    def gave_back(self, why: Cause | None) -> None:
        """We released the key: a leader that is seen before the vacancy was follows on that."""
        self._last_cause = why or self._last_cause

    def catalog_says(self, fenced_within: float | None) -> None:
        """Take in the largest fenced_within in the catalog; a vacancy may be waited for longer."""
        self._catalog_fenced_within = fenced_within
        vacancy, view = self.vacancy, self.view
        if vacancy is not None and view is not None and not vacancy.handed_over:
            quarantine = self._timing.quarantine(self._fenced_within(view))
            self.vacancy = replace(vacancy, quarantine=quarantine)

    def _fenced_within(self, view: KeyView) -> float | None:
        """How late the last leader may still have been at work after its last confirmation."""
        said = [view.record_fenced_within, view.term_fenced_within]
        if all(value is None for value in said):
            said.append(self._catalog_fenced_within)
        said.append(self._holder_fenced_within)
        return max((value for value in said if value is not None), default=None)

    def next_term(self) -> int:
        """A term higher than any that was ever held, as far as can be known.

        Where the term key is missing, the leader key's ModifyIndex stands in for it: every term
        taken cost at least one step of the raft index.
        """
        view = self.view
        missing = view is None or view.term is None
        index = self._highest_leader_index if missing else 0
        following = max(self._highest_term, index) + 1
        if following <= MAX_TERM:
            return following
        # Only an edit can have brought it there. Starting over is better than no leader ever.
        said = (view.term, view.record_term) if view is not None else ()
        sound = next((term for term in said if term is not None and term < MAX_TERM), 0)
        return max(sound, self._highest_leader_index) + 1

    def transferred_to(self, node: str) -> bool:
        """Whether the last leader left for that node, because an operator wanted it."""
        vacancy, view = self.vacancy, self.view
        wanted = vacancy is not None and vacancy.cause is Cause.TRANSFERRED
        return wanted and view is not None and node in view.successors[:1]

    def due_at(self, me: str, jitter: float, alone: bool) -> float:
        """When the vacancy may be taken by `me`: after its quarantine, in turn.

        The successors that the last leader named go first, in their order; everybody else comes
        later, spread by `jitter` (0 to 1), so that many candidates do not all try at once. One whom
        an operator named has more time before the others.
        """
        assert self.vacancy is not None
        assert self.view is not None
        due = self.vacancy.seen_at + self.vacancy.quarantine
        if alone:
            return due
        successors = self.view.successors
        if me in successors[:1]:
            return due
        if self.vacancy.cause is Cause.TRANSFERRED:
            due += HEIR_TURN_S
        if me in successors:
            return due + successors.index(me) * TURN_STEP_S
        return due + len(successors) * TURN_STEP_S + jitter * TURN_SPREAD_S
