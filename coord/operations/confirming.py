"""What an operator says to a preview, and whether what they confirmed is still so. Pure."""

from __future__ import annotations

from dataclasses import replace

from coord.config.values import parse_duration
from coord.operations.asks import Ask
from coord.operations.model import Preview, RefusalCode, Refused
from coord.status.words import plain

UNSAID = "(not said yet)"
"""What stands for the reason while it is only looked what would be done."""


def parse_for(text: str) -> float:
    """How long, in seconds, as somebody writes it: `90s`, `30m`, `2h`.

    Raises:
        ValueError: that is no duration, or says no unit.
    """
    if text.strip()[-1:].isdigit():
        # Elsewhere that is milliseconds: hardly what is meant here.
        raise ValueError("say the unit, as in 90s, 30m or 2h")
    return parse_duration(text)


def asked_name(plan: Preview) -> str:
    """What is to be typed to confirm, as it can be typed; "" where nothing is."""
    return plain(plan.confirm_name)


def confirms(plan: Preview, typed: str) -> bool:
    """Whether that name confirms it."""
    return typed in (plan.confirm_name, asked_name(plan))


def pinned(plan: Preview, reason: str) -> Ask:
    """The same, decided on the term that was shown."""
    term = plan.ask.expected_term if plan.leader is None else plan.basis.term
    return replace(plan.ask, reason=reason, expected_term=term)


def confirmed(shown: Preview, again: Preview | Refused, reason: str) -> Preview | Refused:
    """What is to be done of what was shown and confirmed, or why it is not to be done any more.

    again: what the same, `pinned`, looks like now. Asking may have taken a while. What is written
    is checked once more as it is written.
    """
    if isinstance(again, Refused):
        return again
    if again.interrupts != shown.interrupts or again.successor != shown.successor:
        return Refused(
            code=RefusalCode.CHANGED_MEANWHILE,
            sentence="it is no longer as it was shown: another node would follow, or none",
            hint="look again, and decide anew",
        )
    return replace(shown, ask=replace(shown.ask, reason=reason))
