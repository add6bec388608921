"""What a look at Consul showed, and what an operation would do by it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from coord.config import Settings
from coord.operations import Ask, Looked, Preview, Refused, preview


@dataclass(frozen=True, slots=True)
class Sight:
    """One look. settings: the operator's own, for what the fleet does not tell."""

    looked: Looked
    settings: Settings

    def plan(self, ask: Ask) -> Preview | Refused:
        """What it would do, or why it is not to be done."""
        return preview(
            self.looked.status,
            self.looked.controls,
            ask,
            self.settings.timing,
            polls_running=self.looked.polls_running,
        )
