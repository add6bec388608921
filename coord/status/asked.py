"""What operators ask of an election, as people may read it: it is not to be overlooked."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from coord.members import Seen
from coord.records import Control, DrainRecord, PauseRecord, RequestKind, RequestRecord
from coord.status.model import ClusterStatus
from coord.status.words import ago, foreign, left, ms_of, pause_left_ms, plain

REASON = 200
"""How much of a reason is shown, in characters."""

MOST = 20
"""How many drained nodes, and how many records that cannot be read, are named."""

_SHOUT = "bold red"

UNSEEN = {
    Seen.UNKNOWN: "not known",
    Seen.NOT_PERMITTED: "not permitted: the token may not read it (key_prefix, read)",
    Seen.UNAVAILABLE: "not known: Consul did not answer this",
}

_KINDS = {
    RequestKind.STEP_DOWN: "to step down",
    RequestKind.TRANSFER: "to hand over",
    RequestKind.FORCE_RELEASE: "to be forced off",
}


def asked(status: ClusterStatus) -> Iterable[Text]:
    """A line for everything that is asked, and what is wrong or not to be seen of it."""
    controls, now_ms = status.controls, status.now_ms
    if controls.asked.pause is not None:
        yield paused(controls.asked.pause, now_ms)
    drained = sorted(controls.asked.drained.items())
    for node, record in drained[:MOST]:
        yield _shout("yellow", "DRAINED: ", foreign(node), *_by(record, now_ms))
    if len(drained) > MOST:
        yield _shout("yellow", f"DRAINED: {len(drained) - MOST} more (--json shows them)")
    if controls.asked.request is not None:
        yield requested(controls.asked.request, status.term.value, now_ms)
    for key, detail in sorted(controls.asked.unreadable.items())[:MOST]:
        yield _shout("yellow", foreign(key), " cannot be read and counts as not there: ", detail)
    if controls.seen is not Seen.KNOWN:
        yield Text(f"What operators ask (pause, drain, requests): {UNSEEN[controls.seen]}", "dim")


def paused(pause: PauseRecord, now_ms: int) -> Text:
    """That the election is paused, by whom, why, and for about how long more."""
    lasts = left(pause_left_ms(pause, now_ms))
    said = f"PAUSED, {lasts}, nobody takes over if the leader goes"
    return _shout(_SHOUT, said, "; asked", *_by(pause, now_ms))


def drained(record: DrainRecord, now_ms: int) -> Text:
    """By whom, since when and why a node is drained."""
    return Text.assemble("drained", *_by(record, now_ms))


def requested(request: RequestRecord, term: int | None, now_ms: int) -> Text:
    """A request that nobody has taken away: it is unanswered, or was left behind."""
    to = (" to ", foreign(request.to)) if request.to else ()
    over = term is not None and term != request.expected_term
    state = "a term that is over: nobody answers it" if over else "unanswered"
    what = f"REQUEST for the leader of term {request.expected_term} {_KINDS[request.kind]}"
    return _shout("yellow", what, *to, f", {state}", *_by(request, now_ms))


def _by(record: Control, now_ms: int) -> Iterable[Text | str]:
    age = ago((now_ms - ms_of(record.at)) / 1000)
    return (" by ", foreign(record.actor), f" {age}: ", plain(record.reason, REASON))


def _shout(style: str, *parts: Text | str) -> Text:
    said = (plain(part, REASON) if isinstance(part, str) else part for part in parts)
    return Text.assemble("! ", *said, style=style)
