"""Reads an election from Consul, and makes one frozen snapshot after another of it.

Consul wakes it: nine blocking queries hang on the keys, the members, what is asked, the journal and
the audit. Beyond that the status is read every `REFRESH_S`, so that a healthy console that shows
nothing new asks about three times a second; while things change it reads the status at most every
`PAUSE_S`. Nothing here knows of a terminal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import NoReturn

from console.snapshot import Contact, Failing, Snapshot
from coord.clock import Clock
from coord.consul import ConsulApi, ConsulError
from coord.consul.changes import Changes, key_query, prefix_query
from coord.history import read_past
from coord.records import Paths
from coord.status import ClusterStatus, Unavailable, read_status, watch_status

REFRESH_S = 5.0
"""How often the status is read, and Consul's latency measured, when nothing wakes us."""

PAUSE_S = 0.2
"""How long at least lies between two readings of the same, in seconds."""

PAST_REFRESH_S = 60.0
"""How often history and journal are read when nothing wakes us, in seconds."""

RETRY_S = 2.0
"""How soon history and journal are read again after that failed, in seconds."""

Post = Callable[[Snapshot], None]


class Source:
    """Keeps `snapshot` true, and posts each new one.

    address: of the Consul that is asked, for people.
    """

    def __init__(
        self,
        consul: ConsulApi,
        paths: Paths,
        *,
        clock: Clock,
        address: str = "",
        refresh_s: float = REFRESH_S,
    ) -> None:
        self._consul = consul
        self._paths = paths
        self._clock = clock
        self._refresh_s = refresh_s
        self._began = clock.now()
        self._post: Post = lambda _: None
        self.snapshot = Snapshot(election=paths.election, address=address)

    async def run(self, post: Post) -> None:
        """Post every new snapshot until cancelled. Rides out every `ConsulError`."""
        self._post = post
        self._began = self._clock.now()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_status())
            tasks.create_task(self._follow_past())
            tasks.create_task(self._measure())

    async def read_once(self) -> Snapshot:
        """One whole snapshot.

        Raises:
            ConsulError: Consul cannot be read.
        """
        at = self._clock.now()
        status, contact, past = await asyncio.gather(
            read_status(self._consul, self._paths, clock=self._clock),
            contact_with(self._consul, self._clock),
            read_past(self._consul, self._paths, clock=self._clock),
        )
        self._set(replace(self.snapshot, status=status, read_at=at, contact=contact, past=past))
        return self.snapshot

    async def _follow_status(self) -> None:
        readings = watch_status(
            self._consul, self._paths, clock=self._clock, refresh_s=self._refresh_s, every=True
        )
        async with aclosing(readings):
            async for read in readings:
                self._set(self._with(read))
                # What comes meanwhile is read in one: a fleet that restarts changes all the time.
                await asyncio.sleep(PAUSE_S)

    def _with(self, read: ClusterStatus | Unavailable) -> Snapshot:
        now = self._clock.now()
        if isinstance(read, ClusterStatus):
            at = now - read.age_ms / 1000
            return replace(self.snapshot, status=replace(read, age_ms=0), read_at=at, failing=None)
        since = self._began if self.snapshot.status is None else self.snapshot.read_at
        return replace(self.snapshot, failing=Failing(since, read.error))

    async def _follow_past(self) -> None:
        """Journal and audit change the history, and so does the leader key."""
        queries = (
            prefix_query(self._consul, self._paths.journal),
            prefix_query(self._consul, self._paths.audit),
            key_query(self._consul, self._paths.leader),
        )
        async with Changes(queries) as changes:
            while True:
                try:
                    past = await read_past(self._consul, self._paths, clock=self._clock)
                except ConsulError as error:
                    self._set(replace(self.snapshot, past_error=error))
                else:
                    self._set(replace(self.snapshot, past=past, past_error=None))
                failed = self.snapshot.past_error is not None
                if await changes.wait(RETRY_S if failed else PAST_REFRESH_S):
                    await changes.settle(PAUSE_S)

    async def _measure(self) -> NoReturn:
        while True:
            contact = await contact_with(self._consul, self._clock)
            self._set(replace(self.snapshot, contact=contact))
            await asyncio.sleep(self._refresh_s)

    def _set(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._post(snapshot)


async def contact_with(consul: ConsulApi, clock: Clock) -> Contact:
    """How Consul answers just now. Raises nothing of Consul's."""
    began = clock.now()
    try:
        await consul.status_leader()
    except ConsulError:
        return Contact()
    latency_ms = (clock.now() - began) * 1000
    try:
        servers = await consul.status_peers()
    except ConsulError:
        return Contact(latency_ms)
    return Contact(latency_ms, servers)
