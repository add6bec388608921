"""Judges a history: the promises, from what happened alone.

It knows nothing of how the node works: not its states, not its clocks, not its settings. It reads
what a process was seen to do, what landed in Consul and at the receiver, and what was told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.history import Entry, What

LISTED_LIMIT_S = 10.0
"""How long discovery may name a former leader too: a late heartbeat may bring back its entry, until
its TTL or gossip takes that away. It does not work meanwhile, and says so to whoever asks it."""


STAYS_BACK_S = 0.9
"""So long at least a node that stepped down leaves the lock to others, even if it is alone."""

RESTORE_LIMIT_S = 6.0
"""How long a leader may go on after Consul went back to a state before it: none of the settings
lets one go on for longer without confirming."""


RESTORE_NOTICED_S = 12.0
"""After that long every node has looked at a Consul that was restored, and told what it found."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken: which, when (true time in seconds), and what was seen."""

    at: float
    rule: str
    detail: str

    def __str__(self) -> str:
        return f"{self.at:.6f} {self.rule}: {self.detail}"


@dataclass(slots=True)
class _Process:
    """What is known of one process."""

    node: str
    excused: bool = False
    """It was harmed, so that it may have to end itself."""
    working: int | None = None
    """The term it works in, as far as it may: none while it stands still."""
    paused: int | None = None
    """The term it worked in when it was frozen, until it is seen to act again, or to end."""
    leads: int | None = None
    """The term that it said it leads."""
    suspended: bool = False
    told_changes: set[tuple[Any, ...]] = field(default_factory=set)
    stepped_down_at: float = float("-inf")
    waits_since: float = float("inf")
    """When it told that it saw the vacancy that it waits for."""
    knew: set[tuple[Any, ...]] = field(default_factory=set)
    """Which leaders it had told of when Consul was restored last."""


