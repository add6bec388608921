"""What the history of an election is made of: who led when, how it ended, who asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from coord.consul import Denied
from coord.election.reasons import Cause, LostReason
from coord.members import Seen

FORCED = "force_released"
"""How a tenure ended that an operator ended by `coord force-release`."""


class Until(StrEnum):
    """How it is known until when a tenure lasted."""

    GOES_ON = "goes_on"
    """It leads now: the leader key says so."""
    TOLD = "told"
    """It told itself, by its own clock."""
    SEEN = "seen"
    """Others saw the vacancy, by their clocks; when exactly it stopped only it could tell."""
    UNKNOWN = "unknown"


class Note(StrEnum):
    """What is odd about a tenure, or not known of it."""

    NOT_IN_JOURNAL = "not_in_journal"
    """The leader key says that it leads; the journal has nothing of it."""
    BEGIN_NOT_TOLD = "begin_not_told"
    """The journal does not have its beginning."""
    END_NOT_TOLD = "end_not_told"
    """It leads no longer, and nothing says since when."""
    TERM_REPEATED = "term_repeated"
    """The same term was led before: Consul was restored, or somebody wrote the term key."""
    NOTICED_LATE = "noticed_late"
    """It told only after the next leader had begun that it leads no longer: it was frozen or cut
    off, or the two clocks differ. Its work was bound to its lease all the same."""
    CLOCKS_DIFFER = "clocks_differ"
    """It told of a clean end later than the next leader told of its beginning: the clocks of the
    two nodes differ by at least that."""


class PauseEnd(StrEnum):
    """How a pause of the election ended."""

    STANDS = "stands"
    """It goes on."""
    RESUMED = "resumed"
    """An operator ended it."""
    REPLACED = "replaced"
    """Another pause took its place."""
    RAN_OUT = "ran_out"
    """The time for which it was asked passed."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """The election was paused: whoever led went on leading, and nobody followed.

    actor, reason: who asked for it, and what for.
    from_ms, until_ms: wall-clock milliseconds since 1970, by the operators' clocks; of one that
        stands, `until_ms` is when it is to end. None where nothing says.
    ended_by, ended_why: who ended it before its time, or put another in its place.
    """

    actor: str
    reason: str
    request_id: str
    from_ms: int
    until_ms: int | None
    end: PauseEnd
    ended_by: str = ""
    ended_why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vacant:
    """Nobody leads now: since when, as far as that is told, and the pauses since then."""

    since_ms: int | None
    paused: tuple[Pause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """A stop of a leader's work.

    since_ms: when it began, by the leader's clock; None where nothing says. Likewise
    lasted_ms: how long it went on until the work was resumed, or the leader told that it leads no
        longer; None, too, where it goes on, or the leader told nothing more.
    """

    since_ms: int | None
    lasted_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """How long nobody worked before a leader did, in milliseconds, and of what that is made.

    A phase that is not told is None; of a gap that only an audit entry tells, all are.

    at_least: it was longer: nobody was there to see since when the former leader had vanished, or
        that took a time which nothing tells.
    """

    total_ms: int | None
    detect_ms: int | None = None
    quarantine_ms: int | None = None
    acquire_ms: int | None = None
    start_ms: int | None = None
    at_least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Somebody, or something, asked a leader to go.

    operation: what an operator did; "" where only the leader tells.
    why: the leader's word for it (`StepDownReason`); "" where only the audit tells.
    actor, reason: who and what for; "" where it was no person.
    outcome: what became of it, as the audit has it; "" where that says nothing of it.
    obeyed: the leader itself told that it was asked.
    """

    operation: str = ""
    why: str = ""
    actor: str = ""
    reason: str = ""
    request_id: str = ""
    at_ms: int | None = None
    outcome: str = ""
    obeyed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenure:
    """One node's leadership under one term.

    from_ms, until_ms: wall-clock milliseconds since 1970, by the clock of the node itself, or (as
        `until` says) of others; None where nothing says.
    cause: how the vacancy after it came about; None while there is none, or it is not known.
        `cause_told` has the word as it stands, also one of a newer version.
    reason, reason_told: likewise, why it leads no longer as it told itself.
    ended: in a word, how it ended: `FORCED` where the audit says that an operator forced it, else
        as `cause_told`.
    asked: who asked it to go, in that order.
    suspensions: how often its work was stopped meanwhile; suspended_ms: how long in all those
        lasted that ended in resuming it.
    stops: each of them, the earliest first.
    unresumed: the last of them, if it did not: it ended with the leadership, or goes on.
    restarts: how often a child of its work was restarted.
    gap: how long nobody worked before it; None where nothing says.
    paused: the pauses of the election in that gap.
    previous: who led before, as it told; "" where it did not.
    missing_before: how many terms between it and the one before are not told of: nobody held
        them, or their entries are gone.
    """

    term: int
    node: str
    from_ms: int | None = None
    until_ms: int | None = None
    until: Until = Until.UNKNOWN
    cause: Cause | None = None
    cause_told: str = ""
    reason: LostReason | None = None
    reason_told: str = ""
    ended: str = ""
    asked: tuple[Asked, ...] = ()
    suspensions: int = 0
    suspended_ms: int = 0
    stops: tuple[Suspension, ...] = ()
    unresumed: Suspension | None = None
    restarts: int = 0
    gap: Gap | None = None
    paused: tuple[Pause, ...] = ()
    previous: str = ""
    missing_before: int = 0
    notes: tuple[Note, ...] = ()

    def lasted_ms(self, now_ms: int) -> int | None:
        """How long it lasted, or lasts by now, in milliseconds; None where that is not known."""
        end = now_ms if self.until is Until.GOES_ON else self.until_ms
        if end is None or self.from_ms is None or end < self.from_ms:
            return None
        return end - self.from_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Who led when, the latest first, and how far that can be relied on.

    at_ms: when it was read, by the reader's wall clock.
    stale: Consul has no leader; what is shown may be of any age.
    journal, audit: whether what was read is what there is.
    denied: what is wrong with the token, where it may not read the journal or the leader key.
    vacant: nobody leads now; None where somebody does, nobody ever did, or it is not known.
    oldest_ms: of when the oldest entry of the journal is; older ones are not known of.
    pruned: the journal holds as many entries as are kept: older ones are gone.
    omitted: how many tenures before those shown are left out.
    unreadable, audit_unreadable: how many entries cannot be read.
    unwritten: how many entries each node says that it could not write, by node.
    """

    election: str
    at_ms: int
    stale: bool = False
    journal: Seen
    audit: Seen
    denied: Denied | None = None
    vacant: Vacant | None = None
    tenures: tuple[Tenure, ...] = ()
    oldest_ms: int | None = None
    pruned: bool = False
    omitted: int = 0
    unreadable: int = 0
    audit_unreadable: int = 0
    unwritten: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
