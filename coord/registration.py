"""A service of ours on the local agent, and the TTL check that says how it is.

Several services, one way: the candidate's (`CandidateService`) tells that the process is alive
and carries the session; the leader's (`LeaderService`) tells that the work runs, and nothing
else, because discovery means its passing instances.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping
from importlib.metadata import version

from coord.clock import Clock
from coord.config.values import parse_host_port
from coord.consul import (
    CheckStatus,
    Consistency,
    ConsulApi,
    ConsulError,
    ConsulNotPermitted,
    ConsulRefused,
    ConsulUnavailable,
    ServiceInstance,
    ServiceRegistration,
    TtlCheck,
)
from coord.election.timing import Timing
from coord.identity import Identity
from coord.records import Paths

DEREGISTER_CRITICAL_AFTER_S = 300.0
"""How long an agent keeps a service whose process is gone: long enough to be looked at."""

JOINING = "joining"

NOTE = "the event loop runs"
"""Always the same: a note that changes is a write in Consul."""

SETTLE_S = 5.0
"""A state that lasts as long as this is told in the service's meta."""

MAX_META = 512
"""The longest value that Consul takes in a service's meta, in bytes."""

TIMING_TOLD = (
    "lease",
    "fence_grace",
    "confirm_interval",
    "check_ttl",
    "lock_delay",
    "takeover_delay",
)
"""What a candidate tells of its timing in its service's meta, each in milliseconds as `…_ms`."""

FRESH_S = 1.0
"""So long after Consul's servers have answered it is taken for granted that they can be told."""

CALL_DEADLINE_S = 1.0
"""The deadline of a call that only the local agent has to answer."""


_LEADS = ("leading", "suspended")
_DRAINED = "drained"


class TtlService:
    """One registered service with one TTL check of its own."""

    def __init__(
        self, consul: ConsulApi, name: str, identity: Identity, timing: Timing, notes: str
    ) -> None:
        self._consul = consul
        self._identity = identity
        self._timing = timing
        self._notes = notes
        self.name = name
        self.id = _process_id(name, identity)
        self.check_id = f"{self.id}-alive"
        self._token = 0

    @property
    def address(self) -> str:
        """host:port at which others reach this node."""
        return self._identity.advertise

    def _registration(self, meta: Mapping[str, str], status: CheckStatus) -> ServiceRegistration:
        where = parse_host_port(self._identity.advertise)
        check = TtlCheck(
            id=self.check_id,
            name=f"{self.name} on {self._identity.node}",
            ttl_s=self._timing.check_ttl,
            notes=self._notes,
            status=status,
            deregister_critical_after_s=DEREGISTER_CRITICAL_AFTER_S,
        )
        return ServiceRegistration(
            id=self.id,
            name=self.name,
            port=where.port,
            address=where.host,
            tags=(self._identity.node_type.value,),
            meta=meta,
            checks=(check,),
        )

    async def register(
        self, meta: Mapping[str, str], status: CheckStatus = CheckStatus.CRITICAL
    ) -> None:
        """Register, or register again. A check that is there keeps its status."""
        token = self._consul.token_changes
        await self._consul.service_register(
            self._registration(meta, status), deadline_s=CALL_DEADLINE_S
        )
        self._token = token

    @property
    def token_is_old(self) -> bool:
        """Whether it was registered with another token than ours is now."""
        return self._token != self._consul.token_changes

    async def pass_check(self, note: str) -> bool:
        """Pass the check; False: the agent does not know it (any more)."""
        return await self._consul.check_pass(self.check_id, note, deadline_s=CALL_DEADLINE_S)

    async def fail_check(self, note: str) -> bool:
        """Fail the check; False: the agent does not know it (any more)."""
        return await self._consul.check_fail(self.check_id, note, deadline_s=CALL_DEADLINE_S)

    async def deregister(self) -> None:
        """Take the service off the agent; fine if it is not there."""
        await self._consul.service_deregister(self.id, deadline_s=CALL_DEADLINE_S)


