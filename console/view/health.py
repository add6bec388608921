"""What ClusterHealth published, and what the doctor found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from console.snapshot import Examination, Snapshot
from console.view.by_key import by_key
from console.view.detail import Part, said, told
from console.view.headline import failure_words
from console.view.line import LONG, Line, Span, Tone, foreign, joined, line
from console.view.runbooks import reference
from console.view.table import Column, Layout, by, text
from coord.doctor import Finding, Report, Severity, Stage
from coord.status import ClusterHealthRecord, ClusterStatus, Seen
from coord.status.reasons import health_reason
from coord.status.text import health_words
from coord.status.words import ago, duration, ms_of, plain

SEVERITIES = {
    Severity.CRITICAL: ("✖", Tone.BAD),
    Severity.WARNING: ("!", Tone.WARN),
    Severity.INFO: ("○", Tone.PLAIN),
}
_STAGES = {
    Stage.LOOKING: "looking",
    Stage.TRYING_RIGHTS: "seeing what the token may read",
    Stage.WAITING: "waiting for a second look at what may be so for a moment",
    Stage.LOOKING_AGAIN: "looking again",
    Stage.FIXING: "fixing",
}
_SHOWN_NAMES = 12


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding. number: its place among them, the worst first."""

    finding: Finding
    number: int

    @property
    def key(self) -> str:
        """See `Row`."""
        return "\n".join((self.finding.code.value, *self.finding.about, self.finding.said))

    @property
    def code(self) -> str:
        """Its word."""
        return self.finding.code.value

    @property
    def subject(self) -> str:
        """What it is about."""
        return self.finding.subject.value

    @property
    def said(self) -> str:
        """What it is, here and now."""
        return self.finding.said

    @property
    def words(self) -> Mapping[str, str]:
        """See `Row`."""
        return {
            "severity": self.finding.severity.value,
            "code": self.code,
            "about": self.subject,
            "said": self.said,
        }


def finding_rows(snapshot: Snapshot) -> tuple[FindingRow, ...]:
    """What the doctor found last, the worst first."""
    examination = snapshot.examination
    if examination is None or examination.report is None:
        return ()
    rows: dict[str, FindingRow] = {}
    for i, finding in enumerate(examination.report.findings):
        row = FindingRow(finding, i)
        rows.setdefault(row.key, row)
    return tuple(rows.values())


# --- the cluster ----------------------------------------------------------------------------------


def cluster(snapshot: Snapshot, now: float) -> tuple[Line, ...]:
    """Three lines: the verdict, why, and who is down."""
    status = snapshot.status_at(now)
    if status is None:
        return ()
    record = status.health.record
    if record is None:
        detail = status.health.detail
        none = line(Span(f"? cluster: {health_words(status).plain}", Tone.WARN))
        if status.health.seen is Seen.KNOWN:
            none = line(Span("○ cluster: nothing published yet; the leader's work does that"))
        return (none, line(foreign(detail, Tone.DIM, LONG)) if detail else (), ())
    over = not status.health_is_current
    return (
        joined(_verdict(record, over=over)),
        joined(_why(record, over=over)),
        joined(_told_by(record, status)),
    )


def _verdict(record: ClusterHealthRecord, *, over: bool) -> Iterator[Line]:
    good = record.verdict == "healthy"
    if over:
        known = Span("? cluster NOT KNOWN NOW", Tone.WARN)
        yield line(known, ", last ", foreign(record.verdict))
    else:
        tone = Tone.GOOD if good else Tone.BAD
        verdict = foreign(record.verdict.upper(), tone)
        yield line(Span("● " if good else "✖ ", tone), "cluster ", verdict)
    counts = {"nodes": record.nodes, "candidates": record.candidates, "pollers": record.pollers}
    for name, count in counts.items():
        down = Span(f" {count.down} down", Tone.BAD if count.down and not over else Tone.DIM)
        yield line(f"{name} {count.up} up", down)


def _why(record: ClusterHealthRecord, *, over: bool) -> Iterator[Line]:
    for reason in record.reasons:
        yield line(foreign(reason, Tone.STRONG), f": {health_reason(reason)}")
    if record.down:
        names = ", ".join(plain(name) for name in record.down[:_SHOWN_NAMES])
        more = len(record.down) - _SHOWN_NAMES
        yield line(Span("down ", Tone.DIM), Span(names), f" and {more} more" if more > 0 else None)
    elif not record.reasons:
        yield line(Span("everybody was up" if over else "everybody is up", Tone.DIM))


def _told_by(record: ClusterHealthRecord, status: ClusterStatus) -> Iterator[Line]:
    yield line(Span("told by ", Tone.DIM), foreign(record.leader), f" in term {record.term}")
    if record.at is not None:
        since = ago((status.now_ms - ms_of(record.at)) / 1000)
        # It is written anew, changed or not: since when it is so nothing tells.
        yield line(f"looked {since}")
    if not status.health_is_current:
        yield line(Span("! of a term that is over", Tone.WARN))


