"""The arithmetic of the lease: the safety relation, the wait after a vacancy, the failover budget.

Everything is in seconds on the local monotonic clock. The relation that keeps two leaders apart:

    A confirmation *sent* at t0 saw our session on the key. So the session is invalidated at t0 or
    later, nobody else acquires before t0 + lock_delay, and nobody else works before
    t0 + lock_delay + takeover_delay. We have stopped by t0 + lease + fence_grace.

Each clock may be off by up to 5 %, so with 1.05 / 0.95 < 1.11 it must hold that

    (lease + fence_grace) * 1.11 <= lock_delay + takeover_delay
"""

from __future__ import annotations

from dataclasses import dataclass, fields

CLOCK_TOLERANCE = 1.11
"""How much longer a second of one node may be than of another: 1.05 / 0.95, rounded up."""

LOCK_DELAY_RANGE_S = (1.0, 60.0)
"""Consul accepts lock-delays outside this range and then does not honour them as written."""

SESSION_TTL_RANGE_S = (10.0, 86400.0)
"""Consul refuses session TTLs outside this range."""

COOL_LEAST_S = 1.0
"""How long a node that led stays back even if it is alone: elections must not spin."""

HEIR_TURN_S = 1.0
"""How long everybody else leaves a vacancy alone for the one whom an operator named."""

_ROUNDING_S = 1e-9


class TimingError(ValueError):
    """A timing value, or the relation between several, is unsafe or impossible.

    `field` names the `Timing` field to change first.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Every duration that the election depends on, in seconds. Valid once constructed.

    Raises:
        TimingError: a value is out of its range, or a relation between values does not hold; the
            message quotes the numbers.
    """

    election_interval: float = 5.0
    takeover_delay: float = 1.0
    check_ttl: float = 2.0
    confirm_interval: float = 0.5
    lease: float = 2.0
    fence_grace: float = 0.5
    lock_delay: float = 2.0
    session_ttl: float = 15.0
    suspend_limit: float = 60.0
    shutdown_timeout: float = 30.0
    cool_down: float = 10.0
    """How long a node stays back after it stepped down, was forced off or failed."""
    last_resort: float = 30.0
    """A vacancy older than this ends every cool-down: somebody must lead."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            zero_is_fine = field.name in ("takeover_delay", "cool_down")
            if not (value >= 0 if zero_is_fine else value > 0) or value == float("inf"):
                bound = "zero or more" if zero_is_fine else "more than zero"
                raise TimingError(field.name, f"{field.name} is {value:g} s; it must be {bound}")
        self._check_range("lock_delay", *LOCK_DELAY_RANGE_S, "Consul does not honour others")
        self._check_range("session_ttl", *SESSION_TTL_RANGE_S, "Consul refuses others")
        self._check_range("check_ttl", 0.2, 60.0, "shorter ones fail on any hiccup")
        if 2 * self.confirm_interval > self.lease + _ROUNDING_S:
            raise TimingError(
                "confirm_interval",
                f"2 * confirm_interval ({2 * self.confirm_interval:g} s) must not be more than "
                f"lease ({self.lease:g} s): one missed confirmation would suspend the leader",
            )
        if self.overlap_margin < -_ROUNDING_S:
            raise TimingError(
                "lease",
                f"(lease {self.lease:g} s + fence_grace {self.fence_grace:g} s) * "
                f"{CLOCK_TOLERANCE} = {self.fenced_within * CLOCK_TOLERANCE:g} s is more than "
                f"lock_delay {self.lock_delay:g} s + takeover_delay {self.takeover_delay:g} s = "
                f"{self.lock_delay + self.takeover_delay:g} s: two nodes could work at once; "
                "shorten lease or fence_grace, or lengthen lock_delay or takeover_delay",
            )

    def _check_range(self, name: str, low: float, high: float, why: str) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            raise TimingError(
                name, f"{name} is {value:g} s; it must be from {low:g} s to {high:g} s ({why})"
            )

    @property
    def fenced_within(self) -> float:
        """After its last good confirmation was sent, a leader has stopped within this time."""
        return self.lease + self.fence_grace

    @property
    def overlap_margin(self) -> float:
        """What is left of the wait after the slowest stop on the worst clocks; never negative."""
        return self.lock_delay + self.takeover_delay - self.fenced_within * CLOCK_TOLERANCE

    @property
    def read_deadline(self) -> float:
        """How long a consistent read may take: a leader can miss one and still confirm."""
        return self.lease / 2

    @property
    def heartbeat_interval(self) -> float:
        """How often a candidate passes its own check."""
        return self.check_ttl / 4

    @property
    def renew_interval(self) -> float:
        """How often a session is renewed: seldom enough to cost servers next to nothing."""
        return self.session_ttl * 2 / 3

    def quarantine(self, predecessor_fenced_within: float | None = None) -> float:
        """How long an unknown vacancy must be left alone, counted from when it was seen.

        `predecessor_fenced_within` is what the record of the leader that vanished says of itself
        (None: nothing is known, our own value counts): a predecessor configured to stop later
        than we would is waited for.
        """
        fenced = (
            self.fenced_within if predecessor_fenced_within is None else predecessor_fenced_within
        )
        return max(self.lock_delay + self.takeover_delay, fenced * CLOCK_TOLERANCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a `Timing` costs and buys, in seconds.

    The first four are the worst gaps that are to be expected, from the fault to the next leader's
    work, on a sound network, one fault at a time, where the leader had named its successor.
    """

    clean_end: float
    """The leader stops, or steps down."""
    kill: float
    """Its process dies; nobody speaks for it, its check fails."""
    hang: float
    """Its process stands still; its check fails just so."""
    host_loss: float
    """Its host is gone; found out by gossip."""
    recovery: float
    """However many faults there were, when all of them are over: until somebody leads."""
    outage_unnoticed: float
    """Consul away for no longer than this: the work goes on."""
    outage_ridden_out: float
    """Consul's servers without a leader for no longer than this, the agents well, with nothing to
    write to the catalog just then: the work is suspended, and goes on under the same term."""
    cut_off_ridden_out: float
    """The leader's host cut off from every other for no longer than this: likewise."""
    agent_outage_ridden_out: float
    """The leader's own agent not answering for no longer than this: likewise."""
    overlap_margin: float
    """What is left of the wait after the slowest stop on the worst clocks."""


