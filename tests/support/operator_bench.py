"""An operator who acts through Consul alone, as the command line and the console do."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from coord.clock import SystemClock
from coord.consul import ConsulApi
from coord.election.timing import Timing
from coord.operations import (
    Ask,
    AuditEntry,
    Operation,
    Outcome,
    Preview,
    Refused,
    Step,
    StepKind,
    look,
    perform,
    preview,
    read_audit,
)
from coord.records import Paths

WITHIN_S = 60.0


@dataclass
class Operator:
    """One operator. timing: their own settings."""

    consul: ConsulApi
    paths: Paths
    actor: str = "ann@ops"
    timing: Timing = field(default_factory=Timing)

    async def plan(self, operation: Operation, node: str = "", **more: Any) -> Preview | Refused:
        """Look, and see what it would do."""
        seen = await look(self.consul, self.paths, clock=SystemClock())
        said: dict[str, Any] = {"actor": self.actor, "reason": "a test"}
        ask = Ask(operation=operation, node=node, **(said | more))
        return preview(
            seen.status, seen.controls, ask, self.timing, polls_running=seen.polls_running
        )

    async def planned(self, operation: Operation, node: str = "", **more: Any) -> Preview:
        """As `plan`, where it must not be refused."""
        found = await self.plan(operation, node, **more)
        assert isinstance(found, Preview), found
        return found

    def start(self, plan: Preview, **how: Any) -> Doing:
        """Begin to do it, in the background."""
        return Doing(self, plan, how)

    async def do(self, plan: Preview, **how: Any) -> Doing:
        """Do it to its end."""
        doing = self.start(plan, **how)
        await doing.outcome()
        return doing

    async def act(
        self,
        operation: Operation,
        node: str = "",
        *,
        wait: bool = True,
        timeout_s: float | None = None,
        **more: Any,
    ) -> Doing:
        """Look, and do it to its end."""
        plan = await self.planned(operation, node, **more)
        return await self.do(plan, wait=wait, timeout_s=timeout_s)

    async def audit(self) -> tuple[AuditEntry, ...]:
        """What stands in the audit."""
        return await read_audit(self.consul, self.paths)

    async def value(self, key: str) -> bytes | None:
        """What stands at a key."""
        entry = (await self.consul.kv_get(key)).value
        return entry.value if entry is not None else None


class Doing:
    """An operation under way. steps: what was seen so far."""

    def __init__(self, operator: Operator, plan: Preview, how: dict[str, Any]) -> None:
        self.steps: list[Step] = []
        self.stop = asyncio.Event()
        self._plan = plan
        self._operator = operator
        self._seen = asyncio.Event()
        self.task = asyncio.create_task(self._run(how))

    async def _run(self, how: dict[str, Any]) -> Outcome:
        done = perform(
            self._operator.consul, self._plan, clock=SystemClock(), stop=self.stop, **how
        )
        outcome: Outcome | None = None
        async with aclosing(done) as items:
            async for item in items:
                assert outcome is None, "nothing comes after an outcome"
                if isinstance(item, Outcome):
                    outcome = item
                else:
                    self.steps.append(item)
                self._seen.set()
        assert outcome is not None
        return outcome

    async def seen(self, kind: StepKind) -> Step:
        """Wait for a step of that kind."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                found = next((step for step in self.steps if step.kind is kind), None)
                if found is not None:
                    return found
                assert not self.task.done(), (self.steps, self.task.result())
                self._seen.clear()
                await self._seen.wait()

    async def outcome(self) -> Outcome:
        """Wait for its end."""
        async with asyncio.timeout(WITHIN_S):
            return await self.task

    @property
    def kinds(self) -> list[StepKind]:
        """The kinds of its steps, in order."""
        return [step.kind for step in self.steps]
