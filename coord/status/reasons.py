"""Why a node does not lead, for people: what each reason means and what can be done about it.

One table for the command line, the console and the documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from coord.election.reasons import Cause, LostReason, WhyNot
from coord.election.state import State
from coord.records import is_name
from coord.records.health import HealthReason


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a reason means, what ends it, and what an operator can do."""

    meaning: str
    waits_for: str
    advice: str


WHY_NOT: Mapping[WhyNot, Explanation] = {
    WhyNot.NOT_ELIGIBLE: Explanation(
        "This node may not lead: its type, or its setting `eligible`, says so.",
        "nothing: it never campaigns",
        "If it is to lead, start it with --eligible true or as a core or web node.",
    ),
    WhyNot.DRAINED: Explanation(
        "An operator drained this node: it leads only if nobody else has for 30 s.",
        "an operator's `coord undrain`",
        "When its maintenance is over: coord undrain NODE.",
    ),
    WhyNot.PAUSED: Explanation(
        "An operator paused the election: nobody campaigns, who leads goes on leading.",
        "the end of the pause, or `coord resume`",
        "If nobody leads, or the pause is not needed any more: coord resume.",
    ),
    WhyNot.CHECK_CRITICAL: Explanation(
        "A Consul check of this node fails: its process ended or hangs, its host is lost, "
        "another check of the node is critical, or its token is refused.",
        "all its checks to pass",
        "See whether the process runs; if its token is refused, its own /api/health says so. Then "
        "see its log, and the checks of its Consul node.",
    ),
    WhyNot.NO_SESSION: Explanation(
        "This node has no Consul session, and nobody can hold the lock without one.",
        "Consul to give it a session; it asks again at most every 5 s",
        "If that lasts, see its log for `no session can be created`: rights, or checks that fail.",
    ),
    WhyNot.CONSUL_UNREACHABLE: Explanation(
        "This node gets no answer from Consul.",
        "its Consul agent to answer",
        "See that its agent runs and that CONSUL_HTTP_ADDR names it.",
    ),
    WhyNot.NO_CONSUL_LEADER: Explanation(
        "Consul's servers have no leader, so nothing can be confirmed or written.",
        "Consul's servers to elect their own leader",
        "See that a majority of Consul's servers runs and that they reach each other.",
    ),
    WhyNot.NOT_PERMITTED: Explanation(
        "Consul does not permit this node what a candidate needs.",
        "a token with a candidate's rights",
        "Compare its token's policy with: coord doctor --policy candidate.",
    ),
    WhyNot.LOCK_DELAY: Explanation(
        "Nobody leads, and it is not certain that the last leader has stopped: until then the "
        "vacancy is left alone.",
        "the quarantine to pass",
        "Nothing: it ends by itself within seconds, and ending it sooner could make two lead.",
    ),
    WhyNot.WAITING_TURN: Explanation(
        "Nobody leads, and others are to try first: the successors that the last leader named.",
        "its turn",
        "Nothing: it ends by itself within seconds.",
    ),
    WhyNot.HELD_BY_OTHER: Explanation(
        "Another node leads.",
        "a vacancy",
        "Nothing is wrong. To make this node lead: coord transfer NODE.",
    ),
    WhyNot.COOLING_DOWN: Explanation(
        "This node led until just now, and stays back so that another may lead.",
        "the end of its cool-down, or nobody else being there",
        "Nothing: it ends by itself within seconds.",
    ),
}
"""Every reason that a candidate gives, explained."""

UNKNOWN_REASON = Explanation(
    "It does not say why, or says it in a word that this version does not know.",
    "not known",
    "See its log, and `coord config` there for its version.",
)

CAUSES: Mapping[Cause, str] = {
    Cause.HANDED_OVER: "ended cleanly and handed over",
    Cause.STEPPED_DOWN: "stepped down and handed over",
    Cause.TRANSFERRED: "handed over to a named successor",
    Cause.FAILED: "its own work failed; handed over",
    Cause.DIED: "its process died, which was proven; handed over",
    Cause.SESSION_INVALIDATED: "its session went: killed, hung or cut off",
    Cause.SUSPENDED_TOO_LONG: "could not confirm its lease for too long and gave up",
    Cause.RELEASED_BY_HAND: "an operator took the lead from it, by force-release",
    Cause.DELETED: "the leader key was deleted",
    Cause.UNREADABLE: "the leader record could not be read",
    Cause.RESTORED: "Consul was put back from a snapshot",
    Cause.FIRST_START: "nobody had led before",
    Cause.UNKNOWN: "nothing is said about it",
}
"""How a vacancy came about, in words."""

LOST: Mapping[LostReason, str] = {
    LostReason.ANOTHER_HOLDER: "found another holder on the key",
    LostReason.VACANT: "found the key without its lock",
    LostReason.KEY_DELETED: "found the key deleted",
    LostReason.RECORD_UNREADABLE: "found a record on the key that is not its own",
    LostReason.SESSION_GONE: "found its session gone",
    LostReason.TERM_CHANGED: "found another term in the term key",
    LostReason.RESTORED: "found Consul put back from a snapshot",
    LostReason.SUSPENDED_TOO_LONG: "was suspended for too long",
    LostReason.SHUTDOWN: "was stopped",
    LostReason.STEPPED_DOWN: "was asked to step down",
    LostReason.WORK_FAILED: "its work failed too often",
    LostReason.NO_PROGRESS: "its work made no progress",
    LostReason.CHECK_LOST: "its agent had lost its check",
    LostReason.CRASHED: "its candidate crashed",
}
"""Why a leader leads no longer as it told itself, in words."""

HEALTH: Mapping[HealthReason, str] = {
    HealthReason.TOO_FEW_NODES: "fewer nodes are up than the leader's setting min_nodes asks for",
    HealthReason.LEADER_NOT_LISTED: "discovery does not show the leader as passing",
    HealthReason.SEVERAL_LEADERS_LISTED: "discovery shows more than one passing leader",
    HealthReason.NOT_PERMITTED: "the leader's token may not see the members",
}
"""Why the cluster is degraded, in words."""

TIMED = frozenset(
    {
        WhyNot.LOCK_DELAY,
        WhyNot.WAITING_TURN,
        WhyNot.COOLING_DOWN,
        WhyNot.PAUSED,
        WhyNot.DRAINED,
    }
)
"""Reasons that time ends, so that a node can say until when; the others wait for something else."""

STATES: Mapping[State, str] = {
    State.JOINING: "has no session yet",
    State.STANDBY: "ready to lead when nobody does",
    State.WAITING: "nobody leads; waits until it may try",
    State.ACQUIRING: "tries to take the lock, or finds out whether it did",
    State.LEADING: "holds the lock and a lease",
    State.SUSPENDED: "its lease ran out: the work is stopped, the lock may still be its own",
    State.STEPPING_DOWN: "gives the leadership back: stops work, releases, destroys its session",
    State.COOLING: "stays back after having led",
    State.OBSERVER: "only follows who leads",
    State.STOPPED: "has given everything back",
}
"""What each state means, in words."""


def health_reason(word: str) -> str:
    """Why the cluster is degraded, in words, given the word in the record."""
    known = next((reason for reason in HealthReason if reason.value == word), None)
    return "not known here" if known is None else HEALTH[known]


def explanation(why_not: WhyNot | None, node: str = "") -> Explanation:
    """What a reason means, with commands for `node`, if it may be called that.

    `UNKNOWN_REASON` for none that this version knows.
    """
    found = UNKNOWN_REASON if why_not is None else WHY_NOT[why_not]
    return replace(found, advice=found.advice.replace("NODE", node)) if is_name(node) else found
