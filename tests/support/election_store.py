"""The leader key and the term key as Consul keeps them: a part of `election_model`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.reasons import TakeoverOutcome

EMPTY = ev.KeyView(leader_index=0)


@dataclass
class Store:
    """The two keys and the sessions, as Consul's servers keep them; times on the true clock."""

    lock_delay: float
    index: int = 100
    view: ev.KeyView = EMPTY
    before: ev.KeyView = EMPTY
    sessions: set[str] = field(default_factory=set)
    free_from: float = 0.0

    def write(self, **changes: Any) -> None:
        self.index += 1
        self.before = self.view
        self.view = replace(self.view, leader_index=self.index, **changes)

    def acquire(
        self, asked: cmd.Acquire, node: str, fenced: float, now: float
    ) -> ev.KeyView | TakeoverOutcome:
        if self.view.session is not None:
            return TakeoverOutcome.HELD
        if now < self.free_from:
            return TakeoverOutcome.LOCK_DELAY
        if asked.session not in self.sessions:
            return TakeoverOutcome.NO_SESSION
        if self.view.leader_index != asked.leader_index:
            return TakeoverOutcome.VACANCY_CHANGED
        if self.view.term_index != asked.term_index:
            return TakeoverOutcome.TERM_MOVED
        self.write(
            lock_index=self.view.lock_index + 1,
            session=asked.session,
            term=asked.term,
            term_index=self.index + 1,
            term_fenced_within=fenced,
            **_record(node, asked.term, asked.successors, fenced),
        )
        return self.view

    def update(self, asked: cmd.UpdateRecord, node: str, fenced: float) -> None:
        if self.view.session == asked.session and asked.session in self.sessions:
            self.write(**_record(node, asked.term, asked.successors, fenced))

    def release(self, asked: cmd.Release) -> None:
        if self.view.term_index == asked.term_index and self.view.session == asked.session:
            self.write(session=None, record_vacant=True, record_why=asked.why.value)

    def create(self, asked: cmd.CreateLeaderKey) -> None:
        if self.view.missing:
            term = self.view
            self.view = EMPTY
            self.write(
                term=term.term,
                term_index=term.term_index,
                term_fenced_within=term.term_fenced_within,
                readable=True,
                record_vacant=True,
                record_term=0,
                record_why=asked.why.value,
            )

    def invalidate(self, session: str, now: float) -> None:
        """The session ends; where it held the lock, the lock-delay begins."""
        self.sessions.discard(session)
        if self.view.session == session:
            self.free_from = now + self.lock_delay
            self.write(session=None)

    def delete(self, leader: bool, term: bool) -> None:
        self.index += 1
        self.before, kept = self.view, self.view
        if leader:
            self.view = replace(
                EMPTY,
                term=kept.term,
                term_index=kept.term_index,
                term_fenced_within=kept.term_fenced_within,
            )
        if term:
            self.view = replace(self.view, term=None, term_index=0, term_fenced_within=None)

    def edit(self) -> None:
        """Somebody writes nonsense over the record: the lock stays, its LockIndex does not."""
        if not self.view.missing:
            self.write(lock_index=0, **_record("", None, (), None, readable=False))

    def force(self) -> None:
        """An operator releases the lock by hand: at once, and nothing is said."""
        if self.view.session is not None:
            self.write(session=None)


def _record(
    node: str,
    term: int | None,
    successors: tuple[str, ...],
    fenced: float | None,
    *,
    readable: bool = True,
) -> dict[str, Any]:
    return {
        "readable": readable,
        "record_vacant": False,
        "record_term": term,
        "record_node": node,
        "record_why": "",
        "successors": successors,
        "record_fenced_within": fenced,
    }
