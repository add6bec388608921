"""The console acts on a real fleet: keys are pressed, another leads, and the audit has it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from acceptance import FAST, Bench, MakeBench
from consul_agents import client_of
from control_bench import ACTOR, Hands, at_console
from rights_bench import Rights

from coord.operations.successors import successors
from coord.records import AuditRecord
from coord.rights import Role

pytestmark = pytest.mark.also_with_acls


@asynccontextmanager
async def console(bench: Bench, rights: Rights, leader: str) -> AsyncIterator[Hands]:
    """A console with an operator's rights, which shows that leader and two that can follow."""
    token = rights.secrets.get(Role.OPERATOR)
    async with (
        client_of(rights.agent, token=token) as operator,
        at_console(bench.consul, bench.paths, by=operator) as hands,
    ):
        await hands.until(lambda: hands.headline().startswith(f"★ {leader} LEADS"))
        await hands.until(lambda: able_to_follow(hands, leader) == 2)
        yield hands


def able_to_follow(hands: Hands, leader: str) -> int:
    status = hands.app.snapshot.status
    assert status is not None
    return sum(s.ready for s in successors(status.candidates.items, hands.asked_now, leader))


async def written(hands: Hands) -> AuditRecord:
    """The one entry of the audit."""
    (entry,) = await hands.audit()
    assert entry.record is not None
    return entry.record


async def test_step_down_is_pressed(make_bench: MakeBench, rights: Rights) -> None:
    bench = await make_bench(env=FAST)
    await bench.fleet.start("core-1", "core-2", "core-3")
    first, term = await bench.working_leader()

    async with console(bench, rights, first.name) as hands:
        await hands.asked("s")
        assert f"{first.name} (core), term {term}" in hands.text
        assert "Pulse" in hands.text
        await hands.confirm("kernel update")
        second, later = await bench.working_leader(after_term=term)
        await hands.reads(f"✔ done: {second.name} leads, under term {later}")
        for step in ("asked", "answered, work stopping", "lock given back", "at work"):
            assert step in hands.text
        assert "as the new leader measured" in hands.text
        record = await written(hands)
        assert (record.actor, record.reason) == (ACTOR, "kernel update")
        assert (record.outcome, record.new_leader) == ("done", second.name)
        await hands.press("enter")
        await hands.until(lambda: hands.headline().startswith(f"★ {second.name} LEADS"))
        assert f"term {later}" in hands.headline()


@pytest.mark.long
async def test_a_leader_is_forced_off(make_bench: MakeBench, rights: Rights) -> None:
    """Its name is typed, its session destroyed, and another works once it is safe."""
    bench = await make_bench(env=FAST)
    await bench.fleet.start("core-1", "core-2", "core-3")
    first, term = await bench.working_leader()

    async with console(bench, rights, first.name) as hands:
        await hands.asked("f")
        await hands.fill("name", first.name)
        await hands.fill("reason", "it hangs")
        await hands.button("do")
        await hands.reads("session destroyed")
        second, later = await bench.working_leader(after_term=term)
        await hands.reads(f"✔ done: {second.name} leads, under term {later}")
        assert second.name != first.name
        record = await written(hands)
        assert record.operation == "force_release"
        assert (record.outcome, record.new_leader) == ("done", second.name)
