"""The leader key and the term key as Consul keeps them: a part of `election_model`.

It is also the receiver of the fenced writes: whenever one of any term that ever worked would be
accepted, one is taken to arrive, so that an old one after a newer one cannot slip by unseen.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.reasons import TakeoverOutcome

ANY_INDEX = -1
"""What an acquire says that checks no index: none that is sound does."""

EMPTY = ev.KeyView(leader_index=0)


class BrokenError(AssertionError):
    """A promise of the election does not hold."""


class Token(NamedTuple):
    """What work was begun under: what its fenced writes carry."""

    session: str
    term: int
    term_index: int


@dataclass(slots=True)
class Store:
    """The two keys and the sessions, as Consul's servers keep them; times in seconds of the true
    clock, which reads `now`."""

    lock_delay: float
    now: float = 0.0
    index: int = 100
    view: ev.KeyView = EMPTY
    before: ev.KeyView = EMPTY
    """What the leader key was before its last change: what a server that lags behind shows."""
    sessions: set[str] = field(default_factory=set)
    free_from: float = float("-inf")
    """Until then nobody gets the lock, for the lock-delay."""
    highest_term: int = 0
    """The highest term under which work was begun."""
    newest_write: int = 0
    """The highest term of which a fenced write was accepted."""
    tokens: tuple[Token, ...] = ()
    """Every token whose writes may still be accepted."""

    def copy(self) -> Store:
        """Another one, in the same state."""
        return Store(
            self.lock_delay,
            self.now,
            self.index,
            self.view,
            self.before,
            set(self.sessions),
            self.free_from,
            self.highest_term,
            self.newest_write,
            self.tokens,
        )

    def write(self, **changes: Any) -> None:
        self.index += 1
        self.before = self.view
        self.view = replace(self.view, leader_index=self.index, **changes)

    # -- the promises that are kept here ---------------------------------------------------

    def begin(self, token: Token) -> None:
        """Work begins under that token, for the first time."""
        if token.term <= self.highest_term:
            raise BrokenError(f"term {token.term} after {self.highest_term}")
        self.highest_term = token.term
        self.tokens = (*self.tokens, token)
        self.receive()

    def receive(self) -> None:
        """Accept every fenced write that would be accepted now."""
        holder = self.view.session
        for token in self.tokens:
            if token.session != holder or token.term_index != self.view.term_index:
                continue
            if token.term < self.newest_write:
                raise BrokenError(f"a write of term {token.term} after {self.newest_write}")
            self.newest_write = token.term

    # -- what candidates ask for -----------------------------------------------------------

    def acquire(self, asked: cmd.Acquire, node: str, fenced: float) -> ev.KeyView | TakeoverOutcome:
        if self.view.session is not None:
            return TakeoverOutcome.HELD
        if self.now < self.free_from:
            return TakeoverOutcome.LOCK_DELAY
        if asked.session not in self.sessions:
            return TakeoverOutcome.NO_SESSION
        if asked.leader_index not in (self.view.leader_index, ANY_INDEX):
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
        if self.view.session != asked.session:
            return
        if self.view.term not in (None, asked.term):
            raise BrokenError(f"the record of term {asked.term} lands in term {self.view.term}")
        self.write(**_record(node, asked.term, asked.successors, fenced))

    def release(self, asked: cmd.Release) -> None:
        if self.view.term_index == asked.term_index and self.view.session == asked.session:
            self.write(session=None, record_vacant=True, record_why=asked.why.value)

    def create(self, asked: cmd.CreateLeaderKey) -> None:
        if self.view.missing:
            self.write(readable=True, record_vacant=True, record_term=0, record_why=asked.why.value)

    # -- what befalls it -------------------------------------------------------------------

    def invalidate(self, session: str) -> None:
        """The session ends; where it held the lock, the lock-delay begins."""
        self.sessions.discard(session)
        self.tokens = tuple(each for each in self.tokens if each.session != session)
        if self.view.session == session:
            self.free_from = self.now + self.lock_delay
            self.write(session=None)

    def delete(self, leader: bool, term: bool) -> None:
        self.index += 1
        kept = self.view
        if leader:
            self.before = kept
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

    def forget(self) -> None:
        """A Consul server that takes over does not know of the lock-delay."""
        self.free_from = self.now


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
