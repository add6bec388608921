"""Why: the reasons that the election gives, as enums whose values are what is written and shown.

Pure, and shared by the election, the telemetry, the records in Consul and whatever shows them.
A value, once released, stays: it is in logs, in metric labels and in the journal. Read one that
another node wrote with `parse`, which never fails: that node may be newer than we are.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class _Reason(StrEnum):
    """A StrEnum that can be read from what another node wrote."""

    @classmethod
    def parse(cls, text: object) -> Self | None:
        """The member with that value, or None: nothing said, or something this version
        does not know."""
        return next((member for member in cls if member.value == text), None)


class Cause(_Reason):
    """Why the leader changed: how the vacancy came about that the new leader took."""

    HANDED_OVER = "handed_over"
    """Released after the work had stopped, at a clean end; no wait was needed."""
    STEPPED_DOWN = "stepped_down"
    """Released after the work had stopped, on request (`StepDownReason`)."""
    TRANSFERRED = "transferred"
    """Stepped down in favour of a named successor."""
    FAILED = "failed"
    """Stepped down because its own work failed, or made no progress."""
    DIED = "died"
    """The leader's process is proven dead; its last will wrote the vacancy."""
    SESSION_INVALIDATED = "session_invalidated"
    """Its session went: a check failed, its host was lost, its TTL ran out, or it was destroyed."""
    SUSPENDED_TOO_LONG = "suspended_too_long"
    """It could not confirm its lease for longer than the suspend limit and gave up its session."""
    RELEASED_BY_HAND = "released_by_hand"
    """An operator forced the release, or edited the key."""
    DELETED = "deleted"
    """The leader key was deleted."""
    UNREADABLE = "unreadable"
    """The record at the leader key could not be read."""
    RESTORED = "restored"
    """Consul's state was put back from a snapshot: its index went backwards."""
    FIRST_START = "first_start"
    """No term was ever held, as far as anything in Consul says."""
    UNKNOWN = "unknown"
    """Nothing is said about it."""


class LostReason(_Reason):
    """Why a leader is a leader no longer, as it knows itself."""

    ANOTHER_HOLDER = "another_holder"
    """Another session holds the leader key."""
    VACANT = "vacant"
    """The leader key is not locked."""
    KEY_DELETED = "key_deleted"
    """The leader key is gone."""
    RECORD_UNREADABLE = "record_unreadable"
    """Our session is on the key but the record is not one of ours any more."""
    SESSION_GONE = "session_gone"
    """Our session does not exist any more."""
    TERM_CHANGED = "term_changed"
    """The term key is gone or says another term than ours."""
    RESTORED = "restored"
    """Consul's index went backwards."""
    SUSPENDED_TOO_LONG = "suspended_too_long"
    """The lease was not confirmed for longer than the suspend limit."""
    SHUTDOWN = "shutdown"
    """The node is stopping."""
    STEPPED_DOWN = "stepped_down"
    """It was asked to (`StepDownReason`)."""
    WORK_FAILED = "work_failed"
    """The supervisor gave up: a child crashed more often than its limit."""
    NO_PROGRESS = "no_progress"
    """Work, or the event loop, made no progress in its time."""
    CHECK_LOST = "check_lost"
    """The agent does not know our check any more (restarted without its data)."""
    CRASHED = "crashed"
    """The candidate itself crashed."""


class StepDownReason(_Reason):
    """Why a leader was asked to step down."""

    REQUESTED = "requested"
    """An operator asked, or a program that uses the library."""
    TRANSFER = "transfer"
    """An operator asked, and named who is to follow."""
    FORCED = "forced"
    """An operator forced the release."""
    DRAINED = "drained"
    """An operator has drained its node, and another candidate is there."""
    SHUTDOWN = "shutdown"
    """Its node is stopping."""


class SuspendReason(_Reason):
    """Why a leader stopped its work while it may still hold the lock."""

    LEASE_EXPIRED = "lease_expired"
    """No confirmation in a lease, no more being said."""
    CONSUL_UNREACHABLE = "consul_unreachable"
    """Consul's agent, or a server behind it, did not answer."""
    NO_CONSUL_LEADER = "no_consul_leader"
    """Consul's servers have no leader among them."""
    NOT_PERMITTED = "not_permitted"
    """The token may not read the leader key any more."""


class TakeoverOutcome(_Reason):
    """What came of one attempt to take the lock."""

    WON = "won"
    """It leads."""
    HELD = "held"
    """Somebody else holds it."""
    LOCK_DELAY = "lock_delay"
    """Consul keeps it back for the lock-delay."""
    NO_SESSION = "no_session"
    """Our session is gone or was never valid."""
    VACANCY_CHANGED = "vacancy_changed"
    """The vacancy is not the one that was waited for: the wait starts anew."""
    TERM_MOVED = "term_moved"
    """The term key was written meanwhile."""
    REFUSED = "refused"
    """Consul said no in another way."""
    NOT_PERMITTED = "not_permitted"
    """The token may not take it."""
    UNAVAILABLE = "unavailable"
    """Consul was not reached, the attempt certainly did not happen."""
    UNKNOWN = "unknown"
    """No answer; it may have happened. Settled by a consistent read."""
    ADOPTED = "adopted"
    """An attempt of unknown outcome turned out to have won."""
    ABANDONED = "abandoned"
    """Won, but not wanted any more (stopping, paused, drained): given back at once."""


class WhyNot(_Reason):
    """Why a candidate is not the leader, shown everywhere the same."""

    NOT_ELIGIBLE = "not_eligible"
    """By its type or its settings it may not lead."""
    DRAINED = "drained"
    """An operator has drained it: it leads only if nobody else does."""
    PAUSED = "paused"
    """An operator has paused the election: nobody campaigns."""
    CHECK_CRITICAL = "check_critical"
    """One of its checks fails: its process hangs or is gone, or its host is lost."""
    NO_SESSION = "no_session"
    """It has no session in Consul yet, or has lost it."""
    CONSUL_UNREACHABLE = "consul_unreachable"
    """Its Consul agent does not answer, or reaches no server."""
    NO_CONSUL_LEADER = "no_consul_leader"
    """Consul's servers have no leader among them."""
    NOT_PERMITTED = "not_permitted"
    """Its token lacks a right."""
    LOCK_DELAY = "lock_delay"
    """The leader vanished: it waits until that one must have stopped."""
    WAITING_TURN = "waiting_turn"
    """Others are to try for the vacancy first."""
    HELD_BY_OTHER = "held_by_other"
    """Another leads."""
    COOLING_DOWN = "cooling_down"
    """It has led: it stays back a while, so that another may."""
