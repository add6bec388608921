"""What the election notices, as the telemetry hands it out."""

from __future__ import annotations

from dataclasses import dataclass

from coord.clock import SystemClock
from coord.election import commands as cmd
from coord.election.reasons import Cause
from coord.notices import Notices
from coord.telemetry import Event, LeaderDown, Telemetry


@dataclass(frozen=True)
class Who:
    node: str = "core-1"
    node_type: str = "core"
    election: str = "coordinator"


def test_of_a_leader_that_is_gone_its_term_is_told() -> None:
    clock = SystemClock()
    telemetry = Telemetry(Who(), clock)
    told: list[Event] = []
    telemetry.attach_inline(told.append)
    notices = Notices(telemetry, "core-1", clock)
    notices.tell(cmd.LeaderGone("core-2", Cause.DIED, 7))
    notices.tell(cmd.LeaderGone("core-2", Cause.DIED))
    first, second = told
    assert isinstance(first, LeaderDown)
    assert (first.former_leader, first.cause, first.term) == ("core-2", Cause.DIED, 7)
    assert second.term is None
