"""Fleets of real nodes on a real Consul, each with a witness of its work.

`bench` is an election of the test's own on the shared agent: led before and handed over, so that
the first to come need not wait, with the default timing and `demo.work:Pulse` as its work.

    async def test_…(bench: Bench) -> None:
        await bench.fleet.start("core-1", "core-2")
        leader, term = await bench.working_leader()

`make_bench` makes others: with settings (`env=`; `FAST` is quicker timing), with an agent of the
test's own (`agent=`, from `make_agent`), with `led_before=False`.

Whatever a test was about, at its end the witness is asked whether two ever worked at once, and no
node outlives it. Where a test failed, the end of each node's log is shown.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from acceptance import PULSE, Bench, MakeBench, hand_over_once
from consul_agents import ConsulAgent, client_of
from rights_bench import Rights, denials

from demo import REPO
from demo.fleet import Fleet
from demo.witness import Witness

WORK_PATH = os.pathsep.join((str(REPO), str(REPO / "tests" / "support")))
"""Where nodes find `demo.work` and `acceptance_work`."""


@pytest.fixture
async def make_bench(rights: Rights, name: str, tmp_path: Path) -> AsyncIterator[MakeBench]:
    """Makes a `Bench`; at most one in each test, as the election is named after the test.

    On an agent of the test's own everybody may do everything.
    """
    made: list[Bench] = []

    async with contextlib.AsyncExitStack() as stack:

        async def make(
            *,
            agent: ConsulAgent | None = None,
            env: Mapping[str, str] | None = None,
            workloads: str = PULSE,
            led_before: bool = True,
        ) -> Bench:
            witness = await stack.enter_async_context(Witness())
            asked = rights if agent is None else Rights(agent, name)
            client = client_of(asked.agent, token=asked.token)
            consul = await stack.enter_async_context(client)
            fleet = Fleet(
                asked.agent.http_addr,
                tmp_path / "fleet",
                witness=witness,
                env={"PYTHONPATH": WORK_PATH, **(env or {})},
                workloads=workloads,
                election=name,
                token=asked.token,
                more=asked.of_node if asked.on else None,
            )
            stack.callback(_close, fleet)
            stack.push_async_callback(fleet.stop, grace_s=0.0)
            bench = Bench(fleet, witness, consul, asked.agent.ports.dns)
            made.append(bench)
            if led_before:
                await hand_over_once(consul, bench.paths)
            return bench

        yield make
        reports = [await bench.report() for bench in made]
        denied = [line for bench in made for line in denials(bench.fleet)]
    for report in reports:
        assert not report.overlapped, (report.stale, report.doubles)
        assert report.unreadable == 0
    assert not denied, "a right is missing"


def _close(fleet: Fleet) -> None:
    for node in fleet.nodes.values():
        node.close()
        print(f"--- the log of {node.name} ends with\n{node.log_tail(60)}")


@pytest.fixture
async def bench(make_bench: MakeBench) -> Bench:
    """An election that was led before, on the shared agent, with the default timing."""
    return await make_bench()
