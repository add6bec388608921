"""Who led over the last hours, as a line of cells, with a mark for each change by its cause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise

from console.snapshot import Snapshot
from console.view.headline import is_old
from console.view.line import SERIES, Line, Span, Tone, foreign, joined, line, text_of
from console.view.vacancy import goes_on, vacant_since_ms
from coord.history import Suspension, Tenure, Until
from coord.history.text import whole_gap
from coord.status.reasons import CAUSES
from coord.status.words import ago, duration, plain

WINDOWS_S = (60, 300, 900, 3_600, 21_600, 86_400, 604_800)
"""The windows to choose from, in seconds: a minute to a week."""

SHOWN_CHANGES = 4
"""The window that is chosen when none is asked for shows at least so many changes, if it can."""

CLEAN = frozenset({"handed_over", "stepped_down", "transferred"})
BY_HAND = frozenset({"released_by_hand", "deleted", "unreadable", "restored"})
HANDED, LOST, HAND, BEGUN = "▲", "✖", "◆", "┼"
"""The marks: handed over, lost, by a hand in Consul, and the first or one of unknown cause."""

NOBODY, UNKNOWN, LED, SUSPENDED = "░", "·", "━", "╍"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which one node led, or (node "") nobody did; in wall-clock milliseconds.

    known: whether it is; else `node` is who led at its beginning, and until when nothing tells.
    works: whether the work of who led went on; it was suspended otherwise.
    """

    node: str
    begin_ms: int
    end_ms: int
    known: bool = True
    works: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """A leader began: when, who led before ("": nobody, or not told), how that had ended."""

    at_ms: int
    tenure: Tenure
    before: Tenure | None

    @property
    def mark(self) -> str:
        """The mark of its cause."""
        cause = "" if self.before is None else self.before.cause_told
        if cause in CLEAN:
            return HANDED
        if cause in BY_HAND:
            return HAND
        return LOST if self.before is not None and cause not in ("", "unknown") else BEGUN


def stretches(tenures: Sequence[Tenure], now_ms: int) -> tuple[Stretch, ...]:
    """Who led when, the earliest first, as far as it is known; `tenures` has the latest first.

    now_ms: until when anything is known.
    """
    found: list[Stretch] = []
    for i in reversed(range(len(tenures))):
        tenure = tenures[i]
        after = tenures[i - 1] if i else None
        begin = tenure.from_ms
        end = now_ms if tenure.until is Until.GOES_ON else tenure.until_ms
        if begin is None:
            continue
        known = end is not None
        if end is None:
            end = after.from_ms if after is not None and after.from_ms is not None else now_ms
        if found:
            if begin > found[-1].end_ms:
                found.append(Stretch("", found[-1].end_ms, begin))
            begin = max(begin, found[-1].end_ms)
        whole = Stretch(tenure.node, begin, max(begin, min(end, now_ms)), known)
        found += _interrupted(whole, tenure.stops) if known else [whole]
    if found and found[-1].end_ms < now_ms:
        found.append(Stretch("", found[-1].end_ms, now_ms))
    return tuple(found)


def _interrupted(led: Stretch, stops: Sequence[Suspension]) -> Iterator[Stretch]:
    """The stretch in parts: those in which the work went on, and those in which it did not."""
    at = led.begin_ms
    for stop in stops:
        if stop.since_ms is None:
            continue
        begin = min(max(at, stop.since_ms), led.end_ms)
        until = led.end_ms if stop.lasted_ms is None else stop.since_ms + stop.lasted_ms
        end = min(max(begin, until), led.end_ms)
        if begin == end:
            continue
        if at < begin:
            yield replace(led, begin_ms=at, end_ms=begin)
        yield replace(led, begin_ms=begin, end_ms=end, works=False)
        at = end
    if at < led.end_ms or at == led.begin_ms:
        yield replace(led, begin_ms=at)


def changes(tenures: Sequence[Tenure]) -> tuple[Change, ...]:
    """The changes, the latest first."""
    return tuple(
        Change(tenure.from_ms, tenure, tenures[i + 1] if i + 1 < len(tenures) else None)
        for i, tenure in enumerate(tenures)
        if tenure.from_ms is not None
    )


