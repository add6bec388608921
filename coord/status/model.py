"""What a snapshot of an election is made of, and how the two keys are understood. Pure.

Texts are as they stand in Consul, only shortened: whoever prints them uses `coord.status.text`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from coord.consul import ConsulError, Denied, KVEntry
from coord.controls import Controls
from coord.members import LeaderInstance, Listing, Member, Seen, cut
from coord.records import MAX_DELAY_MS, LeaderRecord, LeaderState, RecordError, decode_term
from coord.records.health import ClusterHealthRecord


class Condition(StrEnum):
    """What a key is like."""

    HELD = "held"
    VACANT = "vacant"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    NOT_PERMITTED = "not_permitted"


class TermCondition(StrEnum):
    """What the term key is like."""

    KNOWN = "known"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    NOT_PERMITTED = "not_permitted"


class Oddity(StrEnum):
    """What is wrong with the leader key or the term key: none of these is left by `coord`."""

    EDITED = "edited"
    """A plain write was made to the leader key: its LockIndex is gone."""
    RECORD_UNREADABLE = "record_unreadable"
    RECORD_SAYS_VACANT = "record_says_vacant"
    """A session holds the key, but the record says that nobody leads."""
    TERM_MISSING = "term_missing"
    TERM_UNREADABLE = "term_unreadable"
    TERM_MISMATCH = "term_mismatch"
    """The record and the term key name different terms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderStatus:
    """What the leader key says.

    condition: what the key is like.
    locked: a session is on the key. Then somebody leads, also if the record cannot be read.
    node, node_type, address, term: of the leader; of the last one if the key is vacant.
    since: since when it leads; of a vacancy that was written into the record, since when that is.
    session: the id of the session on the key, "" if there is none.
    why, by: of a vacancy, where it was said.
    vanished: the key is vacant, but the record still says held: its leader left without a word.
    handed_over: the vacancy was left by a leader that had stopped: nobody needs to wait.
    successors: who is to follow first, in this order.
    fenced_within_ms: how long after its last confirmation the leader has stopped, in milliseconds;
        None where the record does not say.
    lock_index: how often the key was locked, as Consul counts; 0 after a plain write.
    modify_index: Consul's index of the key's last change; 0 if there is no key.
    oddities: what is wrong with this key and the term key.
    detail: what is wrong with a record that cannot be read.
    """

    condition: Condition
    locked: bool = False
    node: str = ""
    node_type: str = ""
    address: str = ""
    term: int | None = None
    since: datetime | None = None
    session: str = ""
    why: str = ""
    by: str = ""
    handed_over: bool = False
    vanished: bool = False
    successors: tuple[str, ...] = ()
    fenced_within_ms: int | None = None
    lock_index: int = 0
    modify_index: int = 0
    oddities: tuple[Oddity, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermStatus:
    """What the term key says.

    condition: what the key is like.
    value: the latest term; None where there is none that can be read.
    fenced_within_ms: how long after its last confirmation the leader of that term has stopped, in
        milliseconds, from the key's flags; None if they do not say.
    modify_index: Consul's index of the key's last change; 0 if there is no key.
    """

    condition: TermCondition
    value: int | None = None
    fenced_within_ms: int | None = None
    modify_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsulStatus:
    """Consul itself.

    leader: the address of the server that leads, "" when none does.
    version, agent, datacenter: of the agent that was asked; None where the token may not ask.
    """

    leader: str
    version: str | None = None
    agent: str | None = None
    datacenter: str | None = None


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """What the leader last found of the cluster, and published.

    seen: how far that is known.
    record: what was published; None: there is none if that is known.
    detail: what is wrong with a record that cannot be read.
    """

    seen: Seen
    record: ClusterHealthRecord | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ControlStatus:
    """What operators ask; unless `seen` is KNOWN, more may be asked than is said here.

    seen: how far that is known.
    asked: what was seen of it.
    denied: what is wrong with the token, where it may not see it.
    """

    seen: Seen
    asked: Controls = field(default_factory=Controls)
    denied: Denied | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """One snapshot.

    election: its name.
    at_ms: when it was read, wall-clock milliseconds since 1970.
    age_ms: how old it was when handed out, in milliseconds; 0 as `read_status` gives it.
    stale: Consul has no leader; what is shown may be of any age.
    leader: what the leader key says.
    term: what the term key says.
    candidates: those that may lead.
    observers: those that may not.
    pollers: those that run polls.
    leader_service: whom discovery shows as the leader.
    consul: Consul itself.
    health: what the leader last found of the cluster.
    controls: what operators ask.
    denied: what is wrong with the token, where it may not see all of this; None if nothing was
        denied.
    """

    election: str
    at_ms: int
    age_ms: int = 0
    stale: bool = False
    leader: LeaderStatus
    term: TermStatus
    candidates: Listing[Member]
    observers: Listing[Member]
    pollers: Listing[Member]
    leader_service: Listing[LeaderInstance]
    consul: ConsulStatus
    health: HealthStatus
    controls: ControlStatus = field(default_factory=lambda: ControlStatus(Seen.UNKNOWN))
    denied: Denied | None = None

    @property
    def leader_node(self) -> str | None:
        """Who leads; None while nobody does, or it cannot be read."""
        return self.leader.node or None if self.leader.locked else None

    @property
    def health_is_current(self) -> bool:
        """Whether what was last found of the cluster was found by who leads now, in its term."""
        record, leader = self.health.record, self.leader
        if record is None or not leader.locked:
            return False
        return record.leader in ("", leader.node) and record.term in (0, leader.term)

    @property
    def members(self) -> tuple[Member, ...]:
        """Candidates, observers and pollers."""
        return (*self.candidates.items, *self.observers.items, *self.pollers.items)

    @property
    def now_ms(self) -> int:
        """Now, by the wall clock of who read it, in milliseconds since 1970."""
        return self.at_ms + self.age_ms

    def same_as(self, other: ClusterStatus | None) -> bool:
        """Whether both say the same, whenever they were read."""
        return other is not None and replace(other, at_ms=self.at_ms, age_ms=self.age_ms) == self


@dataclass(frozen=True, slots=True)
class Unavailable:
    """In place of a snapshot: Consul could not be read; `watch_status` goes on trying."""

    error: ConsulError


@dataclass(frozen=True, slots=True)
class KeyRead:
    """One key as it was read; entry None: there is none, or (not permitted) none to be seen.

    denied: what is wrong with the token, where it may not be read.
    """

    permitted: bool
    entry: KVEntry | None = None
    denied: Denied | None = None


def term_status(key: KeyRead) -> TermStatus:
    """What the term key says."""
    if not key.permitted:
        return TermStatus(condition=TermCondition.NOT_PERMITTED)
    entry = key.entry
    if entry is None:
        return TermStatus(condition=TermCondition.MISSING)
    flags = entry.flags if 0 < entry.flags <= MAX_DELAY_MS else None
    try:
        value = decode_term(entry.value)
    except RecordError:
        return TermStatus(
            condition=TermCondition.UNREADABLE,
            fenced_within_ms=flags,
            modify_index=entry.modify_index,
        )
    return TermStatus(
        condition=TermCondition.KNOWN,
        value=value,
        fenced_within_ms=flags,
        modify_index=entry.modify_index,
    )


def leader_status(key: KeyRead, term: TermStatus) -> LeaderStatus:
    """What the leader key says, in the light of the term key.

    The lock decides whether it is held, not the record: a record that cannot be read on a key
    with a session is held, and one that says "held" on a key without is a leader that vanished.
    """
    if not key.permitted:
        return LeaderStatus(condition=Condition.NOT_PERMITTED)
    entry = key.entry
    if entry is None:
        return LeaderStatus(condition=Condition.MISSING)
    locked = entry.session is not None
    known = LeaderStatus(
        condition=Condition.HELD if locked else Condition.VACANT,
        locked=locked,
        session=cut(entry.session or ""),
        lock_index=entry.lock_index,
        modify_index=entry.modify_index,
    )
    try:
        record = LeaderRecord.decode(entry.value)
    except RecordError as error:
        return replace(
            known,
            condition=Condition.UNREADABLE,
            detail=cut(str(error)),
            oddities=(Oddity.RECORD_UNREADABLE, *_oddities(entry, None, term)),
        )
    says_vacant = record.state is LeaderState.VACANT
    return replace(
        known,
        node=record.node,
        node_type=record.node_type,
        address=record.address,
        term=record.term or None,
        since=record.since,
        why=record.why if says_vacant and not locked else "",
        by=record.by if says_vacant and not locked else "",
        handed_over=not locked
        and says_vacant
        and entry.lock_index > 0
        and record.term == term.value,
        vanished=not locked and not says_vacant,
        successors=record.successors,
        fenced_within_ms=record.fenced_within_ms,
        oddities=_oddities(entry, record, term),
    )


def _oddities(entry: KVEntry, record: LeaderRecord | None, term: TermStatus) -> tuple[Oddity, ...]:
    locked = entry.session is not None
    # Consul counts acquisitions there, and any plain write sets it back; a key that was only
    # ever created has none either.
    fresh = entry.lock_index == 0 and entry.create_index == entry.modify_index and not locked
    term_expected = locked or (record is not None and record.term > 0)
    found = {
        Oddity.EDITED: entry.lock_index == 0 and not fresh,
        Oddity.RECORD_SAYS_VACANT: locked
        and record is not None
        and record.state is LeaderState.VACANT,
        Oddity.TERM_MISSING: term_expected and term.condition is TermCondition.MISSING,
        Oddity.TERM_UNREADABLE: term.condition is TermCondition.UNREADABLE,
        Oddity.TERM_MISMATCH: record is not None
        and term.value is not None
        and record.term != term.value,
    }
    return tuple(oddity for oddity, is_so in found.items() if is_so)
