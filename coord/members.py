"""The members of an election as Consul's catalog shows them: candidates, observers, pollers.

What stands in the catalog was written by any process that may register a service. So everything
here is read with care: whatever is missing or makes no sense becomes None, "" or `unknown`, long
texts are cut, and nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Generic, TypeVar

from coord.consul import (
    CheckStatus,
    Consistency,
    ConsulApi,
    ConsulError,
    ConsulNotPermitted,
    HealthCheck,
    ServiceInstance,
)
from coord.election.reasons import WhyNot
from coord.records import MAX_DELAY_MS, MAX_PRIORITY, MAX_TERM, POLLER_SERVICE, Paths
from coord.registration import TIMING_TOLD

T = TypeVar("T")

MAX_TEXT = 256
"""The longest text that is taken over from the catalog, in characters."""

MAX_WORKLOAD = 64
"""The longest name of a workload that is taken over, in characters."""

MAX_WALL_MS = 10**13 - 1
"""The latest moment that is taken over, in milliseconds since 1970: the year 2286."""

GONE = "gone"
"""The state of a member whose check fails: its process ended, hangs, or its host is lost."""

UNKNOWN_STATE = "unknown"
"""The state of a member that does not say any, or nothing that can be read."""

_WORD = re.compile(r"[a-z][a-z_]{0,31}")
_DIGITS = re.compile(r"[0-9]{1,19}")
_EXPIRED = "TTL expired"
"""What Consul says of a check whose TTL has run out."""
_EXPIRED_NOTE = f"{_EXPIRED} (last output before timeout follows):"
"""The same, where the last pass came with a note."""


class Role(StrEnum):
    """What a member takes part as."""

    CANDIDATE = "candidate"
    OBSERVER = "observer"
    POLLER = "poller"


class Seen(StrEnum):
    """How far something that was looked for in Consul is known."""

    KNOWN = "known"
    """What is shown is what there is."""
    UNKNOWN = "unknown"
    """Nothing was seen, which may be for lack of rights: Consul answers denied lists empty."""
    NOT_PERMITTED = "not_permitted"
    """The token does not allow to see it."""
    UNAVAILABLE = "unavailable"
    """Consul did not answer this."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list from Consul, and whether it is one: look at `seen` before saying "there are none".

    seen: how far the list is known.
    items: what was seen, sorted by node, the passing ones first.
    """

    seen: Seen
    items: tuple[T, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One instance of a candidate, an observer or a poller.

    role: what it takes part as.
    node: what it calls itself, which its Consul node need not.
    node_type: its kind, "" where it does not say.
    eligible: whether it may lead; None where it does not say.
    address: where it answers, as ``host:port``.
    boot_id: of this start of its process, "" where it does not say.
    version: of the program that it runs, "" where it does not say.
    state: what its election is in, as it last told.
    why_not: why it does not lead, as it last told: the word as it stands, "" if none. `reason` is
        the same as the enum, None too for a word of a newer version.
    status: the worst of its checks, those of its Consul node included.
    check_status: its own check alone.
    fenced_within_ms: how long after its last confirmation it has stopped as a leader, in
        milliseconds; None where it does not say.
    consul_node, service_id: which Consul node it is registered on, and as what.
    priority: how much it is wanted as a successor; of candidates alone, and None where it does not
        say.
    workloads: the names of its coordination work; of candidates alone.
    timing_ms: `lease`, `lock_delay` and others that it tells, in milliseconds, by their names.
    since_ms, until_ms: since when, and about until when, it is what `state` and `why_not` say, by
        its own wall clock in milliseconds since 1970; None where it does not say. What did not
        last long enough to be told, it leaves out.
    pause: the id of the request by which it knows the election to be paused, "" if it is not; None
        where it does not say.
    expired: whether its own check fails because nobody passed it in time.
    """

    role: Role
    node: str
    node_type: str
    eligible: bool | None
    address: str
    boot_id: str
    state: str
    why_not: str
    status: CheckStatus
    check_status: CheckStatus
    version: str
    fenced_within_ms: int | None
    consul_node: str
    service_id: str
    priority: int | None = None
    workloads: tuple[str, ...] = ()
    timing_ms: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    since_ms: int | None = None
    until_ms: int | None = None
    pause: str | None = None
    expired: bool = False

    @property
    def reason(self) -> WhyNot | None:
        """Why it does not lead: what it says, but a check that fails comes first."""
        if self.status is CheckStatus.CRITICAL:
            return WhyNot.CHECK_CRITICAL
        return WhyNot.parse(self.why_not)

    @property
    def passing(self) -> bool:
        """Whether all its checks pass."""
        return self.status is CheckStatus.PASSING

    @property
    def gone(self) -> bool:
        """Whether its check fails: nobody keeps it any more."""
        return self.status is CheckStatus.CRITICAL


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderInstance:
    """One instance of the leader's service; only a passing one is the leader at work.

    node, node_type, term, address, session: as it told; "" or None where it does not say.
    status: the worst of its checks, those of its Consul node included.
    consul_node, service_id: which Consul node it is registered on, and as what.
    """

    node: str
    node_type: str
    term: int | None
    address: str
    session: str
    status: CheckStatus
    consul_node: str
    service_id: str

    @property
    def passing(self) -> bool:
        """Whether all its checks pass."""
        return self.status is CheckStatus.PASSING


def role_services(paths: Paths) -> Mapping[Role, str]:
    """The name of the service in which each kind of member is registered."""
    return {
        Role.CANDIDATE: paths.candidate_service,
        Role.OBSERVER: paths.observer_service,
        Role.POLLER: POLLER_SERVICE,
    }


