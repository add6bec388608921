"""The pollers that the leader may send to, and how busy it keeps each. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from coord.config.values import HostPort, parse_host_port
from coord.consul import CheckStatus, ServiceInstance
from coord.polling.records import Assignment, PollError, ScheduleRecord, clip

DEFAULT_CAPACITY = 8
MAX_CAPACITY = 1000
AVOID_MS = 10_000
"""So long a poller that did not answer comes after the others: until one that is gone is known to
be."""


@dataclass(frozen=True, slots=True)
class PollerTarget:
    """One passing poller.

    id: of its service. capacity: how many polls it takes at once.
    kinds: the kinds of check that it has; None: it does not say, so it may have all.
    partition, domain: where it says that it is; "" if it does not.
    """

    id: str
    node: str
    url: str
    capacity: int
    kinds: frozenset[str] | None = None
    partition: str = ""
    domain: str = ""

    def is_assigned(self, schedule: ScheduleRecord) -> bool:
        """Whether the schedule's assignment allows it."""
        match schedule.assignment:
            case Assignment.ANY:
                return True
            case Assignment.SPECIFIC:
                return self.node in schedule.assigned_to
            case Assignment.PARTITION:
                return self.partition in schedule.assigned_to
            case Assignment.DOMAIN:
                return self.domain in schedule.assigned_to

    def has_kinds(self, schedule: ScheduleRecord) -> bool:
        """Whether it has all kinds of check of the schedule."""
        return self.kinds is None or schedule.kinds <= self.kinds


def poller_targets(instances: Iterable[ServiceInstance], election: str) -> list[PollerTarget]:
    """The pollers of this election that pass and can be dialled.

    One whose entry makes no sense is left out: anybody who may register a service writes these.
    """
    targets = []
    for instance in instances:
        host = instance.address or instance.node_address
        if (
            instance.status is CheckStatus.PASSING
            and instance.meta.get("election", election) == election
            and _can_be_dialled(host, instance.port)
        ):
            targets.append(
                PollerTarget(
                    id=instance.id,
                    node=clip(instance.meta.get("node", "") or instance.node),
                    url=f"http://{HostPort(host, instance.port)}",
                    capacity=_capacity(instance.meta.get("capacity", "")),
                    kinds=_kinds(instance.meta.get("kinds", "")),
                    partition=clip(instance.meta.get("partition", "")),
                    domain=clip(instance.meta.get("domain", "")),
                )
            )
    return targets


def _can_be_dialled(host: str, port: int) -> bool:
    try:
        parse_host_port(str(HostPort(host, port)))
    except ValueError:
        return False
    return port >= 1


def _capacity(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return max(1, min(MAX_CAPACITY, int(text)))
    return DEFAULT_CAPACITY


def _kinds(text: str) -> frozenset[str] | None:
    return frozenset(text.split(",")) if text else None


class Pollers:
    """Chooses pollers, and counts what each was given: never more than its capacity."""

    def __init__(self) -> None:
        self._targets: dict[str, PollerTarget] = {}
        self._in_flight: dict[str, int] = {}
        self._turn: dict[str, int] = {}
        self._turns = 0
        self._avoided_until_ms: dict[str, int] = {}

    def update(self, targets: Iterable[PollerTarget]) -> None:
        """These are the pollers now."""
        self._targets = {target.id: target for target in targets}
        avoided = self._avoided_until_ms.items()
        self._avoided_until_ms = {id_: ms for id_, ms in avoided if id_ in self._targets}

    def avoid(self, target: PollerTarget, wall_ms: int) -> None:
        """It did not answer: for a while it comes after the others."""
        self._avoided_until_ms[target.id] = wall_ms + AVOID_MS

    @property
    def known(self) -> int:
        """How many there are."""
        return len(self._targets)

    @property
    def room(self) -> int:
        """How many more polls they take together."""
        return sum(
            max(0, target.capacity - self._in_flight.get(target.id, 0))
            for target in self._targets.values()
        )

    def lack(self, schedule: ScheduleRecord) -> PollError | None:
        """Why no poller can run it, however long it waits for room; None: one can."""
        if not self._targets:
            return PollError.NO_POLLER
        assigned = [t for t in self._targets.values() if t.is_assigned(schedule)]
        if not assigned:
            return PollError.NOT_ASSIGNED
        return None if any(t.has_kinds(schedule) for t in assigned) else PollError.NO_KIND

    def take(
        self, schedule: ScheduleRecord, wall_ms: int, tried: Collection[str] = ()
    ) -> PollerTarget | None:
        """Choose one with room that can run it, and count a poll for it; `release` gives it back.

        Of several, one that is not in `tried`, nor to be avoided, and of another domain than those
        that were tried; then the least busy; then the one longest not chosen. None: there is none,
        or none has room.
        """
        domains = {t.domain for t in self._targets.values() if t.id in tried} - {""}
        free = [
            (
                t.id in tried,
                wall_ms < self._avoided_until_ms.get(t.id, 0),
                t.domain in domains,
                self._in_flight.get(t.id, 0) / t.capacity,
                self._turn.get(t.id, 0),
                t.id,
            )
            for t in self._targets.values()
            if self._in_flight.get(t.id, 0) < t.capacity
            and t.is_assigned(schedule)
            and t.has_kinds(schedule)
        ]
        if not free:
            return None
        target = self._targets[min(free)[-1]]
        self._turns += 1
        self._turn[target.id] = self._turns
        self._in_flight[target.id] = self._in_flight.get(target.id, 0) + 1
        return target

    def release(self, target: PollerTarget) -> None:
        """A poll that `take` counted has ended."""
        left = self._in_flight.get(target.id, 0) - 1
        if left > 0:
            self._in_flight[target.id] = left
            return
        self._in_flight.pop(target.id, None)
        if target.id not in self._targets:
            self._turn.pop(target.id, None)