class CandidateService(TtlService):
    """What makes a node visible, and what its session hangs on: one for each process start.

    An observer registers under the observers' name; it is the same but for that.
    """

    def __init__(self, consul: ConsulApi, paths: Paths, identity: Identity, timing: Timing) -> None:
        name = paths.candidate_service if identity.eligible else paths.observer_service
        notes = "Passed by the coord process while its event loop runs."
        super().__init__(consul, name, identity, timing, notes)
        self._meta = {
            "node": identity.node,
            "node_type": identity.node_type.value,
            "election": identity.election,
            "eligible": str(identity.eligible).lower(),
            "boot_id": identity.boot_id,
            "api": identity.advertise,
            "fenced_within_ms": str(round(timing.fenced_within * 1000)),
            "version": version("coord"),
        }
        if identity.eligible:
            self._meta |= {
                "priority": str(identity.priority),
                "workloads": ",".join(identity.workloads)[:MAX_META],
                **{f"{name}_ms": str(round(getattr(timing, name) * 1000)) for name in TIMING_TOLD},
            }
        self._said = self._told = (JOINING, "", "")
        self._said_at = float("-inf")
        self._since_ms: int | None = None
        self._until_ms: int | None = None
        self.heard_at = float("-inf")
        """When the last answer of Consul's servers was asked for. While they cannot be told
        anything, nothing must change on the agent: it locks its state, and so the passing of every
        check of every process, for as long as a write to the catalog hangs; then sessions die of
        checks that were never late."""
        self._due: float | None = None
        self._lag_s = 0.0
        # Whether the agent knows the check is asked, and mended, by one at a time: otherwise an
        # answer from before a registration would be taken for its loss.
        self._asking = asyncio.Lock()

    def say(
        self,
        state: str,
        why_not: str,
        now: float,
        *,
        wall_ms: int,
        until: float | None = None,
        pause: str = "",
    ) -> None:
        """What this node is and why it does not lead, for the catalog to tell.

        wall_ms: the wall clock's `now`, in milliseconds since 1970.
        until: when that is to end, on the clock of `now`; None, or no finite number, if it is not
            known. It is told with the rest: that it alone has changed is never worth a write.
        pause: the id of the request by which it knows the election to be paused; "" if it is not.
        """
        if (state, why_not) != self._said[:2] or self._since_ms is None:
            self._said_at, self._since_ms = now, wall_ms
        self._said = (state, why_not, pause)
        left_s = math.inf if until is None else until - now
        self._until_ms = wall_ms + round(left_s * 1000) if math.isfinite(left_s) else None

    async def ensure(self) -> None:
        """Be registered with a passing check, whatever the agent remembers."""
        async with self._asking:
            await self._ensure()

    async def _ensure(self) -> bool:
        """As `ensure`; False: the agent did not know the check."""
        known = await self.pass_check(NOTE)
        if not known:
            await self._tell()
            await self.pass_check(NOTE)
        return known

    async def fit(self) -> None:
        """Make sure that the agent takes a pass of our check just now.

        Whoever leads while it does not is not found, and loses the session as soon as the agent
        gets on: better to let another lead. Raises ConsulUnavailable.
        """
        if not await self.pass_check(NOTE):
            raise ConsulUnavailable("PUT /v1/agent/check/pass", "the agent has forgotten our check")

    async def known(self) -> None:
        """Wait until the servers have our passing check: an agent tells them a moment later.

        Gives up after `CALL_DEADLINE_S`; whoever needs the check is told so by Consul.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CALL_DEADLINE_S):
                index = None
                while True:
                    wait_s = None if index is None else CALL_DEADLINE_S
                    reply = await self._consul.health_service(self.name, index=index, wait_s=wait_s)
                    ours = [each for each in reply.value if each.id == self.id]
                    if ours and ours[0].status is CheckStatus.PASSING:
                        return
                    index = reply.index or None

    async def _tell(self) -> None:
        said = self._said
        meta = {**self._meta, "state": said[0], "why_not": said[1]}
        if self._identity.eligible:
            meta["pause"] = said[2]
        for name, wall_ms in (("since_ms", self._since_ms), ("until_ms", self._until_ms)):
            if wall_ms is not None:
                meta[name] = str(wall_ms)
        await self.register(meta, CheckStatus.PASSING)
        self._told = said

    def _worth_telling(self, now: float) -> bool:
        """Each telling is a write in Consul. An election that passes in a few seconds must not
        cost one of every candidate, so only what lasts is told; and that a node has joined, leads
        no longer, is drained or no longer is, or has heard of a pause or its end: an operator waits
        for that."""
        lasted = now - self._said_at >= SETTLE_S
        if self._told[0] != JOINING and now - self.heard_at > FRESH_S:
            return False
        if self.token_is_old:
            return True
        led = self._told[0] in _LEADS and self._said[0] not in _LEADS
        drained = _DRAINED in (self._said[1], self._told[1])
        paused = self._said[2] != self._told[2]
        waited_for = led or self._told[0] == JOINING or drained or paused
        return self._said != self._told and (lasted or waited_for)

    def lag_s(self, now: float) -> float:
        """How late, in seconds, the event loop came round to the last pass, or is for the next."""
        overdue = 0.0 if self._due is None else now - self._due
        return max(self._lag_s, overdue)

    async def keep_alive(
        self,
        *,
        on_forgotten: Callable[[], None],
        on_passed: Callable[[], None],
        on_error: Callable[[ConsulError], None],
        on_lag: Callable[[float], None],
        clock: Clock,
    ) -> None:
        """Pass the check every quarter of its TTL, for ever.

        `on_forgotten`: the agent did not know the check; it is registered again by then, and no
        session hangs on the new one yet. `on_lag` is told how late, in seconds, the event loop
        came round to it.
        """
        due = clock.now()
        while True:
            self._due, self._lag_s = None, max(0.0, clock.now() - due)
            on_lag(self._lag_s)
            try:
                async with self._asking:
                    if not await self._ensure():
                        on_forgotten()
                    elif self._worth_telling(clock.now()):
                        await self._tell()
            except ConsulError as error:
                on_error(error)
            else:
                on_passed()
            self._due = due = clock.now() + self._timing.heartbeat_interval
            await asyncio.sleep(self._timing.heartbeat_interval)


class LeaderService(TtlService):
    """The `coordinator` service of one tenure: its check passes only while the work runs, or while
    nobody could be told that it does not. `shown` says so.

    Its id names the term, so that what is late of one term cannot touch another's entry.
    """

    def __init__(
        self,
        consul: ConsulApi,
        paths: Paths,
        identity: Identity,
        timing: Timing,
        *,
        term: int,
        session: str,
        shown: Callable[[], bool],
        on_error: Callable[[ConsulError], None],
        on_announced: Callable[[], None],
    ) -> None:
        notes = "Passed by the leader while its coordination work runs."
        super().__init__(consul, paths.leader_service, identity, timing, notes)
        self.id = f"{self.id}-{term}"
        self.check_id = f"{self.id}-working"
        self._term = term
        self._shown = shown
        self._on_error = on_error
        self._on_announced = on_announced
        self._meta = {
            "node": identity.node,
            "node_type": identity.node_type.value,
            "term": str(term),
            "address": identity.advertise,
            "session": session,
        }

    async def keep_passing(self) -> None:
        """Announce this leader, then pass the check as long as it is to be shown; for ever.

        Faults of Consul's are told and ridden out.
        """
        announced = False
        while True:
            try:
                if not announced and self._shown():
                    await self._sweep()
                    await self.register(self._meta)
                    announced = True
                if announced and self._shown():
                    announced = await self.pass_check(f"leads, term {self._term}")
                    self._on_announced()
                if announced and self.token_is_old:  # the new one has just been good for a pass
                    await self.register(self._meta)
            except ConsulError as error:
                self._on_error(error)
            await asyncio.sleep(self._timing.heartbeat_interval)

    async def _sweep(self) -> None:
        """Take from the catalog what former leaders left there.

        An agent that is cut off from the servers cannot take its own entry back, so the new
        leader does it; the agent will write it again as what it then is: failing, or gone.
        """
        found = await self._consul.health_service(
            self.name, consistency=Consistency.CONSISTENT, deadline_s=self._timing.lease
        )
        for instance in found.value:
            leads = instance.id.startswith(f"{self.name}-") and "term" in instance.meta
            if leads and instance.id != self.id and self._shown():
                await self._take_away(instance)

    async def _take_away(self, instance: ServiceInstance) -> None:
        """One that cannot be taken away must not keep this leader from being found."""
        try:
            await self._consul.catalog_deregister(
                instance.node, instance.id, deadline_s=self._timing.lease
            )
        except (ConsulRefused, ConsulNotPermitted) as error:
            self._on_error(error)


async def clear_terms(consul: ConsulApi, paths: Paths, identity: Identity) -> None:
    """Deregister what this process registered as a leader, in whichever of its terms.

    Raises:
        ConsulError: the agent does not answer, or does not allow it.
    """
    prefix = f"{_process_id(paths.leader_service, identity)}-"
    for service_id in await consul.agent_services(deadline_s=CALL_DEADLINE_S):
        if service_id.startswith(prefix):
            await consul.service_deregister(service_id, deadline_s=CALL_DEADLINE_S)


def _process_id(service: str, identity: Identity) -> str:
    """The id of a service of this process: no other start of the node has it."""
    return f"{service}-{identity.node}-{identity.boot_id[:8]}"
