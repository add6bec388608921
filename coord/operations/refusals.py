"""What speaks against beginning an operation at all, decided on one snapshot. Pure."""

from __future__ import annotations

from coord.controls import Controls
from coord.members import Seen, best_by_node
from coord.operations.asks import Ask, Operation
from coord.operations.model import Leading, RefusalCode, Refused
from coord.operations.successors import candidate_of
from coord.records import Control, Paths, PauseRecord
from coord.status.model import ClusterStatus, Condition
from coord.status.words import duration, when

_LOOK = "look with `coord status`"


def refusal(
    status: ClusterStatus, controls: Controls, ask: Ask, leader: Leading | None
) -> Refused | None:
    """Why the operation is not to be begun; None if nothing speaks against it."""
    refused = _unseen(status) or _moved_on(status, ask, leader)
    if refused is not None:
        return refused
    if ask.operation.of_leader:
        return (
            _no_leader(ask, leader)
            or (_bad_target(status, controls, ask, leader) if ask.node else None)
            or _asked_already(controls, ask, leader)
        )
    if ask.operation is Operation.PAUSE:
        return _paused(status, controls, ask)
    if ask.operation is Operation.RESUME:
        return _not_paused(status, controls)
    if ask.operation is Operation.DRAIN:
        return _drained(controls, ask) or _not_drainable(status, ask, leader)
    return _not_drained(status, controls, ask)


def _unseen(status: ClusterStatus) -> Refused | None:
    if status.stale:
        return Refused(
            code=RefusalCode.NO_CONSUL_LEADER,
            sentence="Consul has no leader: what is shown may be of any age, nothing can be done",
            hint="see that a majority of Consul's servers runs, then try again",
        )
    if status.leader.condition is Condition.NOT_PERMITTED:
        return Refused(
            code=RefusalCode.NOT_PERMITTED,
            sentence="not permitted: the token may not read the leader key",
            hint="give an operator's token, in CONSUL_HTTP_TOKEN_FILE",
        )
    return None


def _moved_on(status: ClusterStatus, ask: Ask, leader: Leading | None) -> Refused | None:
    if ask.expected_term is None:
        return None
    now = leader.term if leader else status.term.value or 0
    if ask.expected_term == now and (leader is not None or not ask.operation.of_leader):
        return None
    who = f"{leader.node or 'somebody'} leads under term {now}" if leader else "nobody leads"
    return Refused(
        code=RefusalCode.TERM_MOVED_ON,
        sentence=f"this was decided on term {ask.expected_term}, but now {who}",
        hint=f"{_LOOK} whether it is still wanted, and name the term that is now",
    )


def _no_leader(ask: Ask, leader: Leading | None) -> Refused | None:
    if leader is None:
        return Refused(
            code=RefusalCode.NOBODY_LEADS,
            sentence="nobody leads",
            hint="`coord status NODE` says what each candidate waits for",
        )
    if (leader.node and leader.term) or ask.operation is Operation.FORCE_RELEASE:
        return None
    return Refused(
        code=RefusalCode.LEADER_UNREADABLE,
        sentence="somebody holds the leader key, but its record does not say who",
        hint="its leader gives it up at the next look; if it does not: `coord force-release`",
    )


def _bad_target(
    status: ClusterStatus, controls: Controls, ask: Ask, leader: Leading | None
) -> Refused | None:
    if leader is not None and leader.node == ask.node:
        return Refused(
            code=RefusalCode.TARGET_LEADS,
            sentence=f"{ask.node} leads already, under term {leader.term}",
        )
    member = best_by_node(status.candidates.items).get(ask.node)
    if member is None:
        return _no_candidate(status, ask)
    target = candidate_of(member, controls, named=True)
    if target.ready:
        return None
    return Refused(
        code=RefusalCode.TARGET_CANNOT_LEAD,
        sentence=f"{ask.node} cannot lead now: {target.why_not}",
        hint=f"`coord status {ask.node}` says more; `coord step-down` lets the best one follow",
    )


