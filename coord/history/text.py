"""The history and the audit as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coord.consul import Denied
from coord.history.model import (
    FORCED,
    Asked,
    Gap,
    History,
    Note,
    Pause,
    PauseEnd,
    Tenure,
    Until,
    Vacant,
)
from coord.history.operated import FORCE
from coord.members import Seen
from coord.operations import AuditEntry
from coord.records import AuditRecord
from coord.status.denial import WORDS
from coord.status.reasons import CAUSES, LOST
from coord.status.words import duration, exactly, foreign, ms_of, plain, span

LONG = 300
"""How much of a reason or a detail is shown, in characters."""

NOTES = {
    Note.NOT_IN_JOURNAL: "the leader key says so; the journal has nothing of it",
    Note.BEGIN_NOT_TOLD: "its beginning is not in the journal",
    Note.END_NOT_TOLD: "when it ended is not in the journal",
    Note.TERM_REPEATED: "terms begin anew here: Consul was restored, or the term key was written",
    Note.NOTICED_LATE: "it told of its end only after the next leader had begun: it was frozen or "
    "cut off, or the two clocks differ",
    Note.CLOCKS_DIFFER: "it told of its end after the next leader told of its beginning: the two "
    "clocks differ",
}
NOT_SEEN = {
    Seen.UNKNOWN: "not known",
    Seen.NOT_PERMITTED: "not permitted: the token may not read it (key_prefix, read)",
    Seen.UNAVAILABLE: "not known: Consul did not answer this",
}
_PHASES = ("detect", "quarantine", "acquire", "start")


def render_history(history: History) -> RenderableType:
    """Who led when, the latest first."""
    parts: list[RenderableType] = [
        Text.assemble("History of ", foreign(history.election, "bold"), ", latest first, UTC"),
        *(Text(f"! {line}", "yellow") for line in limits(history)),
    ]
    if not history.tenures:
        none = "nobody is known to have led"
        parts.append(Text(none if history.journal is Seen.KNOWN else "nothing to be seen", "dim"))
        return Group(*parts)
    table = _table("Term", "Leader", "")
    if history.vacant is not None:
        said = Text("\n").join(_vacant(history.vacant, history.at_ms))
        table.add_row("", Text("nobody", "bold red"), said)
    for i, tenure in enumerate(history.tenures):
        table.add_row(
            Text(str(tenure.term), "bold"),
            foreign(tenure.node, "bold green" if tenure.until is Until.GOES_ON else "bold"),
            Text("\n").join(_tenure(tenure, history.at_ms, newest=i == 0)),
        )
        if tenure.missing_before:
            table.add_row("", "", Text(_missing(tenure.missing_before), "dim"))
    parts += ["", table]
    if history.omitted:
        parts.append(Text(_left_out(history.omitted), "dim"))
    return Group(*parts)


def _left_out(count: int) -> str:
    return f"{count} earlier left out (--limit)"


def limits(history: History) -> Iterator[str]:
    """What is not known, or not to be relied on, and why."""
    if history.stale:
        yield "Consul has no leader: this may be of any age"
    if history.denied is not None and history.denied is not Denied.LACKS_RIGHTS:
        yield WORDS[history.denied]
    if history.journal is not Seen.KNOWN:
        yield f"the journal: {NOT_SEEN[history.journal]}"
    if history.audit is not Seen.KNOWN:
        yield f"the audit, so who asked: {NOT_SEEN[history.audit]}"
    if history.unreadable:
        yield f"{history.unreadable} entries of the journal cannot be read"
    if history.audit_unreadable:
        yield f"{history.audit_unreadable} entries of the audit cannot be read"
    for node, count in sorted(history.unwritten.items())[:10]:
        yield f"{plain(node)} could not write {count} entries of the journal"
    if history.pruned:
        yield f"the journal keeps the latest entries only: the oldest is of {_at(history)}"


def _at(history: History) -> str:
    return exactly(history.oldest_ms)


def _missing(count: int) -> str:
    some = "1 term" if count == 1 else f"{count} terms"
    return f"{some} before this not told of: never held, or the entries are gone"


def _tenure(tenure: Tenure, now_ms: int, *, newest: bool) -> Iterator[Text]:
    may_lead = newest and tenure.until is Until.UNKNOWN and Note.END_NOT_TOLD not in tenure.notes
    yield _when(tenure, now_ms, may_lead)
    if tenure.until is not Until.GOES_ON and not may_lead:
        yield from _ending(tenure)
    for one in tenure.asked:
        yield _asked(one, forced=tenure.ended == FORCED and one.operation == FORCE)
    yield from _suspensions(tenure)
    if tenure.restarts:
        yield Text(f"{tenure.restarts} restarts of its work's children")
    if tenure.gap is not None:
        yield _gap(tenure.gap)
    yield from map(paused_words, tenure.paused)
    for note in tenure.notes:
        yield Text(NOTES[note], "yellow")


def _vacant(vacant: Vacant, now_ms: int) -> Iterator[Text]:
    """That nobody leads now, and whether that is so because somebody paused the election."""
    since_ms = vacant.since_ms
    lasts = "" if since_ms is None else f", {duration((now_ms - since_ms) / 1000)}"
    yield Text(f"{exactly(since_ms) if since_ms is not None else 'not known'} to now{lasts}")
    yield from map(paused_words, vacant.paused)


def paused_words(pause: Pause) -> Text:
    """By whom the election was paused and why, from when until when, and how that ended."""
    why = f" ({plain(pause.reason, LONG)}) from {_to_s(pause.from_ms)}"
    text = Text.assemble("paused by ", foreign(pause.actor, "bold"), why)
    until = "" if pause.until_ms is None else _to_s(pause.until_ms)
    match pause.end:
        case PauseEnd.RESUMED | PauseEnd.REPLACED:
            did = "ended it" if pause.end is PauseEnd.RESUMED else "paused anew"
            text.append(f" until {until}, when ").append_text(foreign(pause.ended_by))
            text.append(f" {did} ({plain(pause.ended_why, LONG)})")
        case PauseEnd.RAN_OUT:
            text.append(f" until about {until}, when its time was over")
        case PauseEnd.STANDS:
            text.append(f" until about {until}, or `coord resume`" if until else " until now")
        case PauseEnd.UNKNOWN:
            text.append("; how it ended is not told")
    return text


def _to_s(wall_ms: int) -> str:
    """Operators' times are about so: to the second."""
    return exactly(wall_ms).partition(".")[0]


