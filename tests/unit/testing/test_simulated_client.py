"""What a client of the simulated Consul is told when its agent or the way to it fails."""

from __future__ import annotations

import asyncio

import pytest
from simulated import Room

from coord.consul import ConsulApi, ConsulUnavailable, TxnOp
from coord.testing import SimulatedClient


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def client(room: Room) -> SimulatedClient:
    return room.consul.client(room.consul.agent("node"), "node/process")


async def value_of(room: Room, key: str) -> bytes | None:
    """The key, by a read that nothing disturbs."""
    entry = (await room.do(room.at_server(room.leader()).kv_get(key))).value
    return entry.value if entry else None


async def failure(room: Room, consul: ConsulApi, *, write: bool) -> ConsulUnavailable:
    """How a call fails."""
    with pytest.raises(ConsulUnavailable) as caught:
        await room.do(consul.kv_put("k", b"v") if write else consul.kv_get("k"))
    return caught.value


@pytest.mark.parametrize("write", [True, False])
async def test_a_request_that_never_arrives_runs_into_the_deadline(
    room: Room, client: SimulatedClient, write: bool
) -> None:
    room.network.cut("node/process", "node")
    started = room.now()
    error = await failure(room, client, write=write)
    assert room.now() - started == pytest.approx(2.0)
    assert (error.outcome_unknown, error.no_leader, error.status) == (write, False, None)
    assert error.operation == ("PUT" if write else "GET") + " /v1/kv/k"
    assert await value_of(room, "k") is None


async def test_a_write_whose_answer_is_lost_is_carried_out(
    room: Room, client: SimulatedClient
) -> None:
    room.network.cut("node", "node/process")
    assert (await failure(room, client, write=True)).outcome_unknown
    assert await value_of(room, "k") == b"v"


async def test_a_deadline_runs_on_the_clock_of_who_asks(room: Room) -> None:
    agent = room.consul.agent("node")
    fast = room.consul.client(agent, "node/fast", clock_rate=1.25)
    room.network.cut("node/fast", "node")
    started = room.now()
    await failure(room, fast, write=True)
    assert room.now() - started == pytest.approx(2.0 / 1.25)


async def test_a_write_held_back_lands_after_its_asker_gave_up(
    room: Room, client: SimulatedClient
) -> None:
    room.network.set("node/process", "node", late=1.0, late_s=(8.0, 8.0))
    assert (await failure(room, client, write=True)).outcome_unknown
    assert await value_of(room, "k") is None
    await room.wait(7.0)
    assert await value_of(room, "k") == b"v"


async def test_a_doubled_write_is_carried_out_twice(room: Room, client: SimulatedClient) -> None:
    room.network.set("node/process", "node", double=1.0, double_after_s=(3.0, 3.0))
    assert await room.do(client.kv_put("k", b"first"))
    room.network.heal_all()
    assert await room.do(client.kv_put("k", b"second"))
    assert await value_of(room, "k") == b"second"
    await room.wait(3.1)
    assert await value_of(room, "k") == b"first"


async def test_who_is_cancelled_has_still_sent_it(room: Room, client: SimulatedClient) -> None:
    task = await room.start(client.kv_put("k", b"v"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await room.result(task)
    await room.wait(1.0)
    assert await value_of(room, "k") == b"v"


async def test_a_process_that_died_is_not_answered_and_what_it_sent_lands(
    room: Room, client: SimulatedClient
) -> None:
    task = await room.start(client.kv_put("k", b"v"))
    client.kill()
    await room.wait(10.0)
    assert not task.done()
    assert await value_of(room, "k") == b"v"
    task.cancel()


async def test_an_agent_that_is_down_refuses(room: Room, client: SimulatedClient) -> None:
    room.consul.agent("node").kill()
    started = room.now()
    for write in (True, False):
        error = await failure(room, client, write=write)
        assert (error.outcome_unknown, error.no_leader) == (False, False)
    assert room.now() - started < 0.1


@pytest.mark.parametrize("write", [True, False])
async def test_an_agent_that_ends_meanwhile_closes_the_connection(
    room: Room, client: SimulatedClient, write: bool
) -> None:
    await room.do(client.kv_put("k", b"v"))
    index = (await room.do(client.kv_get("k"))).index
    if write:
        room.isolate(room.leader())
        task = await room.start(client.kv_put("k", b"w"))
    else:
        task = await room.start(client.kv_get("k", index=index, wait_s=60))  # type: ignore[arg-type]
    await room.wait(0.1)
    room.consul.agent("node").kill()
    await room.wait(0.1)
    with pytest.raises(ConsulUnavailable) as caught:
        await room.result(task)
    assert caught.value.outcome_unknown is write


async def test_a_frozen_agent_answers_when_it_goes_on(room: Room, client: SimulatedClient) -> None:
    agent = room.consul.agent("node")
    agent.freeze()
    assert (await failure(room, client, write=True)).outcome_unknown
    agent.thaw()
    await room.wait(0.1)
    assert await value_of(room, "k") == b"v"


async def test_a_closed_client_asks_nothing(room: Room, client: SimulatedClient) -> None:
    await client.aclose()
    error = await failure(room, client, write=True)
    assert not error.outcome_unknown
    assert await value_of(room, "k") is None


async def test_arguments_are_checked_as_the_real_client_does(
    room: Room, client: SimulatedClient
) -> None:
    for wrong in (
        client.kv_get("../x"),
        client.kv_put("", b""),
        client.kv_list("a//b"),
        client.txn([TxnOp.kv_get("/x")]),
        client.check_pass("a/../b"),
        client.session_info("\n"),
        client.health_state("nope"),
    ):
        with pytest.raises(ValueError, match=r"key|state"):
            await wrong
    with pytest.raises(ValueError, match="request_timeout_s"):
        room.consul.client(request_timeout_s=0)
