"""Texts from Consul, and times, as people may read them.

Everything that comes from Consul goes through `plain` and into `Text`, which rich does not
interpret: names in there may hold escape sequences, characters that turn the writing direction
around, or rich's own markup.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

from rich.text import Text

from coord.consul import CheckStatus
from coord.members import Seen
from coord.records import PauseRecord

SHOWN = 64
OLD = " (old)"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STYLES = {
    CheckStatus.PASSING: "green",
    CheckStatus.WARNING: "yellow",
    CheckStatus.CRITICAL: "red",
}
SEEN = {
    Seen.UNKNOWN: "none seen; whether there are any cannot be told: the token may not see them",
    Seen.NOT_PERMITTED: "not permitted: the token may not see them (service:read, node:read)",
    Seen.UNAVAILABLE: "not known: Consul did not answer this",
}


def plain(text: str, limit: int = SHOWN) -> str:
    r"""`text` with everything invisible or directing made visible as ``\u202e``, and shortened.

    Letters of any script, marks, numbers, punctuation, symbols and the plain space stay.
    """
    shown = "".join(_visible(char) for char in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _visible(char: str) -> str:
    if char == " " or unicodedata.category(char)[0] in "LMNPS":
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def foreign(text: str, style: str = "") -> Text:
    """A text from Consul, as rich shows it untouched; an empty one as a dash."""
    return Text(plain(text) or "-", style=style if text else "dim", overflow="fold")


def ago(seconds: float) -> str:
    """How long ago that is, in words."""
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"


def duration(seconds: float) -> str:
    """A duration in at most two units, rounded down."""
    left = max(0, int(seconds))
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    words = []
    for unit, size in units:
        amount, left = divmod(left, size)
        if amount:
            words.append(f"{amount} {unit}")
    return " ".join(words[:2]) or "0 s"


def when(moment: datetime | None) -> str:
    """The moment in UTC; a dash for none."""
    if moment is None:
        return "-"
    try:
        moment = moment.astimezone(UTC)
    except (OverflowError, ValueError):  # year 1 or 9999, in a record that somebody made up
        return plain(moment.isoformat())
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def at(wall_ms: int) -> str:
    """Wall-clock milliseconds since 1970 as a moment in UTC; beyond dates, the number itself."""
    try:
        moment = datetime.fromtimestamp(wall_ms / 1000, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return f"{wall_ms} ms"
    return when(moment)


def exactly(wall_ms: int | None) -> str:
    """Wall-clock milliseconds since 1970 as a moment in UTC, to the millisecond; a dash for none.

    Beyond what a date can say: the number itself.
    """
    if wall_ms is None:
        return "-"
    try:
        moment = datetime.fromtimestamp(wall_ms // 1000, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return f"{wall_ms} ms"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{wall_ms % 1000:03d}"


def ms_of(moment: datetime) -> int:
    """A moment in wall-clock milliseconds since 1970; one without a zone is taken as UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round((aware - _EPOCH).total_seconds() * 1000)


def span(milliseconds: int) -> str:
    """A short time as it was measured: ``14 ms``, ``31.7 s``, ``3 min 20 s``."""
    if abs(milliseconds) < 1000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.1f} s" if abs(seconds) < 120 else duration(seconds)


def pause_left_ms(pause: PauseRecord, now_ms: int) -> int:
    """About how long it lasts, in milliseconds; below zero: it was to be over by now.

    Each node counts by its own clock from when it saw it. This goes by the clock of whoever asked
    for it and that of whoever looks, which may differ.
    """
    return ms_of(pause.at) + pause.for_ms - now_ms


def left(milliseconds: int) -> str:
    """About how long something goes on, in words."""
    if milliseconds < 0:
        return f"was to end {ago(-milliseconds / 1000)}"
    return f"about {duration(milliseconds / 1000)} left"
