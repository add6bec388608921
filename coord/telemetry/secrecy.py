"""What must never be shown: the tokens that this process was given, and those it reads later."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Any

MASK = "***"
"""What stands in a secret's place."""

SHORTEST = 4
"""A secret shorter than this is not looked for: it would hit anything."""

SHORTEST_PART = 8
"""A beginning of a secret is one when it is at least so long, where a text was cut short."""

KEPT = 32
"""So many are known at most: a token file that rotates for years must not cost more and more."""


class Secrets:
    """Strings that are masked wherever they turn up. More of them may come to be known.

    known: those that are known from the start.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known = deque(dict.fromkeys(filter(_long_enough, known)), maxlen=KEPT)
        self._pattern = self._compiled()

    def add(self, secret: str) -> None:
        """Mask this one too, from now on."""
        if _long_enough(secret) and secret not in self._known:
            self._known.append(secret)
            self._pattern = self._compiled()

    def masked(self, text: str) -> str:
        """The text without the secrets, also without one that was cut off at its end."""
        if self._pattern is None:
            return text
        text = self._pattern.sub(MASK, text)
        for secret in self._known:
            for length in range(len(secret) - 1, SHORTEST_PART - 1, -1):
                if text.endswith(secret[:length]):
                    return text[:-length] + MASK
        return text

    def masked_in(self, value: Any) -> Any:
        """The same for all text in a value: a text itself, or in tuples, lists and dicts, also in
        such within. Anything else comes back as it is."""
        if type(value) is str:
            return self.masked(value)
        if type(value) in (tuple, list):
            return type(value)(map(self.masked_in, value))
        if type(value) is dict:
            return {self.masked_in(key): self.masked_in(each) for key, each in value.items()}
        return value

    def _compiled(self) -> re.Pattern[str] | None:
        # The longest first: one may be a part of another.
        parts = sorted(self._known, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, parts))) if parts else None


def _long_enough(secret: str) -> bool:
    return len(secret) >= SHORTEST
