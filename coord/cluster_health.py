"""ClusterHealth: the workload that watches over who is there, and publishes its verdict.

The leader looks at once, at every interval, and whenever the membership changes. Nodes are the
processes that take part in the election, by the name they give themselves; one is up while any of
its instances passes in Consul's health, so a lost host takes all of its nodes down. Losing nodes
does not degrade the cluster as long as enough of them are left: that is what it has several for.

What each look found is in Consul, so that the next leader tells only what changed since.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coord.consul import (
    CheckStatus,
    ConsulApi,
    ConsulError,
    ConsulNotPermitted,
    ConsulUnavailable,
)
from coord.consul.changes import Changes, service_query
from coord.leadership import FencedWriteFailed, Leadership
from coord.members import (
    LeaderInstance,
    Listing,
    Member,
    Role,
    Seen,
    best_by_node,
    leader_instances,
    members,
    read_instances,
    role_services,
)
from coord.records import NAME_PATTERN, Paths, RecordError, utc
from coord.records.health import (
    MAX_NODES,
    ClusterHealthRecord,
    Counts,
    HealthReason,
    Verdict,
)
from coord.telemetry import ClusterHealthCheck, NodeDown, NodeUp
from coord.telemetry.lasting_fault import LastingFault
from coord.telemetry.logs import log_fault

if TYPE_CHECKING:
    from coord.workloads import WorkContext

SETTLE_S = 0.5
"""How long changes are gathered before they are looked at: several nodes go and come together."""

PROGRESS_S = 5.0
"""How often at least it reports progress while it waits, in seconds."""

LISTING_GRACE_S = 5.0
"""How long at least discovery may take to show a new leader, and it alone, in seconds."""

RETRY_S = 1.0
"""How soon it looks again after Consul did not answer, in seconds."""


@dataclass(frozen=True, slots=True)
class Membership:
    """What Consul's health shows at one look."""

    candidates: Listing[Member]
    observers: Listing[Member]
    pollers: Listing[Member]
    leaders: Listing[LeaderInstance]

    @property
    def listings(self) -> tuple[Listing[Member] | Listing[LeaderInstance], ...]:
        """All four lists."""
        return (self.candidates, self.observers, self.pollers, self.leaders)


@dataclass(frozen=True, slots=True)
class Findings:
    """What one look comes to. `nodes` maps each node's name to its state; None: not visible."""

    verdict: Verdict
    reasons: tuple[HealthReason, ...]
    nodes: Mapping[str, CheckStatus] | None
    candidates: Counts
    pollers: Counts


async def read_membership(consul: ConsulApi, paths: Paths) -> Membership:
    """Look at Consul's health once. What it does not answer, or not allow, `seen` says."""
    services = role_services(paths)
    *found, leaders = await asyncio.gather(
        *(read_instances(consul, service) for service in services.values()),
        read_instances(consul, paths.leader_service),
    )
    listed = {
        role: members(role, instances, paths.election)
        for role, instances in zip(services, found, strict=True)
    }
    return Membership(
        listed[Role.CANDIDATE],
        listed[Role.OBSERVER],
        listed[Role.POLLER],
        leader_instances(leaders),
    )


def judge(
    membership: Membership, *, leader: str, term: int, min_nodes: int, listing_due: bool = True
) -> Findings:
    """What to think of the cluster, as its leader `leader` in `term`. Pure.

    listing_due: the leader has led for long enough that discovery should show it, and it alone.

    The leader is a candidate itself: when Consul shows no candidates at all, the token may not
    see them, and then nothing is said about nodes.
    """
    candidates = _named(membership.candidates.items)
    pollers = _named(membership.pollers.items)
    if not candidates:
        denied = (HealthReason.NOT_PERMITTED,)
        return Findings(Verdict.DEGRADED, denied, None, Counts(), Counts())
    everyone = (*candidates, *pollers, *_named(membership.observers.items))
    nodes = {name: item.status for name, item in best_by_node(everyone).items()}
    found: list[HealthReason] = []
    if _counts(nodes.values()).up < min_nodes:
        found.append(HealthReason.TOO_FEW_NODES)
    if listing_due:
        found.extend(_listing_reasons(membership.leaders.items, leader, term))
    reasons = tuple(found)
    return Findings(
        Verdict.DEGRADED if reasons else Verdict.HEALTHY,
        reasons,
        nodes,
        _counts(item.status for item in best_by_node(candidates).values()),
        _counts(item.status for item in best_by_node(pollers).values()),
    )


def _listing_reasons(
    leaders: tuple[LeaderInstance, ...], leader: str, term: int
) -> Iterable[HealthReason]:
    passing = [item for item in leaders if item.passing]
    if not any(item.node == leader and item.term == term for item in passing):
        yield HealthReason.LEADER_NOT_LISTED
    if len(passing) > 1:
        yield HealthReason.SEVERAL_LEADERS_LISTED


def _named(items: Iterable[Member]) -> tuple[Member, ...]:
    """Without those whose name no node can have: they were not registered by one."""
    return tuple(item for item in items if re.fullmatch(NAME_PATTERN, item.node))


def _counts(states: Iterable[CheckStatus]) -> Counts:
    every = list(states)
    return Counts(**{status.value: every.count(status) for status in CheckStatus})


