"""Consul's own leader in the simulation: deposed, elected, and what becomes of its writes."""

from __future__ import annotations

import pytest
from simulated import Room

from coord.consul import Consistency, ConsulUnavailable, TxnOp
from coord.testing.consul.commands import Command, Nothing, SessionDestroy
from coord.testing.consul.server import SimulatedServer


def believers(room: Room) -> list[SimulatedServer]:
    """Every server that holds itself to be the leader."""
    return [server for server in room.consul.servers if server.leading]


async def test_a_deposed_leader_answers_default_reads_from_its_past() -> None:
    """With a lease longer than an election there are two leaders for a while."""
    room = Room(lease_s=(9.0, 9.0))
    old = room.leader()
    beside = room.at_server(old)
    await room.do(beside.kv_put("k", b"old"))
    room.isolate(old)
    await room.wait(5.0)
    new = room.leader()
    assert new is not old
    assert set(believers(room)) == {old, new}
    await room.do(room.at_server(new).kv_put("k", b"new"))

    reply = await room.do(beside.kv_get("k"))
    assert reply.value is not None
    assert (reply.value.value, reply.known_leader) == (b"old", True)
    result = await room.do(beside.txn([TxnOp.kv_get("k")]))
    assert (result.entries[0].value, result.known_leader) == (b"old", True)
    # It tells of itself, and only a consistent read does not believe it.
    assert await room.do(beside.status_leader()) == old.server_address
    with pytest.raises(ConsulUnavailable):
        await room.do(beside.kv_get("k", consistency=Consistency.CONSISTENT))

    await room.wait(9.0)
    assert believers(room) == [new]
    with pytest.raises(ConsulUnavailable) as caught:
        await room.do(beside.kv_get("k", deadline_s=30))
    assert caught.value.no_leader
    stale = await room.do(beside.kv_get("k", consistency=Consistency.STALE))
    assert stale.value is not None
    assert (stale.value.value, stale.known_leader) == (b"old", False)


async def test_a_consistent_read_without_a_majority_hangs_and_then_says_so() -> None:
    room = Room(lease_s=(1.5, 1.5))
    leader = room.leader()
    consul = room.at_server(leader)
    room.isolate(leader)
    started = room.now()
    with pytest.raises(ConsulUnavailable) as caught:
        await room.do(consul.kv_get("k", consistency=Consistency.CONSISTENT, deadline_s=30))
    assert room.now() - started == pytest.approx(1.5, abs=0.1)
    assert (caught.value.status, caught.value.no_leader) == (500, True)
    assert not caught.value.outcome_unknown


async def test_what_hung_goes_on_when_the_majority_is_back_in_time() -> None:
    room = Room(lease_s=(1.5, 1.5))
    leader = room.leader()
    consul = room.at_server(leader)
    room.isolate(leader)
    read = await room.start(consul.kv_get("k", consistency=Consistency.CONSISTENT))
    write = await room.start(consul.kv_put("k", b"v"))
    await room.wait(1.0)
    room.network.heal_all()
    await room.wait(0.1)
    assert await room.result(write)
    assert (await room.result(read)).value is not None or (await room.result(read)).known_leader
    assert room.leader() is leader


async def test_an_unconfirmed_write_survives_its_leader_or_not() -> None:
    """The asker hears that leadership was lost, and nothing of the outcome."""
    outcomes = []
    for seed in range(12):
        room = Room(seed, lease_s=(0.5, 0.5))
        old = room.leader()
        consul = room.at_server(old)
        # What it sends arrives; what it is told does not.
        for other in room.followers():
            room.network.cut(other.name, old.name)
        with pytest.raises(ConsulUnavailable) as caught:
            await room.do(consul.kv_put("k", b"v"))
        assert (caught.value.status, caught.value.outcome_unknown) == (500, True)
        await room.wait(5.0)
        new = room.leader()
        assert new is not old
        entry = (await room.do(room.at_server(new).kv_get("k"))).value
        outcomes.append(entry is not None)
        room.network.heal_all()
        await room.wait(2.0)
        stale = await room.do(room.at_server(old).kv_get("k", consistency=Consistency.STALE))
        assert stale.value == entry
    assert set(outcomes) == {True, False}


