"""What operators ask of an election, as people may read it: it is not to be overlooked."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from coord.members import Seen
from coord.records import Control, DrainRecord, PauseRecord, RequestKind, RequestRecord
from coord.status.model import ClusterStatus, Condition
from coord.status.words import ago, foreign, left, ms_of, pause_left_ms, plain

REASON = 200
"""How much of a reason is shown, in characters."""

MOST = 20
"""How many drained nodes, and how many records that cannot be read, are named."""

LEFT_BEHIND_S = 60.0
"""Who asked takes a request away once another leads and works: one that stands for so much longer,
in seconds, nobody takes away."""

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
        led = status.leader.locked or status.leader.condition is Condition.NOT_PERMITTED
        yield requested(controls.asked.request, status.term.value, now_ms, led=led)
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


def requested(request: RequestRecord, term: int | None, now_ms: int, *, led: bool = True) -> Text:
    """A request that stands: it is not answered yet, about to be taken away, or was left behind.

    term: the latest, None where it is not known. led: somebody leads in it.
    """
    age_ms = now_ms - ms_of(request.at)
    over = term is not None and (term > request.expected_term or not led)
    to = (" to ", foreign(request.to)) if request.to else ()
    asks = (f", for the leader of term {request.expected_term} {_KINDS[request.kind]}", *to)
    who = (" by ", foreign(request.actor), f" {ago(age_ms / 1000)}", *asks)
    why = f": {plain(request.reason, REASON)}"
    if not over:
        return _shout("yellow", "REQUEST", *who, why, "; not answered yet")
    if age_ms < LEFT_BEHIND_S * 1000:
        said = (*_plain(("request", *who, why)), "; that one leads no longer")
        return Text.assemble("○ ", *said, style="dim")
    return _shout("yellow", "REQUEST left behind", *who, why, "; that term is over: nobody answers")


def _by(record: Control, now_ms: int) -> Iterable[Text | str]:
    age = ago((now_ms - ms_of(record.at)) / 1000)
    return (" by ", foreign(record.actor), f" {age}: ", plain(record.reason, REASON))


def _shout(style: str, *parts: Text | str) -> Text:
    return Text.assemble("! ", *_plain(parts), style=style)


def _plain(parts: Iterable[Text | str]) -> Iterable[Text | str]:
    return (plain(part, REASON) if isinstance(part, str) else part for part in parts)
