"""What could go wrong with an operation, decided on one snapshot. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from coord.consul import CheckStatus
from coord.controls import Controls
from coord.election.reasons import WhyNot
from coord.members import Member, Seen
from coord.operations.asks import Operation
from coord.operations.model import (
    Caution,
    Leading,
    PhaseName,
    Preview,
    WarningCode,
)
from coord.operations.refusals import by, pause_over
from coord.status.model import ClusterStatus
from coord.status.rows import namesakes


def cautions(
    status: ClusterStatus, controls: Controls, found: Preview, member: Member | None
) -> tuple[Caution, ...]:
    """Everything that could go wrong, the serious first. `member`: the leader's candidate."""
    said = [
        *_of_succession(status, controls, found),
        *_of_leader(status, found, member),
        *_of_records(status, controls, found),
        *_of_node(status, found),
        *_of_versions(status, found),
    ]
    return tuple(sorted(said, key=lambda caution: not caution.serious))


def _of_succession(status: ClusterStatus, controls: Controls, found: Preview) -> Iterator[Caution]:
    """What keeps others from following, where somebody has to, or soon may have to."""
    if not found.interrupts and found.ask.operation not in (Operation.DRAIN, Operation.PAUSE):
        return
    if found.interrupts and controls.pause is not None:
        yield Caution(
            WarningCode.PAUSED,
            "the election is paused: nobody takes over until the pause ends, or `coord resume`",
            serious=True,
        )
        return
    others = found.successors
    if any(s.ready for s in others):
        return
    if status.candidates.seen is not Seen.KNOWN:
        yield Caution(
            WarningCode.MEMBERS_UNSEEN,
            "the candidates are not to be seen with this token: who would follow is not known",
            serious=found.interrupts,
        )
        return
    if found.leader is None:
        return
    if not found.interrupts:
        leads = found.ask.node == found.leader.node
        yield Caution(
            WarningCode.NOBODY_ELSE,
            f"nobody else is there to follow: {found.leader.node} leads on until another comes"
            if leads
            else "no other candidate can lead now",
        )
        return
    why = {s.why_not for s in others if s.why_not != WhyNot.CHECK_CRITICAL.value}
    forced = found.ask.operation is Operation.FORCE_RELEASE
    back = "" if forced else "; the same node comes back after a while"
    if why == {WhyNot.DRAINED.value}:
        yield Caution(
            WarningCode.ONLY_DRAINED,
            f"all other candidates are drained: they lead as a last resort alone{back}",
            serious=True,
        )
    elif why and why <= {WhyNot.COOLING_DOWN.value, WhyNot.DRAINED.value}:
        yield Caution(
            WarningCode.ONLY_COOLING,
            f"all other candidates stay back for a while after having led{back}",
            serious=True,
        )
    else:
        yield Caution(
            WarningCode.NOBODY_ELSE, f"no other candidate can lead now{back}", serious=True
        )


def _of_leader(status: ClusterStatus, found: Preview, member: Member | None) -> Iterator[Caution]:
    leader = found.leader
    if leader is None or not found.interrupts:
        return
    works = any(
        item.passing and item.node == leader.node and item.term == leader.term
        for item in status.leader_service.items
    )
    forced = found.ask.operation is Operation.FORCE_RELEASE
    if forced and works and member is not None:
        yield Caution(
            WarningCode.LEADER_ANSWERS,
            f"{leader.node} seems to be well: `coord step-down` costs less, and stops its work "
            "before another's begins",
        )
    if forced and found.gap is not None:
        wait_ms = next(p.ms for p in found.gap.phases if p.name is PhaseName.QUARANTINE)
        yield Caution(
            WarningCode.QUARANTINE,
            f"nobody may lead for {wait_ms / 1000:g} s: what the leader may still do must be over",
        )
    seen = status.candidates.seen is Seen.KNOWN
    if not forced and seen and member is None:
        yield Caution(
            WarningCode.LEADER_SILENT,
            f"no passing candidate named {leader.node} is seen: it may not be there to answer; if "
            "it does not: `coord force-release`",
        )
    elif not forced and member is not None and member.priority is None:
        yield Caution(
            WarningCode.OLD_NODES,
            f"{leader.node} runs version {member.version or 'unknown'}, which may not know how to "
            "be asked",
        )
    if found.polls_running:
        yield Caution(
            WarningCode.POLLS_REPEATED,
            f"{found.polls_running} polls are open: the next leader tries them again, or gives "
            "them up",
        )


def _of_records(status: ClusterStatus, controls: Controls, found: Preview) -> Iterator[Caution]:
    if status.leader.oddities:
        words = ", ".join(oddity.value for oddity in status.leader.oddities)
        yield Caution(
            WarningCode.KEY_IS_ODD,
            f"the leader key or the term key is not as coord leaves it ({words})",
        )
    for key, problem in controls.unreadable.items():
        yield Caution(WarningCode.UNREADABLE_CONTROL, f"{key} cannot be read: {problem}")
    asked = controls.request
    if found.ask.operation.of_leader and asked is not None and found.leader is not None:
        still = asked.expected_term == found.leader.term
        yield Caution(
            WarningCode.REQUEST_STANDS,
            f"takes the place of {asked.kind.value}, asked by {by(asked)}"
            + ("" if still else f", of term {asked.expected_term}, which nobody answers any more"),
            serious=still,
        )
    pause = controls.pause
    pauses = found.ask.operation is Operation.PAUSE
    if pauses and pause is not None and pause_over(pause, status.at_ms):
        yield Caution(
            WarningCode.PAUSE_ENDED,
            "the pause that stands has run out, and nobody has taken it away",
        )


def _of_versions(status: ClusterStatus, found: Preview) -> Iterator[Caution]:
    """Who is too old to know of what lasts: they tell no priority."""
    if found.ask.operation not in (Operation.PAUSE, Operation.DRAIN):
        return
    old = sorted(
        {
            m.node
            for m in status.candidates.items
            if m.passing and m.priority is None and found.ask.node in ("", m.node)
        }
    )
    if old:
        yield Caution(
            WarningCode.OLD_NODES,
            f"too old to know of it, and so not kept from leading: {', '.join(old)}",
            serious=True,
        )


def _of_node(status: ClusterStatus, found: Preview) -> Iterator[Caution]:
    """Of the names that count here: whom it is about, who leads, who follows."""
    doubled = namesakes(status)
    named = {found.ask.node, _name(found.leader) if found.interrupts else ""}
    if found.interrupts and found.successor is not None:
        named.add(found.successor.node)
    for node in sorted(named & doubled.keys()):
        yield Caution(
            WarningCode.NAMESAKES,
            f"{len(doubled[node])} passing nodes are called {node} ({', '.join(doubled[node])})",
        )
    node = found.ask.node
    if found.ask.operation in (Operation.DRAIN, Operation.UNDRAIN):
        own = [item for item in status.candidates.items if item.node == node]
        if not any(item.status is not CheckStatus.CRITICAL for item in own):
            yield Caution(
                WarningCode.NOT_THERE, f"{node} is not there now; it counts as soon as it comes"
            )


def _name(leader: Leading | None) -> str:
    return leader.node if leader is not None else ""
