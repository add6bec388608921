"""How long nobody works when a leader ends, dies or freezes.

Measured from the fault, the moment in which the signal was sent, to the new leader's first unit of
work as the witness heard it; both are CLOCK_MONOTONIC of one machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from bench.stage import PATIENCE_S, server_agent, settle
from coord.election.timing import Budget
from demo.fleet import Fleet, Node
from demo.witness import Witness, WitnessReport

ELIGIBLE = ("core-1", "core-2", "web-1")


class Fault(Enum):
    """What is done to the leader."""

    CLEAN = "clean"
    SIGKILL = "sigkill"
    SIGSTOP = "sigstop"

    def strike(self, node: Node) -> float:
        """Do it; gives the moment, in CLOCK_MONOTONIC seconds."""
        strikes: dict[Fault, Callable[[], float]] = {
            Fault.CLEAN: node.terminate,
            Fault.SIGKILL: node.kill,
            Fault.SIGSTOP: node.freeze,
        }
        return strikes[self]()

    def budget_s(self, budget: Budget) -> float:
        """The longest gap that the design allows for it, in seconds."""
        budgets = {
            Fault.CLEAN: budget.clean_end,
            Fault.SIGKILL: budget.kill,
            Fault.SIGSTOP: budget.hang,
        }
        return budgets[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One fault and what came of it. Times in milliseconds.

    term: the new leader's.
    gap_ms: from the fault to the new leader's first unit of work.
    silence_ms: from the old leader's last unit of work to the new leader's first.
    phases: `gap_ms` in parts, from both leaders' logs; they add up to it.
    became: what became of the old leader's process.
    stale, doubles: work of an older term after newer, and of two processes in one term.
    lost: messages of the work that never reached the witness.
    """

    fault: Fault
    old: str
    new: str
    term: int
    gap_ms: float
    silence_ms: float
    phases: dict[str, float] = field(default_factory=dict)
    became: str
    stale: int
    doubles: int
    lost: int

    @property
    def overlapped(self) -> bool:
        """Whether two worked at once."""
        return self.stale > 0 or self.doubles > 0


@contextlib.asynccontextmanager
async def running_fleet(directory: Path, consul: Path) -> AsyncIterator[tuple[Fleet, Witness]]:
    """A server agent with its data on disk, a witness, and three nodes that may lead."""
    async with (
        server_agent(directory / "consul", consul) as agent,
        Witness() as witness,
        Fleet(agent.http_addr, directory / "nodes", witness=witness) as fleet,
    ):
        await fleet.start(*ELIGIBLE)
        yield fleet, witness


async def measure(fleet: Fleet, witness: Witness, fault: Fault) -> Run:
    """One run: from a settled fleet to a fleet that is complete again.

    Raises:
        TimeoutError, NodeError, WitnessError: the fleet does not settle, or nobody takes over.
    """
    record = await settle(fleet, ELIGIBLE, witness)
    old = fleet[record.node]
    before = await witness.report()
    wall = time.time() - time.monotonic()
    struck_at = fault.strike(old)
    seen = await witness.next_leader(record.term, timeout_s=PATIENCE_S)
    became = await _put_right(fault, old, witness, seen.term)
    after = await witness.report()
    gap = after.gap_to(seen.term)
    assert gap is not None, "a new term follows the one that was there"
    gap_ms = (seen.first_at - struck_at) * 1000
    return Run(
        fault=fault,
        old=old.name,
        new=seen.node,
        term=seen.term,
        gap_ms=gap_ms,
        silence_ms=gap.gap_s * 1000,
        phases=phases(fleet[seen.node], seen.term, wall + struck_at, gap_ms),
        became=became,
        stale=after.stale_count - before.stale_count,
        doubles=after.double_count - before.double_count,
        lost=_lost(before, after),
    )


def _lost(before: WitnessReport, after: WitnessReport) -> int:
    return after.lost - before.lost + after.unreadable - before.unreadable


async def _put_right(fault: Fault, old: Node, witness: Witness, term: int) -> str:
    """Have the old leader's node back, and say what became of its process.

    One that was frozen is woken first, and listened to until it ends or stands by: what it might
    still send is what the witness is there for.
    """
    became = "ended"
    if fault is Fault.SIGSTOP:
        old.wake()
        woken_at = time.monotonic()
        became = await _end_or_stand_by(old)
        await witness.work(after=woken_at, term=term, timeout_s=PATIENCE_S)
    if became == "ended":
        status = await old.wait_exit(timeout_s=PATIENCE_S)
        became = f"ended by signal {-status}" if status < 0 else f"ended with {status}"
    await old.restart(timeout_s=PATIENCE_S)
    return became


async def _end_or_stand_by(node: Node) -> str:
    standing = asyncio.create_task(node.state("standby", "cooling", timeout_s=PATIENCE_S))
    ending = asyncio.create_task(node.wait_exit(timeout_s=PATIENCE_S))
    done, pending = await asyncio.wait({standing, ending}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    if ending in done or not node.running:
        # It ended: that `state` says so by an error is no news.
        await asyncio.gather(standing, return_exceptions=True)
        return "ended"
    return f"went on: {standing.result()}"


# --- where the time goes -------------------------------------------------------------------------


def phases(new: Node, term: int, struck_at: float, gap_ms: float) -> dict[str, float]:
    """The gap in parts: until the new leader saw the vacancy (the old one's stop and release, or
    its detection); the wait that the vacancy needs; taking the lock; starting the work.

    `struck_at` is wall-clock time; empty if the new leader's log does not tell enough.
    """
    won = [e for e in new.events("leader_changed") if e.get("term") == term and "gap_ms" in e]
    begun = [at for e in new.events("election_started") if (at := stamp(e)) > struck_at]
    if not won or not begun:
        return {}
    told = won[-1]
    parts = {
        "until the vacancy is seen": (begun[0] - struck_at) * 1000,
        "wait and turn": float(told["quarantine_ms"]),
        "taking the lock": float(told["acquire_ms"]),
    }
    parts["to the first unit of work"] = gap_ms - sum(parts.values())
    return parts


def stamp(line: dict[str, Any]) -> float:
    """When a log line was written, in seconds of wall-clock time."""
    return datetime.fromisoformat(str(line["timestamp"])).timestamp()
