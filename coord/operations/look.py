"""What a preview is decided on: the cluster, what is asked of it, what it is busy with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from coord.clock import Clock
from coord.consul import ConsulApi, ConsulError, ConsulNotPermitted
from coord.controls import Controls, read_controls
from coord.polling.paths import PollPaths
from coord.records import Paths
from coord.status import ClusterStatus, read_status


@dataclass(frozen=True, slots=True)
class Looked:
    """One look. polls_running: how many polls are open; None where that cannot be read."""

    status: ClusterStatus
    controls: Controls
    polls_running: int | None


async def look(consul: ConsulApi, paths: Paths, *, clock: Clock) -> Looked:
    """Read all that a preview is decided on.

    Raises:
        ConsulUnavailable: Consul cannot be reached, or what answers is not Consul.
    """
    status = await read_status(consul, paths, clock=clock)
    if status.stale:
        return Looked(status, Controls(), None)
    controls, polls = await asyncio.gather(_controls(consul, paths), polls_running(consul, paths))
    return Looked(status, controls, polls)


async def _controls(consul: ConsulApi, paths: Paths) -> Controls:
    try:
        return await read_controls(consul, paths)
    except ConsulNotPermitted:
        # As where Consul answers empty: then writing there is not permitted either.
        return Controls()


async def polls_running(consul: ConsulApi, paths: Paths) -> int | None:
    """How many polls the leader has open: each is a key until its result is written."""
    try:
        keys = (await consul.kv_keys(PollPaths(paths).jobs)).value
    except ConsulError:
        return None
    return sum(not key.endswith("/") for key in keys)
