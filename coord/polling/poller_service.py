"""The poller of a node as the fleet sees it: its registration, its heartbeat, the term it follows.

It has no server of its own: the node's one server mounts `PollerService.routes`.
"""

from __future__ import annotations

import asyncio

from starlette.routing import Route

from coord.config.values import parse_host_port
from coord.consul import (
    ConsulError,
    KVEntry,
    Reply,
    ServiceRegistration,
    TtlCheck,
)
from coord.polling.follow import WATCH_WAIT_S, follow
from coord.polling.poller import Poller, check_listen, routes
from coord.records import POLLER_SERVICE
from coord.telemetry.lasting_fault import LastingFault
from coord.telemetry.logs import log_fault
from coord.workloads import WorkContext

TTL_S = 5.0
"""A poller that does not pass its check for this long, in seconds, gets no polls."""

FORGET_AFTER_S = 3600.0
"""The agent forgets a poller that was not seen for this long, in seconds."""

_DEREGISTER_S = 2.0
_LEAVE_S = 0.25  # for the leader to see that we have left
_CONFIRM_RETRY_S = 0.5
_MAX_META = 512  # characters, that Consul takes
_NOTE = "takes polls"  # always the same: a changed note would cost a raft entry each time


class PollerService:
    """Registers the poller while `run` runs, and keeps its check passing.

    Attributes:
        poller: what answers the polls.

    Raises:
        SettingsError: the node listens on more than loopback, and no token is set.
        PluginError: a kind of check that the settings name cannot be used.
    """

    def __init__(self, context: WorkContext) -> None:
        check_listen(context.settings)
        self.poller = Poller(context)
        self._context = context
        self._faults = LastingFault(context.clock, log_fault)
        identity = context.identity
        # By node, not by process: a restarted poller takes its place again at once. No name holds
        # a colon, so no two pollers of one agent, whatever their elections, share an id.
        suffix = "" if identity.election == "coordinator" else f":{identity.election}"
        self.service_id = f"{POLLER_SERVICE}-{identity.node}{suffix}"
        self._check_id = f"service:{self.service_id}"

    def routes(self) -> list[Route]:
        """What the node's server mounts."""
        return routes(self.poller)

    async def run(self) -> None:
        """Be registered until cancelled; start it when the node's server accepts connections."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_registered(), name="poller registration")
                group.create_task(self._follow_term(), name="poller term")
        finally:
            # First out of the listing, so that nothing is sent here any more, then closed to it.
            await self._deregister()
            await asyncio.sleep(_LEAVE_S)
            await self.poller.aclose()

    def registration(self) -> ServiceRegistration:
        """How this poller is registered: where it is, what it has, how much it takes."""
        identity = self._context.identity
        where = parse_host_port(identity.advertise)
        return ServiceRegistration(
            id=self.service_id,
            name=POLLER_SERVICE,
            address=where.host,
            port=where.port,
            meta={
                "election": identity.election,
                "node": identity.node,
                "node_type": identity.node_type.value,
                "boot_id": identity.boot_id,
                "address": identity.advertise,
                "capacity": str(self._context.settings.poller_capacity),
                **self._labels(),
            },
            checks=(
                TtlCheck(
                    id=self._check_id,
                    name="poller",
                    ttl_s=TTL_S,
                    notes=f"passing while the poller of {identity.node} takes polls",
                    deregister_critical_after_s=FORGET_AFTER_S,
                ),
            ),
        )

    def _labels(self) -> dict[str, str]:
        settings = self._context.settings
        labels = {
            "kinds": ",".join(self.poller.kinds),
            "partition": settings.poller_partition or "",
            "domain": settings.poller_domain or "",
        }
        # Who has more kinds than there is room to name may be sent any, and says if it has not.
        return {name: text for name, text in labels.items() if 0 < len(text) <= _MAX_META}

    async def _keep_registered(self) -> None:
        consul = self._context.consul
        registered, token = False, 0
        while True:
            try:
                if token != consul.token_changes:
                    registered = False
                if not registered:
                    token = consul.token_changes
                    await consul.service_register(self.registration())
                    registered = True
                # An agent that was restarted without its data has forgotten us.
                registered = await consul.check_pass(self._check_id, _NOTE) is True
                self._faults.over("poller_not_registered")
            except ConsulError as error:
                self._faults.happened("poller_not_registered", str(error))
            await asyncio.sleep(TTL_S / 4 if registered else 0.5)

    async def _follow_term(self) -> None:
        consul, key = self._context.consul, self._context.paths.term

        async def query(index: int | None) -> Reply[KVEntry | None]:
            wait_s = None if index is None else WATCH_WAIT_S
            return await consul.kv_get(key, index=index, wait_s=wait_s)

        async def take(entry: KVEntry | None) -> None:
            term = self.poller.take_term(entry)
            # Told only once: what this shows of Consul's past may be overwritten soon.
            while term is not None and term < self.poller.seen_term:
                if await self.poller.confirm_term():
                    break
                await asyncio.sleep(_CONFIRM_RETRY_S)

        await follow(query, take, self._faults, "term_not_followed")

    async def _deregister(self) -> None:
        try:
            await self._context.consul.service_deregister(self.service_id, deadline_s=_DEREGISTER_S)
        except ConsulError as error:
            self._faults.happened("poller_not_deregistered", str(error))