# --- the doctor -----------------------------------------------------------------------------------


def doctor(snapshot: Snapshot, now: float) -> Line:
    """What the doctor does, or how it came out."""
    examination = snapshot.examination
    if examination is None:
        said_ = "doctor: not asked yet; r has it look, reading only"
        return line(Span("○ ", Tone.DIM), Span(said_, Tone.PLAIN))
    if examination.progress is not None:
        return _at_work(examination, now)
    if examination.error is not None:
        why = failure_words(examination.error)
        said_ = f"✖ doctor: {why}: {plain(str(examination.error), LONG)}"
        return line(Span(said_, Tone.BAD))
    off = Span("called off; r looks again  ", Tone.WARN) if examination.called_off else None
    report = examination.report
    if report is None:
        return line(Span("○ doctor: ", Tone.DIM), off)
    return line(*_outcome(report), off, Span(f"  looked {_ago(examination, now)}", Tone.DIM))


def _at_work(examination: Examination, now: float) -> Line:
    progress = examination.progress
    assert progress is not None
    total = duration(now - examination.began_at)
    text_ = f"◔ doctor: {_STAGES[progress.stage]}"
    if progress.lasts_s is not None:
        left = max(0.0, progress.lasts_s - (now - examination.stage_at))
        text_ += f", {duration(left + 0.999)} left"
    before = "" if examination.report is None else f"; below is from {_ago(examination, now)}"
    return line(Span(text_, Tone.STRONG), Span(f"  ({total}; x calls it off{before})", Tone.DIM))


def _ago(examination: Examination, now: float) -> str:
    return ago(now - examination.reported_at)


def _outcome(report: Report) -> Iterator[Span]:
    counts = Counter(finding.severity for finding in report.findings)
    worst = report.severity
    symbol, tone = ("●", Tone.GOOD) if worst is None else SEVERITIES[worst]
    yield Span(f"{symbol} doctor: ", tone)
    if worst is None:
        yield Span("nothing is wrong", tone)
    words = {Severity.CRITICAL: "critical", Severity.WARNING: "warning", Severity.INFO: "note"}
    told_ = [
        f"{count} {word}{'s' if count > 1 and each is not Severity.CRITICAL else ''}"
        for each, word in words.items()
        if (count := counts[each])
    ]
    yield Span(", ".join(told_), tone)


def notes(snapshot: Snapshot) -> tuple[Line, ...]:
    """What was looked at and is fine, and what could not be looked at."""
    examination = snapshot.examination
    if examination is None or examination.report is None:
        return ()
    report = examination.report
    found: list[Line] = []
    by_why: dict[str, list[str]] = {}
    for skipped in report.skipped:
        by_why.setdefault(skipped.why, []).append(skipped.subject.value)
    for why, subjects in by_why.items():
        names = ", ".join(subjects)
        found.append(line(Span(f"? not looked at, or not all: {names} ({plain(why, 200)})")))
    if report.fine:
        names = ", ".join(subject.value for subject in report.fine)
        found.append(line(Span(f"● fine: {names}", Tone.DIM)))
    return tuple(found)


def none(snapshot: Snapshot) -> Line:
    """Why there is no finding."""
    examination = snapshot.examination
    if examination is None or (examination.report is None and examination.progress is None):
        return line(Span("r examines the election: it reads only, and disturbs nobody", Tone.DIM))
    if examination.report is None:
        return line(Span("the doctor is at work", Tone.DIM))
    return line(Span("● nothing is wrong", Tone.GOOD))


def detail(row: FindingRow) -> Iterator[Part]:
    """What was found, what it means and what to do."""
    finding = row.finding
    symbol, tone = SEVERITIES[finding.severity]
    severity = Span(f"{symbol} {finding.severity.value.upper()}  ", tone)
    yield (
        "Finding",
        line(severity, Span(row.code, Tone.STRONG), Span(f"  {row.subject}", Tone.DIM)),
    )
    yield said("Found", finding.said)
    yield told("Means", finding.means)
    yield told("Do", by_key(finding.do), Tone.STRONG)
    section = reference(finding.runbook)
    yield ("Runbook", line(section, Span(" (enter opens it)", Tone.DIM)))


def _severity(row: FindingRow, _: int) -> Line:
    symbol, tone = SEVERITIES[row.finding.severity]
    return line(Span(f"{symbol} {row.finding.severity.value}", tone))


LAYOUT: Layout[FindingRow] = Layout(
    (
        Column("severity", "Severity", 0, _severity, by("number"), width=10),
        Column("code", "Code", 0, text("code", 40, Tone.STRONG), by("code")),
        Column("subject", "About", 100, text("subject", 12), by("subject")),
        Column("said", "Found", 0, text("said", 300), by("said")),
    ),
    gives=(("said", 16),),
)
