"""The line of a recording that is played: where it is, how fast, and where the leader changed."""

from __future__ import annotations

from collections.abc import Sequence

from console.recording.frame import Frame
from console.recording.player import Player, index_at
from console.view.line import Line, Span, Tone, line
from coord.status.words import at as moment
from coord.status.words import duration

HEAD, DONE, AHEAD = "●", "━", "─"
LED, VACANT = "▲", "✖"
"""A leader took over there; or nobody led from there on."""

_SHORTEST = 12


def speed_words(speed: float) -> str:
    """How fast, as it stands on the line."""
    return f"{speed:g}x"


def wall_ms(frames: Sequence[Frame], at: float) -> int:
    """The wall clock there, in milliseconds since 1970; 0: no status had been read by then."""
    frame = frames[index_at(frames, at)]
    return frame.wall_ms + round((at - frame.at) * 1000) if frame.wall_ms else 0


def replay_line(
    frames: Sequence[Frame], player: Player, now: float, width: int, *, torn: bool = False
) -> Line:
    """All of it in `width` columns, when it is `now` for who looks."""
    here = player.at(now)
    end = line(
        Span(f" {_place(frames, here)}", Tone.DIM),
        Span(", torn at its end", Tone.WARN) if torn else None,
    )
    for whole in (True, False):
        began = _began(frames, player, now, whole=whole)
        room = width - sum(len(span.text) for span in (*began, *end))
        if room >= _SHORTEST:
            return (*began, *_bar(frames, player, here, room), *end)
    return (*began, *end)


def _began(frames: Sequence[Frame], player: Player, now: float, *, whole: bool) -> Line:
    """How it is played, and where it is; with dates and lengths where there is room."""
    here = player.at(now)
    mode = "▶" if player.plays(now) else "‖"
    clock = _clock(frames, here, whole=whole)
    length = f" of {duration(player.end - player.begin)}" if whole else ""
    return line(
        Span("REPLAY ", Tone.WARN),
        Span(f"{mode} {speed_words(player.speed)} ", Tone.STRONG),
        Span(clock, Tone.STRONG),
        f" +{duration(here - player.begin)}{length} ",
    )


def _place(frames: Sequence[Frame], here: float) -> str:
    """Which of the changes is shown."""
    shown = index_at(frames, here)
    place = sum(frame.told for frame in frames[: shown + 1])
    return f"change {place} of {place + sum(frame.told for frame in frames[shown + 1 :])}"


def _clock(frames: Sequence[Frame], at: float, *, whole: bool) -> str:
    """whole: with the date."""
    ms = wall_ms(frames, at)
    if not ms:
        return "no status was read yet"
    try:
        told = moment(ms)
    except (OverflowError, ValueError, OSError):
        return f"{ms} ms"
    return told if whole else told.partition(" ")[2].removesuffix(" UTC")


def _bar(frames: Sequence[Frame], player: Player, here: float, width: int) -> Line:
    """The whole tape: what has passed, the head, and a mark for each change of leader."""
    length = max(player.end - player.begin, 0.001)

    def cell(at: float) -> int:
        return min(width - 1, int((at - player.begin) / length * width))

    head = cell(here)
    marks: dict[int, Span] = {}
    for frame in frames:
        if frame.changed:
            lost = frame.leads is None
            mark = Span(VACANT, Tone.BAD) if lost else Span(LED, Tone.GOOD)
            if lost or cell(frame.at) not in marks:
                marks[cell(frame.at)] = mark
    spans = []
    for each in range(width):
        if each == head:
            spans.append(Span(HEAD, Tone.STRONG))
        else:
            plain = Span(DONE) if each < head else Span(AHEAD, Tone.DIM)
            spans.append(marks.get(each, plain))
    return tuple(spans)
