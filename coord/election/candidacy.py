"""What one candidate keeps, and what can be seen of it from outside."""

from __future__ import annotations

from collections.abc import Collection

from coord.election.campaign import Campaign
from coord.election.lookout import Lookout
from coord.election.orders import Orders
from coord.election.reads import Reads
from coord.election.reasons import WhyNot
from coord.election.sessions import Sessions
from coord.election.state import State
from coord.election.tenure import Tenure
from coord.election.timing import Timing

_GIVES_WAY = (State.COOLING, State.STEPPING_DOWN, State.STOPPED, State.SUSPENDED)


class Candidacy:
    """Where one candidate (or observer) of one election stands. `machine.Election` moves it.

    Args:
        node: this node's name, as records name it.
        timing: every duration it keeps to.
        eligible: whether it may lead; an observer only follows who does.
        jitter: from 0 to 1, this candidate's place among those that no leader named.
        own_sessions: sessions that this process had before; found on the key they are destroyed.
    """

    def __init__(
        self,
        node: str,
        timing: Timing,
        *,
        eligible: bool = True,
        jitter: float = 0.0,
        own_sessions: Collection[str] = (),
    ) -> None:
        self.node = node
        self.timing = timing
        self.state = State.JOINING if eligible else State.OBSERVER
        self.lookout = Lookout(timing)
        self.orders = Orders(node)
        self.campaign = Campaign(node, timing, jitter, self.lookout, self.orders)
        self.sessions = Sessions(own_sessions)
        self.tenure: Tenure | None = None
        self.contact: WhyNot | None = WhyNot.CONSUL_UNREACHABLE
        """Why the last consistent read failed; None if it did not."""
        self._reads = Reads(timing)
        self._shutting_down = False
        self._runs = 0

    @property
    def term(self) -> int | None:
        """The term that is held, or is being given back."""
        return self.tenure.term if self.tenure else None

    @property
    def lease_until(self) -> float | None:
        """Until when the work may go on; None where nothing is led."""
        return self.tenure.lease_until if self.tenure and self.state is State.LEADING else None

    def why_not(self, now: float) -> WhyNot | None:
        """Why this candidate does not lead at the moment; None if it does."""
        if self.state is State.LEADING:
            return None
        if self.state is State.OBSERVER:
            return WhyNot.NOT_ELIGIBLE
        if self.contact is not None:
            return self.contact
        if self.state in _GIVES_WAY:
            return WhyNot.COOLING_DOWN
        if self.sessions.current is None:
            return self.sessions.refused or WhyNot.NO_SESSION
        vacancy = self.lookout.vacancy
        if vacancy is None:
            return WhyNot.DRAINED if self.orders.drains_us else WhyNot.HELD_BY_OTHER
        return self.campaign.why_not(vacancy, now)

    @property
    def waits_until(self) -> float | None:
        """Until when what `why_not` names lasts, where that is known."""
        if self.state is State.COOLING:
            return self.campaign.cooled_at
        if self.state is State.WAITING:
            return self.campaign.due_at
        return self.sessions.wake_at if self.state is State.JOINING else None

    @property
    def wake_at(self) -> float | None:
        """When to send the next `Tick`; None if there is nothing to wait for."""
        if self.state is State.STOPPED:
            return None
        times = [self._reads.wake_at, self.tenure.wake_at if self.tenure else None]
        if self.state in (State.JOINING, State.COOLING):
            times.append(self.sessions.wake_at)
        if self.state is State.WAITING and self._may_acquire():
            times.append(self.campaign.due_at)
        if self.state is State.COOLING:
            times.append(self.campaign.cooled_at)
        times.append(self.orders.ends_at)
        return min((time for time in times if time is not None), default=None)

    def _next_run(self) -> int:
        """The number of the next run of the work."""
        self._runs += 1
        return self._runs

    def _may_acquire(self) -> bool:
        """Whether only time stands between us and an attempt."""
        return self.contact is None and not self._shutting_down and self.campaign.open