def window_s(tenures: Sequence[Tenure], now_ms: int, asked_s: int = 0) -> int:
    """The window to show, in seconds: the one asked for, else the shortest that tells enough."""
    if asked_s:
        return asked_s
    found = changes(tenures)[:SHOWN_CHANGES]
    needed_s = (now_ms - found[-1].at_ms) / 1000 if found else 0
    return next((each for each in WINDOWS_S if each >= needed_s), WINDOWS_S[-1])


def window_words(seconds: int) -> str:
    """The window in words."""
    return duration(seconds)


def timeline(snapshot: Snapshot, now: float, width: int, asked_s: int = 0) -> tuple[Line, ...]:
    """Two lines of `width` cells, who led and the marks; then what the last change was.

    asked_s: the window in seconds; 0: whatever tells enough.
    """
    tenures, now_ms = _tenures(snapshot), snapshot.wall_ms(now)
    if not tenures or width < 10:
        none = "nobody is known to have led" if snapshot.past else "the journal was not read yet"
        return (line(Span(none, Tone.DIM)), (), ())
    size_ms = window_s(tenures, now_ms, asked_s) * 1000
    begin_ms = now_ms - size_ms
    # What was not read since is not known.
    known_ms = snapshot.wall_ms(snapshot.read_at) if is_old(snapshot, now) else now_ms
    bar = _bar(stretches(_ended(snapshot, tenures), known_ms), begin_ms, now_ms, width)
    return (bar, _marks(tenures, begin_ms, size_ms, width), last_change(snapshot, now))


def title(snapshot: Snapshot, now: float, asked_s: int = 0) -> str:
    """How far back the line goes, and how many changes there were in that."""
    tenures, now_ms = _tenures(snapshot), snapshot.wall_ms(now)
    if not tenures:
        return "Leadership"
    seconds = window_s(tenures, now_ms, asked_s)
    count = sum(each.at_ms >= now_ms - seconds * 1000 for each in changes(tenures))
    return f"Leadership, last {window_words(seconds)}: {count} change{'' if count == 1 else 's'}"


def _tenures(snapshot: Snapshot) -> tuple[Tenure, ...]:
    return () if snapshot.past is None else snapshot.past.history.tenures


def _ended(snapshot: Snapshot, tenures: tuple[Tenure, ...]) -> tuple[Tenure, ...]:
    """The tenures, the last with an end where only those tell of it that are to follow."""
    last, since_ms = tenures[0], vacant_since_ms(snapshot) if goes_on(snapshot) else None
    if last.until is not Until.UNKNOWN or since_ms is None:
        return tenures
    return (replace(last, until=Until.SEEN, until_ms=since_ms), *tenures[1:])


def _bar(found: Sequence[Stretch], begin_ms: int, end_ms: int, width: int) -> Line:
    """Each cell shows who led for the most of it; a stretch with room has its name in it."""
    edges = [begin_ms + (end_ms - begin_ms) * i / width for i in range(width + 1)]
    cells = _mains(found, pairwise(edges))
    tones = _tones(found)
    spans: list[Span] = []
    at = 0
    while at < width:
        end = at
        while end < width and cells[end] is cells[at]:
            end += 1
        spans.append(_run(cells[at], end - at, tones, _last(cells, at, end)))
        at = end
    return tuple(spans)


def _last(cells: Sequence[Stretch | None], at: int, end: int) -> str:
    """The last cell of a run, where somebody led: whether that is known to be the end of it."""
    here, after = cells[at], cells[end] if end < len(cells) else None
    goes_on = here is None or after is None or after.node == here.node
    return "" if goes_on else "┫"


def _mains(found: Sequence[Stretch], cells: Iterable[tuple[float, float]]) -> list[Stretch | None]:
    """For each cell, from the left, the stretch that fills the most of it."""
    mains: list[Stretch | None] = []
    first = 0
    for left, right in cells:
        while first < len(found) and found[first].end_ms <= left:
            first += 1
        best, most = None, 0.0
        for each in islice(found, first, None):
            if each.begin_ms >= right:
                break
            within = min(right, each.end_ms) - max(left, each.begin_ms)
            if within > most:
                best, most = each, within
        mains.append(best)
    return mains