def _suspensions(tenure: Tenure) -> Iterator[Text]:
    """How often its work was stopped, for how long, and which of that was not resumed."""
    last = tenure.unresumed
    resumed = tenure.suspensions - (last is not None)
    if resumed > 0:
        times, in_all = ("once", "") if resumed == 1 else (f"{resumed} times", " in all")
        yield Text(f"work suspended {times}, for {span(tenure.suspended_ms)}{in_all}, and resumed")
    if last is None:
        return
    more = "once more" if resumed > 0 else "once"
    if tenure.until is Until.GOES_ON:
        since = "" if last.since_ms is None else f", since {exactly(last.since_ms)}"
        yield Text(f"work suspended {more}{since}: not resumed yet", "yellow")
        return
    lasted = "" if last.lasted_ms is None else f", for {span(last.lasted_ms)}"
    yield Text(f"work suspended {more}{lasted}, until it lost the leadership")


def _when(tenure: Tenure, now_ms: int, may_lead: bool) -> Text:
    text = Text(exactly(tenure.from_ms) if tenure.from_ms is not None else "not known")
    if tenure.until is Until.GOES_ON:
        end = "now"
    elif tenure.until is Until.UNKNOWN:
        end = "not known; it may lead still" if may_lead else "not known"
    else:
        end = exactly(tenure.until_ms)
        end += " at the latest" if tenure.until is Until.SEEN else ""
    text.append(f" to {end}")
    lasted = tenure.lasted_ms(now_ms)
    if lasted is not None:
        most = "at most " if tenure.until is Until.SEEN else ""
        text.append(f", {most}{duration(lasted / 1000) if lasted >= 1000 else span(lasted)}")
    return text


