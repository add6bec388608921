"""What one seed's world is like: drawn before it begins, so that a seed says all."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from coord.election.timing import Timing

NODES = 5
SERVERS = 3
CLOCKS_OFF = 0.05
"""Each clock goes at most this much too fast or too slow."""

TIMINGS = (
    Timing(),
    Timing(),
    Timing(),
    Timing(lease=1.0, fence_grace=0.3, confirm_interval=0.25, lock_delay=1.0, takeover_delay=0.5),
    Timing(lease=4.0, fence_grace=1.0, confirm_interval=1.0, lock_delay=5.0, takeover_delay=1.0),
    Timing(check_ttl=0.5, lock_delay=1.0, takeover_delay=1.8),
    Timing(suspend_limit=5.0, shutdown_timeout=3.0),
)
"""Settings that are all sound, and differ."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One world.

    seconds: how long faults go on. nodes: how many candidates there are.
    rates: of the clocks, by node; agents and servers have their own.
    timings: each node's settings; most often all the same.
    every_s: mean time between two faults. weights: how often which kind comes, by its name.
    on_leader: how likely a fault is meant for whoever leads.
    stop_s: how long each node's work takes to stop.
    consul_lease_s: how long Consul's leader believes to lead without a majority, from a least to a
        most; as long as this at the most, two of them overlap for seconds.
    """

    seed: int
    seconds: float
    nodes: int
    rates: tuple[float, ...]
    agent_rates: tuple[float, ...]
    server_rates: tuple[float, ...]
    timings: tuple[Timing, ...]
    every_s: float
    weights: dict[str, float]
    on_leader: float
    stop_s: tuple[float, ...]
    consul_lease_s: tuple[float, float]


def draw(
    seed: int,
    kinds: tuple[str, ...],
    *,
    nodes: int = NODES,
    seconds: float = 300.0,
    storm: bool = False,
) -> Plan:
    """The world of that seed.

    storm: faults follow close upon each other, nearly all of them meant for whoever leads: for the
        most elections in the least time.

    Not every kind of fault is in every world: what happens with few kinds at a time, but often, is
    otherwise hidden behind what all of them do together.
    """
    random = Random(f"plan {seed}")
    share = random.choice((0.1, 0.3, 0.6, 0.9))
    some = [kind for kind in kinds if random.random() < share]
    chosen = some or [random.choice(kinds)]
    odd = random.random() < 0.4
    timing = random.choice(TIMINGS)
    return Plan(
        seed=seed,
        seconds=seconds,
        nodes=nodes,
        rates=tuple(_rate(random) for _ in range(nodes)),
        agent_rates=tuple(_rate(random) for _ in range(nodes)),
        server_rates=tuple(_rate(random) for _ in range(SERVERS)),
        timings=tuple(random.choice(TIMINGS[2:]) if odd else timing for _ in range(nodes)),
        every_s=random.choice((0.8, 1.5, 3.0) if storm else (1.5, 4.0, 8.0, 15.0)),
        weights={kind: random.choice((0.3, 1.0, 1.0, 3.0)) for kind in chosen},
        on_leader=0.95 if storm else random.choice((0.3, 0.7, 0.9)),
        stop_s=tuple(random.choice((0.0, 0.0, 0.0, 0.1, 0.4, 2.0)) for _ in range(nodes)),
        consul_lease_s=random.choice(((0.5, 2.5), (0.5, 2.5), (4.0, 8.0))),
    )


def _rate(random: Random) -> float:
    """Half of the clocks are as far off as a clock may be."""
    return 1.0 + random.choice((-CLOCKS_OFF, CLOCKS_OFF, random.uniform(-CLOCKS_OFF, CLOCKS_OFF)))