def _run(stretch: Stretch | None, width: int, tones: dict[str, Tone], last: str) -> Span:
    """Its cells; `last` is the last of them, where somebody led; "": as the others."""
    if stretch is None:
        return Span(UNKNOWN * width, Tone.DIM)
    if not stretch.node:
        return Span(NOBODY * width, Tone.BAD)
    name, tone = plain(stretch.node, 20), tones[stretch.node]
    fill = UNKNOWN if not stretch.known else LED if stretch.works else SUSPENDED
    last = (last if stretch.known else "") or fill
    tone = tone if stretch.works else Tone.WARN
    first = fill if stretch.known else LED
    # Only plain letters are one cell wide for certain.
    if not name.isascii() or len(name) + 3 > width:
        return Span(first + fill * (width - 2) + last if width > 1 else first, tone)
    return Span(f"{first}{name}{fill * (width - len(name) - 2)}{last}", tone)


def _tones(found: Sequence[Stretch]) -> dict[str, Tone]:
    names = sorted({each.node for each in found if each.node})
    return {name: SERIES[i % len(SERIES)] for i, name in enumerate(names)}


def _marks(tenures: Sequence[Tenure], begin_ms: int, size_ms: int, width: int) -> Line:
    """The marks below the cells in which something changed or stopped; of several, the worst."""
    worst = (LOST, HAND, BEGUN, HANDED, SUSPENDED)
    told = [(change.at_ms, change.mark) for change in changes(tenures)]
    stops = (stop.since_ms for tenure in tenures for stop in tenure.stops)
    told += [(since_ms, SUSPENDED) for since_ms in stops if since_ms is not None]
    found: dict[int, str] = {}
    for at_ms, each in told:
        cell = int((at_ms - begin_ms) * width / size_ms)
        if 0 <= cell <= width:
            cell = min(cell, width - 1)
            found[cell] = min(found.get(cell, each), each, key=worst.index)
    tones = {LOST: Tone.BAD, HAND: Tone.WARN, HANDED: Tone.GOOD, BEGUN: Tone.DIM}
    tones[SUSPENDED] = Tone.WARN
    spans: list[Span] = []
    for cell in range(width):
        mark = found.get(cell)
        spans.append(Span(" ") if mark is None else Span(mark, tones[mark]))
    return _merged(spans)


def _merged(spans: Sequence[Span]) -> Line:
    merged: list[Span] = []
    for each in spans:
        if merged and merged[-1].tone is each.tone:
            merged[-1] = Span(merged[-1].text + each.text, each.tone)
        else:
            merged.append(each)
    return tuple(merged)


def legend(bar: Line = (), marks: Line = ()) -> Line:
    """What the marks mean that stand there, the weightiest first; of no line, all of them."""
    shown = text_of(bar) + text_of(marks)
    meanings = (
        (NOBODY, "nobody", Tone.BAD),
        (LOST, "lost", Tone.BAD),
        (SUSPENDED, "work suspended", Tone.WARN),
        (HANDED, "handed over", Tone.GOOD),
        (HAND, "by hand", Tone.WARN),
        (BEGUN, "first or unknown", Tone.DIM),
        (UNKNOWN, "not known", Tone.DIM),
    )
    return joined(
        (
            line(Span(mark, tone), Span(f" {meaning}", Tone.DIM))
            for mark, meaning, tone in meanings
            if mark in shown or not shown
        ),
        "  ",
    )


def last_change(snapshot: Snapshot, now: float) -> Line:
    """Who took over from whom, when, and why."""
    found = changes(_tenures(snapshot))
    if not found:
        return ()
    change = found[0]
    age = ago((snapshot.wall_ms(now) - change.at_ms) / 1000)
    tenure, before = change.tenure, change.before
    if before is None:
        return line(foreign(tenure.node, Tone.STRONG), f" {age}, the first that is told of")
    parts = [
        line(foreign(before.node), " → ", foreign(tenure.node, Tone.STRONG), f" {age}"),
    ]
    if before.cause_told:
        meaning = CAUSES[before.cause] if before.cause is not None else "not known here"
        parts.append(line(foreign(before.cause_told, Tone.STRONG), f" ({meaning})"))
    if tenure.gap is not None and tenure.gap.total_ms is not None:
        parts.append(line("gap ", Span(whole_gap(tenure.gap), Tone.STRONG)))
    return joined(parts)
