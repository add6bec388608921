"""The simulated Consul as a user's own test takes it up."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from simulated import Room

from coord.consul import Consistency, ConsulApi, KVEntry, Reply, TxnOp
from coord.testing import LoopScheduler, SimulatedConsul

REPO = Path(__file__).resolve().parents[3]
HISTORY = """
import asyncio, hashlib
from consul_faults import Stage
stage = Stage(5)
asyncio.run(stage.run(60.0))
print(hashlib.sha256(repr(stage.history).encode()).hexdigest(), len(stage.history))
"""


async def test_it_runs_on_any_event_loop() -> None:
    consul = SimulatedConsul.on_loop(seed=1)
    async with consul.client() as client:
        user: ConsulApi = client
        assert await user.kv_put("key", b"value")
        session = await user.session_create(name="s", checks=["serfHealth"], lock_delay_s=1)
        assert (await user.txn([TxnOp.kv_lock("key", b"held", session)])).ok
        index = (await user.kv_get("key")).index
        waiting = asyncio.create_task(user.kv_get("key", index=index, wait_s=30))
        await asyncio.sleep(0.01)
        await user.session_destroy(session)
        reply: Reply[KVEntry | None] = await asyncio.wait_for(waiting, 10)
        assert reply.value is not None
        assert reply.value.session is None


async def test_three_servers_and_their_agents_are_there_from_the_start() -> None:
    scheduler = LoopScheduler(asyncio.get_running_loop())
    consul = SimulatedConsul(scheduler, rng=random.Random(1), names=("a", "b", "c"))
    client = consul.client(consul.agent("node"))
    assert consul.agent("node") is consul.agents[-1]
    nodes = (await client.catalog_nodes()).value
    assert [node.name for node in nodes] == ["a", "b", "c", "node"]
    assert {check.check_id for check in (await client.health_state("passing")).value} == {
        "serfHealth"
    }
    assert len(await client.status_peers()) == 3
    said = consul.describe()
    assert said["leader"] in {"a", "b", "c"}
    assert said["believe"] == [said["leader"]]


def test_an_even_number_of_servers_is_refused() -> None:
    with pytest.raises(ValueError, match="servers 2"):
        Room(servers=2)


async def test_a_restore_reaches_every_server() -> None:
    room = Room()
    consul = room.consul.client(room.consul.agent("node"))
    session = await room.with_check(consul, "x")
    assert (await room.do(consul.txn([TxnOp.kv_lock("k", b"1", session)]))).ok
    before = (await room.do(consul.kv_get("k"))).value
    data = await room.do(consul.snapshot_save())
    await room.do(consul.session_destroy(session))
    await room.do(consul.kv_put("k", b"2"))
    follower = room.at_server(room.followers()[0])
    stale = Consistency.STALE
    await room.wait(1.0)
    index = (await room.do(follower.kv_get("k", consistency=stale))).index
    waiting = await room.start(follower.kv_get("k", index=index, wait_s=60, consistency=stale))
    await room.do(consul.snapshot_restore(data))
    await room.wait(1.0)
    assert waiting.done()
    for server in room.consul.servers:
        reply = await room.do(room.at_server(server).kv_get("k", consistency=stale))
        assert reply.value == before
    # The session is back, with a TTL check that still ends it.
    assert await room.do(consul.session_info(session)) is not None
    await room.do(consul.check_fail("x"))
    await room.wait(0.5)
    assert await room.do(consul.session_info(session)) is None


def test_a_history_does_not_depend_on_how_strings_are_hashed() -> None:
    said = set()
    for hash_seed in ("1", "2"):
        paths = os.pathsep.join(str(REPO / place) for place in (".", "tests/support"))
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": paths}
        done = subprocess.run(
            [sys.executable, "-c", HISTORY],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        said.add(done.stdout)
    assert len(said) == 1