def _ending(tenure: Tenure) -> Iterator[Text]:
    """How it ended: as those who came after saw it, and as it told itself."""
    if tenure.ended == FORCED:
        yield Text.assemble("ended: ", (FORCED, "bold"), ", an operator took the lead from it")
    elif tenure.cause_told:
        meaning = CAUSES[tenure.cause] if tenure.cause is not None else "not known here"
        yield Text.assemble("ended: ", foreign(tenure.cause_told, "bold"), f", {meaning}")
    if tenure.reason_told:
        meaning = LOST[tenure.reason] if tenure.reason is not None else "not known here"
        yield Text.assemble("it told: ", foreign(tenure.reason_told), f", {meaning}")
    if not tenure.ended and not tenure.cause_told and not tenure.reason_told:
        yield Text("how it ended is not known", "dim")


def _asked(one: Asked, *, forced: bool) -> Text:
    who = foreign(one.actor) if one.actor else Text("itself" if one.why else "somebody")
    what = one.operation or one.why or "to go"
    verb = "forced" if forced else "asked"
    text = Text.assemble(f"{verb} by ", who, f" ({plain(what)}")
    if one.request_id:
        text.append(f", request {plain(one.request_id)}")
    text.append(")")
    if one.reason:
        text.append(f": {plain(one.reason, LONG)}")
    if one.outcome:
        text.append(f"; outcome {plain(one.outcome)}")
    return text


def whole_gap(gap: Gap) -> str:
    """How long it was in all, as far as that is known."""
    if gap.total_ms is None:
        return "not known"
    return f"{'at least ' if gap.at_least else ''}{span(gap.total_ms)}"


def _gap(gap: Gap) -> Text:
    text = Text("gap before it ").append(whole_gap(gap), "bold")
    phases = [
        f"{name} {span(value)}"
        for name in _PHASES
        if (value := getattr(gap, f"{name}_ms")) is not None
    ]
    return text.append(f": {', '.join(phases)}") if phases else text


def render_audit(
    election: str, seen: Seen, entries: Sequence[AuditEntry], omitted: int = 0
) -> RenderableType:
    """What operators did, the latest first; `omitted`: how many earlier ones are left out."""
    head = Text.assemble("Audit of ", foreign(election, "bold"), ", latest first, UTC")
    parts: list[RenderableType] = [head]
    if seen is not Seen.KNOWN:
        parts.append(Text(f"! {NOT_SEEN[seen]}", "yellow"))
    elif not entries:
        parts.append(Text("no operation was written down", "dim"))
    table = _table("At", "Operation", "")
    for entry in entries:
        record = entry.record
        if record is None:
            said = Text.assemble(foreign(entry.key), ": ", plain(entry.problem, LONG))
            table.add_row("-", Text("cannot be read", "yellow"), said)
        else:
            said = Text("\n").join(_operation(record, finished=not entry.begun))
            table.add_row(exactly(ms_of(record.at)), foreign(record.operation, "bold"), said)
    parts += ["", table] if entries else []
    if omitted:
        parts.append(Text(_left_out(omitted), "dim"))
    return Group(*parts)


def _operation(record: AuditRecord, *, finished: bool) -> Iterable[Text]:
    concerns = foreign(record.node or "the election")
    text = Text.assemble(concerns, *((" to ", foreign(record.to)) if record.to else ()))
    if record.expected_term:
        text.append(f", term {record.expected_term}")
    yield text.append_text(Text.assemble(", by ", foreign(record.actor)))
    yield Text(plain(record.reason, LONG))
    if finished:
        text = Text.assemble("outcome ", foreign(record.outcome, "bold"))
    else:
        text = Text("unfinished: what came of it was not written down", "yellow")
    if record.finished_at is not None:
        text.append(f", after {span(ms_of(record.finished_at) - ms_of(record.at))}")
    yield text.append(f": {plain(record.detail, LONG)}") if record.detail else text
    if record.new_leader:
        yield Text.assemble(foreign(record.new_leader), f" leads since, in term {record.new_term}")
    if record.gap_ms is not None:
        yield Text(f"gap {span(record.gap_ms)}")
    yield Text(f"request {plain(record.request_id)}", "dim")


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in titles:
        table.add_column(title, overflow="fold", max_width=28 if title else None)
    return table