class Checker:
    """Takes in the entries in order; `violations` are what it found."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.elections = 0
        """Terms that were begun."""
        self._tolerated: set[tuple[float, frozenset[tuple[str, int]]]] = set()
        """After which restore, and who in which term."""
        self._at = 0.0
        self._restored_at = float("-inf")
        self._newest_waited_since = float("inf")
        """When whoever begun the newest term saw the vacancy that it took."""
        self._last_taken = ("", 0)
        self._attempts: dict[tuple[str, int], int] = {}
        """In which term each attempt at a poll was made."""
        self._results: dict[str, int] = {}
        """The run that each schedule has its last result of: when it was due."""
        self._requests: dict[str, tuple[int, str]] = {}
        """What operators asked of the leader of which term, by the id of the request."""
        self._processes: dict[str, _Process] = {}
        self._highest_begun = 0
        self._begun_by: dict[int, str] = {}
        self._forgotten: set[tuple[str, int]] = set()
        """Whose messages of which term may still be under way, of before a restore."""
        self._from_before: set[tuple[str, int]] = set()
        """Who leads in a term that Consul forgot when it was restored, until he notices."""
        self._received: dict[int, str] = {}
        self._highest_received = 0
        self.stale_refused = 0
        """Messages of an old term that reached the receiver after one of a newer."""
        self._highest_written: dict[str, int] = {}
        self._term_of_session: dict[str, int] = {}
        self._handlers: dict[What, Callable[[Entry], None]] = {
            What.STARTED: self._started,
            What.EXITED: self._exited,
            What.FROZEN: self._frozen,
            What.HUNG: self._hung,
            What.BEGUN: self._begun,
            What.ENDED: self._ended,
            What.ACTED: self._acted,
            What.RECEIVED: self._heard,
            What.WROTE: self._wrote,
            What.ACQUIRED: self._acquired,
            What.RELEASED: self._released,
            What.RESTORED: self._restored,
            What.TOLD: self._told,
            What.FAILED: self._failed,
            What.LISTED: self._listed,
            What.JOB: self._job,
            What.ORDERED: self._ordered,
        }

    def take(self, entries: Iterable[Entry]) -> list[Violation]:
        """Judge them; returns all violations so far."""
        for entry in entries:
            self._at = entry.at
            handler = self._handlers.get(entry.what)
            if handler is not None:
                handler(entry)
        return self.violations

    @property
    def working(self) -> list[str]:
        """The nodes that work now."""
        return [each.node for each in self._processes.values() if each.working is not None]

    @property
    def tolerated(self) -> int:
        """How often two worked at once for a moment after a restore: pairs, each counted once."""
        return len(self._tolerated)

    def _broken(self, rule: str, detail: str) -> None:
        self.violations.append(Violation(self._at, rule, detail))

    # -- processes -------------------------------------------------------------------------

    def _started(self, entry: Entry) -> None:
        _, excused = entry.details
        self._processes[entry.who] = _Process(entry.who, excused)

    def _exited(self, entry: Entry) -> None:
        (status,) = entry.details
        process = self._processes.pop(entry.who)
        self._from_before = {each for each in self._from_before if each[0] != entry.who}
        if status == 0 and process.leads is not None:
            self._broken("not told", f"{entry.who} ended and never told that it lost {process}")
        if status > 0 and not process.excused:
            self._broken("ended itself", f"{entry.who} with status {status}, unharmed")

    def _frozen(self, entry: Entry) -> None:
        process = self._processes[entry.who]
        process.excused = True
        process.paused, process.working = process.working or process.paused, None

    def _hung(self, entry: Entry) -> None:
        """A blocked event loop is blocked by something that it does: its work may well go on."""
        self._processes[entry.who].excused = True

    # -- work ------------------------------------------------------------------------------

    def _alone(self, who: str, term: int) -> None:
        """Nobody but `who` works now.

        For a moment after a restore two may, of whom one never knew of the other, as Consul does
        not any more: the record is gone, and whoever it was of has yet to notice.
        """
        knew = self._processes[who].knew
        just_restored = self._just_restored
        for other in self._processes.values():
            if other.node == who or other.working is None:
                continue
            strangers = (other.working, other.node) not in knew or (term, who) not in other.knew
            if just_restored and strangers:
                pair = frozenset(((who, term), (other.node, other.working)))
                self._tolerated.add((self._restored_at, pair))
                continue
            self._broken(
                "two at work", f"{who} in term {term}, {other.node} in term {other.working}"
            )

    @property
    def _just_restored(self) -> bool:
        return self._at - self._restored_at <= RESTORE_LIMIT_S

    def _begun(self, entry: Entry) -> None:
        (term,) = entry.details
        process = self._processes[entry.who]
        self._alone(entry.who, term)
        if process.leads != term:
            self._broken("not told", f"{entry.who} works in {term}, and told that it leads none")
        if self._at - process.stepped_down_at < STAYS_BACK_S:
            self._broken("led again at once", f"{entry.who} in {term}, having stepped down")
        if (entry.who, term) not in self._from_before:
            first = self._begun_by.setdefault(term, entry.who)
            if first != entry.who:
                self._broken("term used twice", f"term {term} by {first} and {entry.who}")
            if term < self._highest_begun:
                detail = f"{entry.who} begins {term} after {self._highest_begun}"
                self._broken("term went back", detail)
            if term > self._highest_begun:
                self.elections += 1
                self._newest_waited_since = process.waits_since
            self._highest_begun = max(self._highest_begun, term)
        process.working, process.paused = term, None

    def _ended(self, entry: Entry) -> None:
        process = self._processes[entry.who]
        process.working = process.paused = None

    def _acted(self, entry: Entry) -> None:
        (term,) = entry.details
        process = self._processes[entry.who]
        # Consul forgot it, and whoever leads since has waited for this vacancy from before that on:
        # it saw neither. One that saw the vacancy only afterwards has to wait until this has ended.
        forgotten = self._just_restored and (entry.who, term) in self._from_before
        excused = forgotten and self._newest_waited_since < self._restored_at
        if term < self._highest_begun and not excused:
            self._broken(
                "acted in an old term", f"{entry.who} in {term}, {self._highest_begun} has begun"
            )
        self._alone(entry.who, term)
        if process.paused is not None:
            process.working, process.paused = process.paused, None

    def _heard(self, entry: Entry) -> None:
        term, taken = entry.details
        if (entry.who, term) in self._forgotten:
            return
        first = self._received.setdefault(term, entry.who) if taken else entry.who
        if first != entry.who:
            self._broken("term used twice", f"term {term} heard from {first} and {entry.who}")
        if term < self._highest_received:
            self.stale_refused += 1
            if taken:
                self._broken("stale write taken", f"{term} after {self._highest_received}")
        self._highest_received = max(self._highest_received, term)

    # -- Consul ----------------------------------------------------------------------------

    def _wrote(self, entry: Entry) -> None:
        term, key = entry.details
        highest = self._highest_written.get(key, 0)
        if term < highest:
            self._broken("stale write landed", f"{key}: term {term} after {highest}")
        self._highest_written[key] = max(highest, term)

    def _acquired(self, entry: Entry) -> None:
        term, session = entry.details
        self._last_taken = (entry.who, term)
        other = self._term_of_session.setdefault(session, term)
        if other != term:
            self._broken("session led twice", f"{session} took term {term} after {other}")
        # Only a restore lets somebody take the same term once more: that is news.
        for process in self._processes.values():
            process.told_changes.discard((term, entry.who))

    def _released(self, entry: Entry) -> None:
        term, _, said = entry.details
        process = self._processes.get(entry.who)
        if said is not None and term != said:
            self._broken("released another's term", f"{entry.who} {term}, the term is {said}")
        if process is not None and (process.working or process.paused) is not None:
            self._broken("released at work", f"{entry.who} in term {process.working}")

    def _restored(self, entry: Entry) -> None:
        """What Consul knew of terms is gone, and a process that starts now has nobody to ask:
        terms may be used again. That two must never work at once stays."""
        self._highest_written.clear()
        self._term_of_session.clear()
        self._forgotten |= {(who, term) for term, who in self._begun_by.items()}
        self._begun_by.clear()
        self._received.clear()
        self._highest_begun = self._highest_received = 0
        self._restored_at = self._at
        self._attempts.clear()
        self._results.clear()
        # Its work may have yet to begin: the answer is under way.
        self._from_before.add(self._last_taken)
        for process in self._processes.values():
            process.knew, process.told_changes = process.told_changes, set()
            if process.leads is not None:
                self._from_before.add((process.node, process.leads))
        self._forgotten |= self._from_before

    def _listed(self, entry: Entry) -> None:
        seconds, leaderless_s = entry.details
        if seconds - leaderless_s > LISTED_LIMIT_S:
            missing = f", {leaderless_s:.1f} s of them without a leader of Consul"
            self._broken("two listed", f"for {seconds:.1f} s{missing}")

    def _job(self, entry: Entry) -> None:
        state, job, *rest = entry.details
        match state:
            case "lost":
                self._broken("job lost", f"{job} was taken off without a result")
            case "asked":
                attempt, term = rest
                first = self._attempts.setdefault((job, attempt), term)
                if first != term:
                    self._broken(
                        "polled twice", f"attempt {attempt} of {job} in {first} and {term}"
                    )
            case "result":
                (due_ms,) = rest
                last = self._results.get(job, 0)
                if due_ms < last:
                    self._broken("result went back", f"{job}: that of {due_ms} after {last}")
                self._results[job] = due_ms
            case "forgotten":
                self._attempts.clear()
                self._results.clear()

    # -- what was told ---------------------------------------------------------------------

    def _told(self, entry: Entry) -> None:
        name, term, *rest = entry.details
        process = self._processes[entry.who]
        match name:
            case "election_started":
                process.waits_since = self._at
            case "became_leader":
                if process.leads is not None:
                    self._broken("told twice", f"{entry.who} became leader of {term} again")
                process.leads, process.suspended = term, False
            case "lost_leadership":
                if process.leads != term:
                    self._broken("told twice", f"{entry.who} lost {term}, led {process.leads}")
                process.leads = None
                self._from_before.discard((entry.who, term))
                if rest[0] == "crashed":
                    self._broken("failed", f"{entry.who}'s candidate crashed in term {term}")
                if rest[0] == "stepped_down":
                    process.stepped_down_at = self._at
            case "suspended" | "resumed":
                suspends = name == "suspended"
                if process.leads != term or process.suspended is suspends:
                    self._broken("told twice", f"{entry.who} {name} in {term}")
                process.suspended = suspends
            case "step_down_requested":
                self._told_request(entry.who, term, *rest)
            case "leader_changed":
                self._told_change(process, term, rest[0])

    def _ordered(self, entry: Entry) -> None:
        request, term, what = entry.details
        self._requests[request] = (term, what)

    def _told_request(
        self, who: str, term: int, reason: str, actor: str | None, request: str | None, _: str
    ) -> None:
        if request is None:
            return
        asked = {"requested": "step_down", "transfer": "transfer"}.get(reason)
        if self._requests.get(request) != (term, asked):
            self._broken(
                "obeyed another's request",
                f"{who} in {term}: {reason}, asked was {self._requests.get(request)}",
            )

    def _told_change(self, process: _Process, term: int, new_leader: str) -> None:
        # One whose record names nobody is told of as such; several may follow on one another. And
        # who is told of just before a restore is noticed is told of again as what it led to.
        noticed = self._at - self._restored_at > RESTORE_NOTICED_S
        if new_leader and noticed and (term, new_leader) in process.told_changes:
            self._broken("told twice", f"{process.node}: {new_leader} leads {term}")
        process.told_changes.add((term, new_leader))

    # -- the rest --------------------------------------------------------------------------

    def _failed(self, entry: Entry) -> None:
        self._broken("failed", f"{entry.who}: {' '.join(map(str, entry.details))}")
