"""A fleet that is settled: each run of a benchmark begins in the same place."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from agents import AgentConfig, ConsulAgent, Mode
from coord.consul import CheckStatus, ConsulClient, Reply, WatchError, watch
from coord.records import LeaderRecord, LeaderState, RecordError
from demo.fleet import Fleet
from demo.witness import Witness

T = TypeVar("T")

PATIENCE_S = 60.0
WAIT_S = 10.0
"""How long one blocking query hangs."""


@contextlib.asynccontextmanager
async def server_agent(
    directory: Path, consul: Path, extra: Mapping[str, Any] = MappingProxyType({})
) -> AsyncIterator[ConsulAgent]:
    """A Consul server with its data on disk. extra: of Consul's own settings."""
    config = AgentConfig(
        name="server-1", directory=directory, mode=Mode.SERVER, binary=consul, extra=extra
    )
    agent = ConsulAgent(config)
    await asyncio.to_thread(agent.__enter__)
    try:
        yield agent
    finally:
        await asyncio.to_thread(agent.stop)


async def wait_for(
    query: Callable[[int | None], Awaitable[Reply[T]]], wanted: Callable[[T], object], what: str
) -> T:
    """Follow a blocking query until its answer is what is wanted.

    Raises:
        TimeoutError: it was not in time; the message says `what`.
    """
    try:
        async with (
            asyncio.timeout(PATIENCE_S),
            contextlib.aclosing(watch(query, jitter=lambda: 0.5)) as replies,
        ):
            async for reply in replies:
                if not isinstance(reply, WatchError) and wanted(reply.value):
                    return reply.value
    except TimeoutError:
        pass
    raise TimeoutError(f"not so within {PATIENCE_S:g} s: {what}")


async def settled_record(
    consul: ConsulClient, fleet: Fleet, eligible: Collection[str]
) -> LeaderRecord:
    """The leader's record once one of `eligible` leads and names all the others as successors."""

    def record_of(value: bytes) -> LeaderRecord | None:
        try:
            return LeaderRecord.decode(value)
        except RecordError:
            return None

    def settled(entry: object) -> bool:
        value, session = getattr(entry, "value", b""), getattr(entry, "session", None)
        record = record_of(value) if session else None
        return (
            record is not None
            and record.state is LeaderState.HELD
            and set(record.successors) == set(eligible) - {record.node}
        )

    entry = await wait_for(
        lambda index: consul.kv_get(
            fleet.paths.leader, index=index, wait_s=None if index is None else WAIT_S
        ),
        settled,
        f"one of {', '.join(eligible)} leads and knows the others",
    )
    assert entry is not None
    return LeaderRecord.decode(entry.value)


async def settle(fleet: Fleet, eligible: Collection[str], witness: Witness | None) -> LeaderRecord:
    """Wait until one leads, works and is discovered, and the others stand by to succeed it.

    Raises:
        TimeoutError, NodeError, WitnessError: it does not come to that in time.
    """
    async with fleet.consul() as consul:
        record = await settled_record(consul, fleet, eligible)
        await wait_for(
            lambda index: consul.health_service(
                fleet.paths.leader_service, index=index, wait_s=None if index is None else WAIT_S
            ),
            lambda found: any(
                each.status is CheckStatus.PASSING and each.meta.get("term") == str(record.term)
                for each in found
            ),
            f"term {record.term} is passing as a service",
        )
    standbys = [fleet[name] for name in eligible if name != record.node]
    await asyncio.gather(*(node.state("standby", timeout_s=PATIENCE_S) for node in standbys))
    if witness is not None:
        await witness.work(term=record.term, timeout_s=PATIENCE_S)
    return record