ROUND_TRIPS_S = 0.25
"""Allowance for the requests of a takeover and the start of the work on a sound network."""

SESSION_RETRY_S = 5.0
"""The longest that a candidate waits before it asks for a session again."""

READ_S = 0.05
"""Allowance for one consistent read on a sound network."""

GOSSIP_DETECTION_S = (5.7, 7.3)
"""The fastest and the slowest that serfHealth was seen to fail after a host was lost, with
Consul's default gossip in a fleet of tens of agents."""


def budget(timing: Timing) -> Budget:
    """The failover budget that `coord config` prints.

    A killed or hung leader is noticed by its check, a lost host by gossip; then the quarantine
    passes.

    After many faults at once a session may be left on the key that neither check nor gossip will
    end: its TTL does, at twice its length. Meanwhile candidates have come to wait longest between
    two tries.

    An outage is not noticed if, at its worst moment, a confirmation sent before it and one sent
    after it are less than a lease apart. It may begin a whole confirm interval after the one. It
    may end just after the last refused read, so that the next is sent another interval later; or
    just after a hanging one has begun, but the first to hang is given up after its deadline.

    An outage that is noticed suspends the work. Where the agents go on and the servers alone are
    away, nothing ends the session but ourselves, after the suspend limit: Consul starts every
    session's TTL anew when it has a leader again. A host that is cut off loses its session when
    gossip, or else the TTL (which runs out at twice its length, counted from the last renewal),
    finds it missing; or sooner, when its check has run out: for as long as an agent cannot pass on
    what it was told, it takes no pass of any check, and a leader that is suspended tells it that it
    works no more. A node whose own agent does not answer loses it when its check is not passed.
    """
    fastest, slowest = GOSSIP_DETECTION_S
    vanished = timing.quarantine() + ROUND_TRIPS_S
    refused = timing.lease - 2 * timing.confirm_interval
    hanging = timing.read_deadline
    if hanging + READ_S > timing.lease - timing.confirm_interval:
        hanging = 0.0
    ttl_lasts = 2 * timing.session_ttl - timing.renew_interval
    suspended = timing.lease - timing.confirm_interval
    check_lasts = timing.check_ttl - timing.heartbeat_interval
    return Budget(
        clean_end=ROUND_TRIPS_S,
        kill=timing.check_ttl + vanished,
        hang=timing.check_ttl + vanished,
        host_loss=slowest + vanished,
        recovery=2 * timing.session_ttl + timing.election_interval + SESSION_RETRY_S + vanished,
        outage_unnoticed=max(0.0, min(refused, hanging) - READ_S),
        outage_ridden_out=timing.suspend_limit,
        cut_off_ridden_out=min(timing.suspend_limit, fastest, ttl_lasts, suspended + check_lasts),
        agent_outage_ridden_out=min(timing.suspend_limit, check_lasts),
        overlap_margin=timing.overlap_margin,
    )