async def read_instances(
    consul: ConsulApi, service: str, consistency: Consistency = Consistency.DEFAULT
) -> Listing[ServiceInstance]:
    """All instances of a service, passing or not. An empty list is `UNKNOWN` here.

    Raises nothing of Consul's: errors are said by `seen`.
    """
    try:
        reply = await consul.health_service(service, consistency=consistency)
    except ConsulNotPermitted:
        return Listing(Seen.NOT_PERMITTED)
    except ConsulError:
        return Listing(Seen.UNAVAILABLE)
    return Listing(Seen.KNOWN if reply.value else Seen.UNKNOWN, reply.value)


def members(role: Role, found: Listing[ServiceInstance], election: str) -> Listing[Member]:
    """The members of this election among the instances, sorted by node, the passing ones first.

    Pollers may serve several elections under one service name; who names another is left out.
    """
    own = (i for i in found.items if i.meta.get("election", election) == election)
    ordered = sorted((member(role, i) for i in own), key=_order)
    return Listing(found.seen, tuple(ordered))


def leader_instances(found: Listing[ServiceInstance]) -> Listing[LeaderInstance]:
    """The instances of the leader's service, the passing ones first."""
    ordered = sorted((leader_instance(i) for i in found.items), key=_order)
    return Listing(found.seen, tuple(ordered))


def _order(item: Member | LeaderInstance) -> tuple[str, int, str]:
    return (item.node, item.status.severity, item.service_id)


def best_by_node(found: Iterable[Member]) -> Mapping[str, Member]:
    """For each node the one instance that counts: of several boots, the one that does best."""
    best: dict[str, Member] = {}
    for item in found:
        other = best.get(item.node)
        if other is None or item.status.severity < other.status.severity:
            best[item.node] = item
    return best


def member(role: Role, instance: ServiceInstance) -> Member:
    """What one registered instance says of itself."""
    meta = instance.meta
    own = _own_check(instance)
    # An agent keeps a note that comes without a change of status to itself for minutes
    # (check_update_interval), but sends a change of meta at once: so the meta comes first.
    told = f"{meta.get('state', '')} {meta.get('why_not', '')}".strip()
    state, why_not = parse_note(told or (own.output if own else ""))
    if role is Role.POLLER and state == UNKNOWN_STATE:
        state = "poller"
    return Member(
        role=role,
        node=_node(instance),
        node_type=cut(meta.get("node_type", "")),
        eligible={"true": True, "false": False}.get(meta.get("eligible", "")),
        address=_address(instance),
        boot_id=cut(meta.get("boot_id", "")),
        state=state,
        why_not=why_not,
        status=instance.status,
        check_status=own.status if own else instance.status,
        version=cut(meta.get("version", "")),
        fenced_within_ms=_number(meta.get("fenced_within_ms"), MAX_DELAY_MS),
        consul_node=cut(instance.node),
        service_id=cut(instance.id),
        priority=priority_of(instance),
        workloads=tuple(cut(w, MAX_WORKLOAD) for w in meta.get("workloads", "").split(",") if w),
        timing_ms=_timing(meta),
        since_ms=_number(meta.get("since_ms"), MAX_WALL_MS),
        until_ms=_number(meta.get("until_ms"), MAX_WALL_MS),
        pause=cut(meta["pause"]) if "pause" in meta else None,
        expired=own is not None
        and own.status is CheckStatus.CRITICAL
        and own.output.startswith(_EXPIRED),
    )


def priority_of(instance: ServiceInstance) -> int | None:
    """How much a candidate is wanted as a successor; None where it does not say."""
    return _number(instance.meta.get("priority"), MAX_PRIORITY)


def _timing(meta: Mapping[str, str]) -> Mapping[str, int]:
    told = {name: _number(meta.get(f"{name}_ms"), MAX_DELAY_MS) for name in TIMING_TOLD}
    return MappingProxyType({name: ms for name, ms in told.items() if ms is not None})


def leader_instance(instance: ServiceInstance) -> LeaderInstance:
    """What one instance of the leader's service says of itself."""
    meta = instance.meta
    return LeaderInstance(
        node=_node(instance),
        node_type=cut(meta.get("node_type", "")),
        term=_number(meta.get("term"), MAX_TERM),
        address=_address(instance),
        session=cut(meta.get("session", "")),
        status=instance.status,
        consul_node=cut(instance.node),
        service_id=cut(instance.id),
    )


def parse_note(note: str) -> tuple[str, str]:
    """State and why-not out of "<state> <why_not>"; `UNKNOWN_STATE` and "" where not told."""
    text = note[: 4 * MAX_TEXT].strip()
    while text.startswith(_EXPIRED_NOTE):
        text = text.removeprefix(_EXPIRED_NOTE).strip()
    words = text.split()
    if not words or len(words) > 2 or not all(_WORD.fullmatch(word) for word in words):
        return UNKNOWN_STATE, ""
    return words[0], words[1] if len(words) == 2 else ""


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """`text`, shortened to at most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _own_check(instance: ServiceInstance) -> HealthCheck | None:
    own = [check for check in instance.checks if check.service_id == instance.id]
    return max(own, key=lambda check: check.status.severity, default=None)


def _node(instance: ServiceInstance) -> str:
    return cut(instance.meta.get("node", "") or instance.node)


def _address(instance: ServiceInstance) -> str:
    if told := instance.meta.get("api") or instance.meta.get("address"):
        return cut(told)
    host = cut(instance.address or instance.node_address)
    return f"{host}:{instance.port}" if instance.port else host


def _number(text: str | None, limit: int) -> int | None:
    if text is None or _DIGITS.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number <= limit else None