class ClusterHealth:
    """The workload ``cluster-health``."""

    name = "cluster-health"

    def __init__(self, context: WorkContext, *, settle_s: float = SETTLE_S) -> None:
        self._context = context
        self._settle_s = settle_s
        self.progress_timeout_s = 60.0
        self._faults = LastingFault(context.clock, log_fault)

    async def run(self, leadership: Leadership) -> None:
        """Look, publish and tell until cancelled.

        Consul not answering is ridden out: what leads to nothing is tried again, and meanwhile
        nobody is told to be down.

        Raises:
            LeadershipLost: not leading any more.
        """
        context = self._context
        services = (*role_services(context.paths).values(), context.paths.leader_service)
        known: dict[str, bool] | None = None
        last: Findings | None = None
        # It takes its time to be registered, and a former leader to fail its check.
        grace_s = max(LISTING_GRACE_S, 2 * context.settings.check_ttl)
        listing_due = context.clock.now() + grace_s
        async with Changes([service_query(context.consul, name) for name in services]) as changes:
            while True:
                leadership.guard()
                leadership.progress()
                pause_s = context.settings.health_interval
                grace_left = listing_due - context.clock.now()
                if grace_left > 0:
                    pause_s = min(pause_s, grace_left)
                try:
                    if known is None:
                        known = await self._known_before()
                    last = await self._check(leadership, known, last, grace_left <= 0)
                    self._faults.over("cluster_health")
                except (ConsulError, FencedWriteFailed) as error:
                    self._faults.happened("cluster_health", str(error))
                    last = None
                    if not isinstance(error, ConsulNotPermitted):
                        pause_s = min(RETRY_S, pause_s)
                if not await self._pause(changes, leadership, pause_s):
                    last = None

    async def _pause(self, changes: Changes, leadership: Leadership, pause_s: float) -> bool:
        """Wait until it is time to look again, or something changed (True) and has settled."""
        clock = self._context.clock
        end = clock.now() + pause_s
        while (left := end - clock.now()) > 0:
            if await changes.wait(min(left, PROGRESS_S)):
                await changes.settle(self._settle_s)
                return True
            leadership.progress()
        return False

    async def _known_before(self) -> dict[str, bool]:
        """Which nodes the record of the leader before names: name -> whether it was up."""
        consul, paths = self._context.consul, self._context.paths
        entry = (await consul.kv_get(paths.cluster_health)).value
        if entry is None:
            return {}
        try:
            record = ClusterHealthRecord.decode(entry.value)
        except RecordError:
            return {}
        return {name: False for name in record.down} | {name: True for name in record.up}

    async def _check(
        self,
        leadership: Leadership,
        known: dict[str, bool],
        last: Findings | None,
        listing_due: bool,
    ) -> Findings:
        """Look once; what is the same as at the `last` look is not published again."""
        context = self._context
        membership = await read_membership(context.consul, context.paths)
        if any(listing.seen is Seen.UNAVAILABLE for listing in membership.listings):
            raise ConsulUnavailable("GET /v1/health/service", "the members could not be read")
        findings = judge(
            membership,
            leader=leadership.node,
            term=leadership.term,
            min_nodes=context.settings.min_nodes,
            listing_due=listing_due,
        )
        if findings == last:
            return findings
        nodes = known_nodes(known) if findings.nodes is None else findings.nodes
        # Written first: whoever leads next tells what this record does not have yet.
        await leadership.put(
            context.paths.cluster_health, self._record(leadership, findings, nodes).encode()
        )
        leadership.progress()
        self._tell(leadership.term, findings, nodes, known)
        return findings

    def _record(
        self, leadership: Leadership, findings: Findings, nodes: Mapping[str, CheckStatus]
    ) -> ClusterHealthRecord:
        names = sorted(nodes)[:MAX_NODES]
        return ClusterHealthRecord(
            verdict=findings.verdict,
            reasons=findings.reasons,
            leader=leadership.node,
            term=leadership.term,
            at=utc(self._context.clock.wall_ms()),
            nodes=_counts(nodes.values()),
            candidates=findings.candidates,
            pollers=findings.pollers,
            up=tuple(name for name in names if nodes[name] is CheckStatus.PASSING),
            down=tuple(name for name in names if nodes[name] is not CheckStatus.PASSING),
        )

    def _tell(
        self,
        term: int,
        findings: Findings,
        nodes: Mapping[str, CheckStatus],
        known: dict[str, bool],
    ) -> None:
        telemetry = self._context.telemetry
        counts = _counts(nodes.values())
        telemetry.emit(
            ClusterHealthCheck(
                term=term,
                verdict=findings.verdict.value,
                reasons=tuple(reason.value for reason in findings.reasons),
                nodes_up=counts.up,
                nodes_down=counts.down,
                candidates_up=findings.candidates.up,
                candidates_down=findings.candidates.down,
                pollers_up=findings.pollers.up,
                pollers_down=findings.pollers.down,
            )
        )
        for name, is_up in node_changes(known, nodes):
            telemetry.emit(
                NodeUp(term=term, name=name) if is_up else NodeDown(term=term, name=name)
            )
        known.clear()
        known.update({name: status is CheckStatus.PASSING for name, status in nodes.items()})


def known_nodes(known: Mapping[str, bool]) -> Mapping[str, CheckStatus]:
    """The nodes as they were last known, for when nothing newer can be seen."""
    return {name: CheckStatus.PASSING if up else CheckStatus.CRITICAL for name, up in known.items()}


def node_changes(
    known: Mapping[str, bool], nodes: Mapping[str, CheckStatus]
) -> tuple[tuple[str, bool], ...]:
    """Who came up (True) or went down (False) since, by name. Pure.

    A node that is not listed any more is down; one first seen failing was never up.
    """
    now = {name: status is CheckStatus.PASSING for name, status in nodes.items()}
    return tuple(
        (name, now.get(name, False))
        for name in sorted(known.keys() | now.keys())
        if known.get(name, False) != now.get(name, False)
    )