def _no_candidate(status: ClusterStatus, ask: Ask) -> Refused:
    if status.candidates.seen in (Seen.NOT_PERMITTED, Seen.UNAVAILABLE):
        return Refused(
            code=RefusalCode.NOT_PERMITTED,
            sentence="not permitted: the token may not see the candidates",
            hint="give a token with service:read and node:read, in CONSUL_HTTP_TOKEN_FILE",
        )
    if any(member.node == ask.node for member in status.members):
        return Refused(
            code=RefusalCode.NOT_A_CANDIDATE,
            sentence=f"{ask.node} is no candidate of this election: it never leads",
        )
    return Refused(
        code=RefusalCode.UNKNOWN_NODE,
        sentence=f"no candidate named {ask.node} is registered",
        hint=f"{_LOOK} what the candidates are called",
    )


def _asked_already(controls: Controls, ask: Ask, leader: Leading | None) -> Refused | None:
    asked = controls.request
    if asked is None or leader is None or ask.anyway:
        return None
    if asked.expected_term != leader.term or ask.operation is Operation.FORCE_RELEASE:
        return None  # of another term it means nothing to anybody; what is forced need not wait
    what = asked.kind.value + (f" to {asked.to}" if asked.to else "")
    return Refused(
        code=RefusalCode.ASKED_ALREADY,
        sentence=f"{by(asked)} asked for {what} of this leader already, and no answer came yet",
        hint="see what comes of it; if who asked is gone, ask --anyway; if the leader does not "
        "answer: `coord force-release`",
        anyway=True,
    )


def _paused(status: ClusterStatus, controls: Controls, ask: Ask) -> Refused | None:
    pause = controls.pause
    if pause is None or ask.anyway or pause_over(pause, status.at_ms):
        return None
    lasts = duration(pause.for_ms / 1000)
    return Refused(
        code=RefusalCode.ALREADY_PAUSED,
        sentence=f"the election is paused already, for {lasts}: {by(pause)}",
        hint="`coord resume` ends it; with --anyway a new pause takes its place",
        anyway=True,
    )


def pause_over(pause: PauseRecord, at_ms: int) -> bool:
    """Whether a pause has run out, by the clocks on the walls: good enough for a word of it."""
    return at_ms > pause.at.timestamp() * 1000 + pause.for_ms


def _not_paused(status: ClusterStatus, controls: Controls) -> Refused | None:
    # One that cannot be read counts as not said, but is there to be taken away.
    if Paths(status.election).pause in controls.indices:
        return None
    return Refused(code=RefusalCode.NOT_PAUSED, sentence="the election is not paused")


def _drained(controls: Controls, ask: Ask) -> Refused | None:
    drain = controls.drained.get(ask.node)
    if drain is None or ask.anyway:
        return None
    return Refused(
        code=RefusalCode.ALREADY_DRAINED,
        sentence=f"{ask.node} is drained already: {by(drain)}",
        hint="with --anyway the new reason takes the place of the old one",
        anyway=True,
    )


def _not_drainable(status: ClusterStatus, ask: Ask, leader: Leading | None) -> Refused | None:
    if any(member.node == ask.node for member in status.candidates.items):
        return None
    if leader is not None and leader.node == ask.node:
        return None
    refused = _no_candidate(status, ask)
    if refused.code is not RefusalCode.UNKNOWN_NODE:
        return refused
    if ask.anyway:
        return None
    return Refused(
        code=refused.code,
        sentence=refused.sentence,
        hint=f"{refused.hint}; with --anyway it is drained before it comes",
        anyway=True,
    )


def _not_drained(status: ClusterStatus, controls: Controls, ask: Ask) -> Refused | None:
    if Paths(status.election).drain(ask.node) in controls.indices:
        return None
    drained = ", ".join(sorted(controls.drained)) or "nobody"
    return Refused(
        code=RefusalCode.NOT_DRAINED,
        sentence=f"{ask.node} is not drained",
        hint=f"drained is: {drained}",
    )


def by(control: Control) -> str:
    """Who asked for it, when and why."""
    return f"{control.actor}, at {when(control.at)} ({control.reason})"
