"""What the console knows at one moment: one frozen value, of which everything shown is made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from coord.consul import ConsulError
from coord.doctor import Progress, Report
from coord.history import Past
from coord.runbooks import Runbook
from coord.status import ClusterStatus
from coord.status.elections import ElectionListing
from coord.status.sessions import SessionListing

if TYPE_CHECKING:  # it takes long to load, and the first picture does without
    from coord.polling.board import PollBoard
    from coord.polling.summary import PollSummary


@dataclass(frozen=True, slots=True)
class Failing:
    """Consul cannot be read.

    since: since when, in seconds by the monotonic clock: from the last reading that succeeded, or
        from the first attempt where none did.
    error: what came of the latest attempt that was told.
    """

    since: float
    error: ConsulError


@dataclass(frozen=True, slots=True)
class Contact:
    """How Consul itself answers.

    latency_ms: how long it took to say who leads its servers; None: it did not.
    servers: the addresses of its servers; None: not told.
    """

    latency_ms: float | None = None
    servers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What the doctor does, or found last.

    progress: how far it is; None: it is not at work. Then
    stage_at: since when it is that far; and else since when there is `report`, or `error`, or that
        it was called off; all in seconds by the monotonic clock.
    began_at: when it began, likewise.
    report: what it found last, also while it looks anew; None: it never came to an end.
    reported_at: when it found that.
    error: why it came to no end; None: it did, or it is at work.
    called_off: somebody stopped it.
    """

    began_at: float
    stage_at: float
    progress: Progress | None = None
    report: Report | None = None
    reported_at: float = 0.0
    error: ConsulError | None = None
    called_off: bool = False


class Answer(StrEnum):
    """What came of asking a node."""

    ANSWERED = "answered"
    UNREACHABLE = "unreachable"
    UNREADABLE = "unreadable"
    """What answers there does not answer as a node does."""
    ANOTHER = "another"
    """Another node than Consul has there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSaid:
    """What a node says of itself, by its `/api/health`.

    node, address: as Consul has them.
    state, why_not, leader_node, term, consul: as it says, "" or None where it says none.
    detail: what more it says of why it does not lead; or what is wrong, where it did not answer.
    since: since when it says that state, or does not answer, as far as it was asked, in seconds by
        the monotonic clock.
    answered_before: it does not answer any more, but did.
    """

    node: str
    address: str
    answer: Answer
    state: str = ""
    why_not: str = ""
    detail: str = ""
    leader_node: str = ""
    term: int | None = None
    consul: str = ""
    since: float = 0.0
    answered_before: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the nodes said in one round.

    at: when it began, in seconds by the monotonic clock.
    leader_node, term: who led then, as Consul had it; None: nobody, or it cannot be read. Likewise
    since: since when Consul showed that, as far as it was read.
    left_out: how many were not asked.
    """

    at: float
    leader_node: str | None
    term: int | None
    since: float
    nodes: tuple[NodeSaid, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Elections:
    """Which elections there are. error: why that could not be read; None: it was."""

    listing: ElectionListing | None = None
    error: ConsulError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything at one moment.

    address: of the Consul that is asked, as people write it.
    status: the election as it was last read; None: it never was.
    read_at: when that reading began, in seconds by the monotonic clock.
    failing: why `status` is not read now; None: it is.
    past: history and journal as they were last read; None: they never were.
    past_error: why they are not read now; None: they are.
    sessions: the sessions as they were last read, which is while somebody looks at them.
    sessions_at: when that was, in seconds by the monotonic clock.
    sessions_error: why they are not read now; None: they are.
    polls: how what is polled fares, as it was last read; None: it never was.
    poll_board: every schedule, as read with `polls`.
    polls_error: why that is not read now; None: it is.
    said: what the nodes say themselves; None: they were not asked.
    examination: what the doctor does, or found last; None: nobody asked for it.
    runbooks: all there are.
    """

    election: str
    address: str = ""
    status: ClusterStatus | None = None
    read_at: float = 0.0
    failing: Failing | None = None
    past: Past | None = None
    past_error: ConsulError | None = None
    contact: Contact = Contact()
    sessions: SessionListing | None = None
    sessions_at: float = 0.0
    sessions_error: ConsulError | None = None
    polls: PollSummary | None = None
    poll_board: PollBoard | None = None
    polls_error: ConsulError | None = None
    said: Said | None = None
    examination: Examination | None = None
    runbooks: tuple[Runbook, ...] = ()

    def age_s(self, now: float) -> float:
        """How old `status` is at monotonic time `now`, in seconds."""
        return max(0.0, now - self.read_at)

    def status_at(self, now: float) -> ClusterStatus | None:
        """The status with the age that it has at monotonic time `now`."""
        if self.status is None:
            return None
        return replace(self.status, age_ms=round(self.age_s(now) * 1000))

    def wall_ms(self, now: float) -> int:
        """The wall clock at monotonic time `now`, in milliseconds since 1970, as this machine had
        it when `status` was read; 0 if it never was."""
        if self.status is None:
            return 0
        return self.status.at_ms + round(self.age_s(now) * 1000)
