"""A node that may not lead: visible in the catalog, and it follows who does."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from coord.election_loop import ElectionLoop
from coord.registration import CandidateService


class Observer(ElectionLoop):
    """Follows the leader and makes no attempt: it has no session to make one with."""

    def __init__(self, *args: Any, service: CandidateService, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._service = service
        service.note = "observer not_eligible"

    def _background(self) -> list[Coroutine[Any, Any, None]]:
        keep_alive = self._service.keep_alive(
            on_forgotten=lambda: None,
            on_error=self._met,
            on_lag=self._metrics.loop_lag,
            clock=self._clock,
        )
        return [*super()._background(), keep_alive]
