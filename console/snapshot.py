"""What the console knows at one moment: one frozen value, of which everything shown is made."""

from __future__ import annotations

from dataclasses import dataclass, replace

from coord.consul import ConsulError
from coord.history import Past
from coord.status import ClusterStatus


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
class Snapshot:
    """Everything at one moment.

    address: of the Consul that is asked, as people write it.
    status: the election as it was last read; None: it never was.
    read_at: when that reading began, in seconds by the monotonic clock.
    failing: why `status` is not read now; None: it is.
    past: history and journal as they were last read; None: they never were.
    past_error: why they are not read now; None: they are.
    """

    election: str
    address: str = ""
    status: ClusterStatus | None = None
    read_at: float = 0.0
    failing: Failing | None = None
    past: Past | None = None
    past_error: ConsulError | None = None
    contact: Contact = Contact()

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