async def test_what_reached_nobody_does_not_survive() -> None:
    for seed in range(6):
        room = Room(seed)
        old = room.leader()
        room.isolate(old)
        with pytest.raises(ConsulUnavailable):
            await room.do(room.at_server(old).kv_put("k", b"v", deadline_s=10))
        await room.wait(5.0)
        assert (await room.do(room.at_server(room.leader()).kv_get("k"))).value is None


async def test_a_killed_leader_is_replaced_and_comes_back_as_one_that_follows() -> None:
    room = Room()
    old = room.leader()
    followers = room.followers()
    await room.do(room.at_server(old).kv_put("k", b"1"))
    old.kill()
    assert room.consul.leader() is None
    await room.wait(1.9)
    assert room.consul.leader() is None
    await room.wait(2.2)
    new = room.leader()
    assert new in followers
    await room.do(room.at_server(new).kv_put("k", b"2"))
    old.start()
    await room.wait(0.5)
    assert believers(room) == [new]
    reply = await room.do(room.at_server(old).kv_get("k", consistency=Consistency.STALE))
    assert reply.value is not None
    assert reply.value.value == b"2"


async def test_a_frozen_leader_that_goes_on_does_not_know_at_once() -> None:
    room = Room()
    old = room.leader()
    await room.do(room.at_server(old).kv_put("k", b"old"))
    old.freeze()
    await room.wait(6.0)
    new = room.leader()
    await room.do(room.at_server(new).kv_put("k", b"new"))
    asked = await room.start(room.at_server(old).kv_get("k"))
    await room.wait(0.1)
    assert old.leading
    old.thaw()
    await room.wait(1.0)
    value = (await room.result(asked)).value
    assert value is not None
    assert value.value == b"old"
    assert believers(room) == [new]


async def test_a_server_that_was_cut_off_unseats_the_leader_when_it_is_back() -> None:
    """It has stood for election in vain meanwhile, in terms younger than the leader's."""
    room = Room()
    old, cut = room.leader(), room.followers()[0]
    room.isolate(cut)
    await room.wait(5.0)
    assert room.leader() is old
    room.network.heal_all()
    await room.wait(0.2)
    assert room.consul.leader() is None
    await room.wait(2.5)
    assert room.consul.leader() is not None
    # Once they have voted together, all is well.
    settled = room.leader()
    await room.wait(30.0)
    assert room.leader() is settled


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_a_server_that_was_away_otherwise_does_not(how: str) -> None:
    room = Room()
    old, away = room.leader(), room.followers()[0]
    if how == "kill":
        away.kill()
    else:
        away.freeze()
    await room.wait(5.0)
    away.start()
    away.thaw()
    for _ in range(20):
        await room.wait(0.2)
        assert room.consul.leader() is old


async def test_no_majority_no_leader() -> None:
    room = Room()
    one, two = room.followers()
    one.kill()
    two.kill()
    await room.wait(60.0)
    assert believers(room) == []
    one.start()
    await room.wait(10.0)
    assert len(believers(room)) == 1


async def test_a_transfer_is_a_short_spell_without_a_leader() -> None:
    room = Room()
    old, (to, _) = room.leader(), room.followers()
    consul = room.consul.client(room.consul.agent("node"))
    room.consul.transfer_leader(to)
    started = room.now()
    assert await room.do(consul.kv_put("k", b"v"))
    assert room.now() - started < 1.5
    assert room.leader() is to
    assert not old.leading
    old.kill()
    room.followers()[0].kill()
    with pytest.raises(ValueError, match="nobody"):
        room.consul.transfer_leader()


async def test_a_server_that_lost_its_data_gets_it_from_the_others() -> None:
    room = Room()
    follower = room.followers()[0]
    await room.do(room.at_server(room.leader()).kv_put("k", b"v"))
    follower.kill()
    follower.start(wipe=True)
    await room.wait(1.0)
    reply = await room.do(room.at_server(follower).kv_get("k", consistency=Consistency.STALE))
    assert reply.value is not None
    assert reply.value.value == b"v"


