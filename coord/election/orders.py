"""What operators ask, as one candidate knows it: to pause, to drain nodes, to step down. Pure."""

from __future__ import annotations

from coord.election.commands import Command, ForgetPause
from coord.election.events import OrdersSeen, Request
from coord.election.reasons import StepDownReason

MAX_PAUSE_S = 86_400.0
"""No pause lasts longer than a day, whatever its record says."""

_NEVER = float("-inf")


class Orders:
    """What is asked now.

    A pause is counted by our own clock from when we first saw it, so that no two clocks need agree;
    it ends by itself.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self.drained: frozenset[str] = frozenset()
        self.paused_until = _NEVER
        self._pause = ""
        self._ended = True
        self._request: Request | None = None
        self._awaited_until = _NEVER
        self._awaited = False

    # -- learning it -----------------------------------------------------------------------

    def expect(self) -> None:
        """They will be told: do not campaign before, unless it takes too long (`patience_ends`)."""
        self._awaited, self._awaited_until = True, float("inf")

    def patience_ends(self, at: float) -> None:
        """Consul answers otherwise: wait no longer than until then."""
        if self._awaited:
            self._awaited_until = min(self._awaited_until, at)

    def seen(self, event: OrdersSeen, now: float) -> None:
        """Take in what is asked as of now; what is not named is asked no more."""
        self._awaited, self._awaited_until = False, _NEVER
        self.drained = event.drained
        self._request = event.request
        pause = event.pause
        if pause is None:
            self._pause, self.paused_until, self._ended = "", _NEVER, True
        elif pause.id != self._pause:
            self._pause, self._ended = pause.id, False
            self.paused_until = now + min(pause.lasts, MAX_PAUSE_S)

    # -- what it means ---------------------------------------------------------------------

    @property
    def drains_us(self) -> bool:
        """Whether we are to lead only if nobody else does."""
        return self._node in self.drained

    def asked_of(self, term: int) -> Request | None:
        """What the leader of that term is asked to do itself."""
        request = self._request
        if request is None or request.term != term or request.reason is StepDownReason.FORCED:
            return None
        return request

    @property
    def forced_term(self) -> int | None:
        """The term whose leader's session an operator destroys."""
        request = self._request
        forced = request is not None and request.reason is StepDownReason.FORCED
        return request.term if forced and request is not None else None

    @property
    def pause_kept(self) -> str:
        """The id of the request by which it is paused; "" if it is not."""
        return "" if self._ended else self._pause

    def held_back_until(self, last_resort_at: float) -> float:
        """Until when we must not try for a vacancy, in which a drained node may from then on."""
        drained = last_resort_at if self.drains_us else _NEVER
        return max(self.paused_until, self._awaited_until, drained)

    @property
    def ends_at(self) -> float | None:
        """When the pause that stands is over, until `ended` has told of it."""
        return None if self._ended else self.paused_until

    def ended(self, now: float) -> list[Command]:
        """What is to be done about a pause that is over by now, once."""
        if self._ended or now < self.paused_until:
            return []
        self._ended = True
        return [ForgetPause(self._pause)]
