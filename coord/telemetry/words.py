"""The words of the log: what an event or a fault is called where a person reads it.

On a console an event is one sentence, made of what it says; as JSON it is its full name and its
fields. A fault is a sentence in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, Final

from coord.election.reasons import Cause
from coord.telemetry.events import (
    BecameLeader,
    ChildRestarted,
    ClusterHealthCheck,
    ElectionCheck,
    ElectionStarted,
    Event,
    LeaderChanged,
    LeaderDown,
    LostLeadership,
    NodeDown,
    NodeUp,
    PollFinished,
    Resumed,
    StateChanged,
    StepDownRequested,
    Suspended,
    TakeoverAttempted,
)
from coord.telemetry.lasting_fault import FaultNotice, FaultPhase

FAULTS: Final[Mapping[str, tuple[str, str]]] = {
    "consul": ("Consul is not available", "Consul is available again"),
    "keys_not_read": (
        "the election's keys cannot be read",
        "the election's keys can be read again",
    ),
    "leader_key_not_watched": (
        "the leader key cannot be watched",
        "the leader key can be watched again",
    ),
    "lock_not_written": ("the lock cannot be written", "the lock can be written again"),
    "no_session": ("no session can be created", "a session could be created again"),
    "session_not_renewed": ("the session cannot be renewed", "the session is renewed again"),
    "session_not_destroyed": (
        "a session that is left over cannot be destroyed",
        "the session that was left over is dealt with",
    ),
    "check_not_passed": (
        "this node's health check cannot be passed",
        "this node's health check passes again",
    ),
    "orders_not_followed": (
        "what operators ask cannot be followed",
        "what operators ask is followed again",
    ),
    "orders_unreadable": (
        "what stands under control/ cannot be read and is not obeyed",
        "all that stands under control/ can be read again",
    ),
    "candidates_not_followed": (
        "the list of candidates cannot be followed",
        "the list of candidates is followed again",
    ),
    "journal_not_pruned": ("the journal cannot be pruned", "the journal is pruned again"),
    "journal_not_written": ("the journal cannot be written", "the journal is written again"),
    "cluster_health": (
        "the cluster's health cannot be checked",
        "the cluster's health is checked again",
    ),
    "poller_not_registered": (
        "this poller cannot be registered in Consul",
        "this poller is registered in Consul again",
    ),
    "poller_not_deregistered": (
        "this poller cannot be deregistered from Consul",
        "this poller is deregistered from Consul",
    ),
    "pollers_not_followed": (
        "the list of pollers cannot be followed",
        "the list of pollers is followed again",
    ),
    "leader_not_announced": (
        "discovery cannot be told who leads",
        "discovery is told who leads again",
    ),
    "name_taken_twice": (
        "another node has this node's name",
        "no other node has this node's name any more",
    ),
    "term_not_followed": ("the term cannot be followed", "the term is followed again"),
    "term_unreadable": (
        "the term key says something unreadable",
        "the term key can be read again",
    ),
    "poll_schedules_not_followed": (
        "the poll schedules cannot be followed",
        "the poll schedules are followed again",
    ),
    "poll_asks_not_followed": (
        "the requests for a run of a poll cannot be followed",
        "the requests for a run of a poll are followed again",
    ),
    "polls_not_read": ("the polls cannot be read", "the polls can be read again"),
    "polls_not_written": ("the polls cannot be written", "the polls are written again"),
    "poll_write_refused": (
        "Consul refuses to write a poll",
        "Consul writes polls again",
    ),
}
"""Kind of fault -> what is said while it lasts, and what when it is over."""

_COMMON = frozenset(f.name for f in fields(Event)) - {"term"}


def of_fault(notice: FaultNotice) -> str:
    """The fault as a sentence, without its detail: ``Consul is not available, still, for 30 s``."""
    known = FAULTS.get(notice.kind)
    match notice.phase:
        case FaultPhase.BEGAN:
            return known[0] if known else f"{notice.kind}: a fault began"
        case FaultPhase.LASTING:
            words = f"{known[0]}, still" if known else f"{notice.kind}: the fault lasts"
            return f"{words}, for {notice.duration_s:.0f} s"
        case FaultPhase.OVER:
            words = known[1] if known else f"{notice.kind}: the fault is over"
            return f"{words}, after {notice.duration_s:.1f} s"


def of_event(event: Event) -> str:
    """The event as a sentence, with all in it that a person who watches needs."""
    match event:
        case LeaderChanged():
            return _leader_changed(event)
        case LeaderDown():
            former = event.former_leader or "the leader"
            return f"{former} leads no longer{_cause(event.cause)}{_term(event)}"
        case ElectionStarted():
            wait = f", waits {_span(event.wait_ms)}" if event.wait_ms else ""
            return f"election started: nobody leads{_cause(event.cause)}{wait}"
        case TakeoverAttempted():
            took = "" if event.took_ms is None else f" in {_span(event.took_ms)}"
            return f"takeover attempted: {event.outcome}{took}{_term(event)}"
        case BecameLeader():
            return f"became leader{_term(event)}"
        case LostLeadership():
            child = f" ({event.child})" if event.child else ""
            return f"lost leadership: {event.reason}{child}{_term(event)}"
        case StepDownRequested():
            return _step_down(event)
        case Suspended():
            return f"leadership suspended, work stops: {event.reason}{_term(event)}"
        case Resumed():
            return f"leadership resumed after {_span(event.suspended_ms)}{_term(event)}"
        case StateChanged():
            return f"state changed: {event.previous} -> {event.state}{_why(event.why_not)}"
        case ElectionCheck():
            return f"election checked: {event.state}, leader {_who(event.leader)}"
        case _:
            return _of_work(event)


def _of_work(event: Event) -> str:
    match event:
        case ChildRestarted():
            error = f" after {event.error}" if event.error else ""
            return f"{event.child} restarted{error}, restart {event.restarts} of this term"
        case PollFinished():
            took = "" if event.took_ms is None else f" in {_span(event.took_ms)}"
            poller = f" by {event.poller}" if event.poller else ""
            return f"poll {event.schedule} finished{poller}: {event.outcome}{took}"
        case ClusterHealthCheck():
            up = f"{event.nodes_up} nodes up, {event.nodes_down} down"
            reasons = f": {', '.join(event.reasons)}" if event.reasons else ""
            return f"cluster checked: {event.verdict}, {up}{reasons}"
        case NodeUp():
            return f"node {event.name} is up"
        case NodeDown():
            return f"node {event.name} is down"
        case _:
            return _of_unknown(event)


def _of_unknown(event: Event) -> str:
    """An event that a workload brought: its name, and whatever it says."""
    said = {f.name: getattr(event, f.name) for f in fields(event) if f.name not in _COMMON}
    shown = [f"{key}={_plain(value)}" for key, value in said.items() if value not in (None, "", ())]
    return " ".join([event.NAME.replace("_", " ") or type(event).__name__, *shown])


def _leader_changed(event: LeaderChanged) -> str:
    gap = "" if event.gap_ms is None else f", gap {_span(event.gap_ms)}"
    who = f"{event.new_leader}{_cause(event.cause)}{_term(event)}{gap}"
    if event.previous_leader is None:  # none is known: it is news to this node, no more
        return f"leader is {who}"
    return f"leader changed: {event.previous_leader} -> {who}"


def _step_down(event: StepDownRequested) -> str:
    actor = f" by {event.actor}" if event.actor else ""
    detail = f", {event.detail}" if event.detail else ""
    return f"asked to step down{actor}: {event.reason}{detail}{_term(event)}"


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _who(node: str | None) -> str:
    return node or "nobody"


def _cause(cause: Cause) -> str:
    return "" if cause is Cause.UNKNOWN else f" ({cause})"


def _why(why: str | None) -> str:
    return f" ({why})" if why else ""


def _term(event: Event) -> str:
    return "" if event.term is None else f", term {event.term}"


def _span(ms: int) -> str:
    """Milliseconds for people: ``14 ms``, ``31.7 s``."""
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.1f} s"
