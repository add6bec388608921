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

SHOWN = 64
OLD = " (old)"
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
    """Wall-clock milliseconds since 1970 as a moment in UTC."""
    return when(datetime.fromtimestamp(wall_ms / 1000, tz=UTC))