async def test_a_follower_is_a_moment_behind() -> None:
    room = Room(lag_s=(0.5, 0.5))
    follower = room.at_server(room.followers()[0])
    await room.wait(1.0)
    await room.do(room.at_server(room.leader()).kv_put("k", b"v"))
    stale = Consistency.STALE
    assert (await room.do(follower.kv_get("k", consistency=stale))).value is None
    waiting = await room.start(follower.kv_get("k", index=1, wait_s=60, consistency=stale))
    await room.wait(0.7)
    assert waiting.done()
    reply = await waiting
    assert reply.value is not None


async def test_a_new_leader_gives_every_session_its_ttl_anew() -> None:
    room = Room()
    consul = room.consul.client(room.consul.agent("node"))
    session = await room.do(consul.session_create(name="s", checks=[], lock_delay_s=1, ttl_s=10))
    ends: list[float] = []

    def note(index: int, command: Command, result: object) -> None:
        if command == SessionDestroy(session, expired=True):
            ends.append(room.now())

    room.consul.on_commit(note)
    await room.wait(15.0)
    before = room.leader()
    room.consul.transfer_leader()
    await room.wait(15.0)
    assert room.leader() is not before
    assert ends == []
    await room.wait(6.0)
    assert len(ends) == 1
    assert await room.do(consul.session_info(session)) is None


async def test_a_servers_clock_measures_its_ttls_and_lock_delays() -> None:
    room = Room(servers=1)
    server = room.leader()
    server.clock_rate = 2.0
    consul = room.at_server(server)
    session, other = [
        await room.do(consul.session_create(name="s", checks=[], lock_delay_s=10, ttl_s=ttl_s))
        for ttl_s in (10, None)
    ]
    assert (await room.do(consul.txn([TxnOp.kv_lock("k", b"", session)]))).ok
    await room.wait(9.5)
    assert await room.do(consul.session_info(session)) is not None
    await room.wait(1.0)
    assert await room.do(consul.session_info(session)) is None
    take = [TxnOp.kv_lock("k", b"", other)]
    await room.wait(4.0)
    assert not (await room.do(consul.txn(take))).ok
    await room.wait(1.0)
    assert (await room.do(consul.txn(take))).ok


@pytest.mark.parametrize("how", ["restart of a compacted log", "restore", "forget"])
async def test_lock_delays_are_lost(how: str) -> None:
    room = Room(servers=1)
    consul = room.at_server(room.leader())
    session, other = [
        await room.do(consul.session_create(name="s", checks=[], lock_delay_s=60)) for _ in range(2)
    ]
    take = [TxnOp.kv_lock("k", b"", other)]
    assert (await room.do(consul.txn([TxnOp.kv_lock("k", b"", session)]))).ok
    await room.do(consul.session_destroy(session))
    assert not (await room.do(consul.txn(take))).ok
    if "restart" in how:
        room.leader().compact()
        room.leader().kill()
        room.consul.servers[0].start()
        await room.wait(5.0)
    elif how == "restore":
        await room.do(consul.snapshot_restore(await room.do(consul.snapshot_save())))
    else:
        room.consul.forget_lock_delays()
    assert (await room.do(consul.txn(take))).ok


async def test_another_leader_honours_a_lock_delay_it_applied_itself() -> None:
    room = Room()
    consul = room.consul.client(room.consul.agent("node"))
    session, other = [
        await room.do(consul.session_create(name="s", checks=[], lock_delay_s=20)) for _ in range(2)
    ]
    take = [TxnOp.kv_lock("k", b"", other)]
    assert (await room.do(consul.txn([TxnOp.kv_lock("k", b"", session)]))).ok
    await room.do(consul.session_destroy(session))
    room.consul.transfer_leader()
    await room.wait(10.0)
    assert not (await room.do(consul.txn(take))).ok
    await room.wait(11.0)
    assert (await room.do(consul.txn(take))).ok


async def test_commits_are_told_in_order() -> None:
    room = Room()
    told: list[tuple[int, Command]] = []
    room.consul.on_commit(lambda index, command, result: told.append((index, command)))
    consul = room.consul.client(room.consul.agent("node"))
    for _ in range(3):
        await room.do(consul.kv_put("k", b"v"))
    room.consul.transfer_leader()
    await room.wait(1.0)
    indexes = [index for index, _ in told]
    assert indexes == list(range(indexes[0], indexes[0] + len(indexes)))
    assert Nothing() in [command for _, command in told]
