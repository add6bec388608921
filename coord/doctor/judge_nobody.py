"""Judges why nobody leads: by what operators ask, and by what the candidates say. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from coord.doctor.codes import Code
from coord.doctor.facts import Facts
from coord.doctor.findings import Finding, found
from coord.doctor.judge_consul import passing
from coord.election.reasons import WhyNot
from coord.members import Member, Seen, cut
from coord.status.words import left, pause_left_ms, when

_NAMED = 3
"""So many drained nodes are told with who drained them, and why."""


def nobody(facts: Facts) -> Finding:
    """Candidates are there, and nobody leads. What an operator asked comes first: it is meant to be
    so, and can be ended."""
    assert facts.status is not None
    why, advice = "", ""
    for said, do in (_paused(facts), _drained(facts)):
        why += f": {said}" if said and not why else f"; {said}" if said else ""
        advice += f" {do}" if do and advice else do
    said = f"Nobody leads{why}. What the candidates say: {'; '.join(_told(facts))}."
    about = f"index {facts.status.leader.modify_index}"
    return found(Code.NOBODY_LEADS, said, about, advice=advice)


def _told(facts: Facts) -> Iterator[str]:
    """What they say of themselves, those together that say the same."""
    reasons: dict[str, list[str]] = {}
    for member in passing(facts):
        told = " ".join(word for word in (member.state, member.why_not) if word)
        reasons.setdefault(told, []).append(member.node)
    for told, nodes in reasons.items():
        yield f"{', '.join(sorted(nodes))}: {told}"


def _paused(facts: Facts) -> tuple[str, str]:
    """That the election is paused, by whom and until when; and what ends that."""
    pause = facts.controls.pause
    keeping = any(member.reason is WhyNot.PAUSED for member in passing(facts))
    do = "`coord resume` ends the pause, if nobody needs it any more."
    if pause is None:
        # Where none stands, they are about to see that.
        unseen = keeping and facts.controls_seen is not Seen.KNOWN
        return (
            ("the election is paused, by whom your token may not see", do) if unseen else ("", "")
        )
    left_ms = pause_left_ms(pause, facts.at_ms)
    if not keeping and left_ms < 0:
        return "", ""
    who = f"the election is paused by {cut(pause.actor)} since {when(pause.at)}"
    return f"{who}, {left(left_ms)}: {cut(pause.reason)}", do


def _drained(facts: Facts) -> tuple[str, str]:
    """That every candidate is drained, by whom; and what ends that."""
    able = [member for member in passing(facts) if member.eligible is not False]
    if not able or not all(_is_drained(facts, member) for member in able):
        return "", ""
    # These names are no longer than names are, and hold nothing that a shell would take amiss.
    drained = facts.controls.drained
    names = sorted({member.node for member in able} & set(drained))
    told = [
        f"{name} by {cut(drained[name].actor)} ({cut(drained[name].reason)})"
        for name in names[:_NAMED]
    ]
    more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    who = f": {', '.join([*told, *more])}" if told else ""
    do = f"`coord undrain {names[0] if names else 'NODE'}`, or another of them, lets it lead."
    return f"every candidate is drained{who}", do


def _is_drained(facts: Facts, member: Member) -> bool:
    return member.node in facts.controls.drained or member.reason is WhyNot.DRAINED
