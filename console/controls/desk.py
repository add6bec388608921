"""The desk at which operations are done: it alone looks at Consul, and writes there.

What is begun is the desk's, not a screen's: it goes on to its end, whoever looks on. Each new
`Course` of it is told to whom it was begun for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType
from typing import Self

from console.controls.actions import no_right
from console.controls.course import Course, in_a_word
from console.controls.runner import Runner
from console.controls.runs import RunCourse
from console.controls.runs import in_a_word as run_in_a_word
from console.controls.sight import Sight
from console.controls.under_way import Doing, UnderWay
from coord.clock import Clock
from coord.config import Settings
from coord.consul import ConsulApi
from coord.doctor.probe import may_write
from coord.operations import Operation, Outcome, Preview, Refused, look, perform
from coord.operations.confirming import confirmed, pinned
from coord.records import Paths

Tell = Callable[[Course], None]


class Desk:
    """Looks, does, and ends what it has begun before it is closed.

    settings: the operator's own, for what a fleet does not tell; their election is not meant.
    actor: who acts, as the records have it.
    """

    def __init__(self, consul: ConsulApi, settings: Settings, *, clock: Clock, actor: str) -> None:
        self._consul = consul
        self._settings = settings
        self._clock = clock
        self._under_way: UnderWay[Course] = UnderWay()
        self.actor = actor
        self.runs = Runner(consul, clock=clock, actor=actor)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def look(self, election: str) -> Sight:
        """Look at what is decided on in that election.

        Raises:
            ConsulError: Consul cannot be read.
        """
        looked = await look(self._consul, Paths(election), clock=self._clock)
        return Sight(looked, self._settings)

    # -- what is under way -----------------------------------------------------------------

    @property
    def under_way(self) -> tuple[Course, ...]:
        """What has been begun and has not ended, the oldest first."""
        return self._under_way.courses

    def begin(self, plan: Preview, reason: str, tell: Tell) -> Course:
        """Do what was shown and confirmed, unless it is no longer as it was shown."""
        ask = replace(plan.ask, reason=reason)
        course = Course(plan=replace(plan, ask=ask), began=self._clock.now())
        return self._under_way.begin(course, tell, lambda doing: self._follow(doing, plan))

    def take_back(self, id: str) -> None:
        """Wait no longer: a request that nobody has answered is withdrawn."""
        self._under_way.stop(id)

    @property
    def titles(self) -> tuple[str, ...]:
        """What is under way, runs of schedules included."""
        begun: tuple[Course | RunCourse, ...] = (*self.under_way, *self.runs.under_way)
        return tuple(each.title for each in begun)

    async def close(self) -> tuple[str, ...]:
        """Wait no longer for anything, and say what came of each: seconds, if Consul is slow."""
        courses, runs = await asyncio.gather(self._under_way.close(), self.runs.close())
        ran = (f"{run.title}: {run_in_a_word(run)}" for run in runs)
        return (*map(in_a_word, courses), *ran)

    async def _follow(self, doing: Doing[Course], shown: Preview) -> None:
        reason = doing.course.plan.ask.reason
        again = (await self.look(shown.election)).plan(pinned(shown, reason))
        plan = confirmed(shown, again, reason)
        if isinstance(plan, Refused):
            doing.now(refused=plan)
            return
        if doing.stop.is_set():
            doing.now(called_off=True)
            return
        doing.now(plan=plan, began=self._clock.now())
        done = perform(self._consul, plan, clock=self._clock, stop=doing.stop)
        async with aclosing(done) as items:
            async for item in items:
                if isinstance(item, Outcome):
                    doing.now(outcome=item)
                else:
                    doing.now(steps=(*doing.course.steps, item))

    # -- rights ----------------------------------------------------------------------------

    async def denied(self, election: str) -> Mapping[Operation, str]:
        """What the token does not allow there, and why, found without writing anything: see
        `coord.doctor`. Nothing is said of what cannot be told."""
        paths = Paths(election)
        tried = {
            paths.audit: f"{paths.audit}console",
            paths.request: paths.request,
            paths.pause: paths.pause,
            paths.drains: f"{paths.drains}console",
        }
        found = await asyncio.gather(*(may_write(self._consul, key) for key in tried.values()))
        may = dict(zip(tried, found, strict=True))
        denied = {}
        for operation in Operation:
            needs = (paths.audit, _key_of(operation, paths))
            missing = next((name for name in needs if may[name] is False), None)
            if missing is not None:
                denied[operation] = no_right(f"this token lacks key:write on {missing}")
        return denied


def _key_of(operation: Operation, paths: Paths) -> str:
    if operation.of_leader:
        return paths.request
    pauses = operation in (Operation.PAUSE, Operation.RESUME)
    return paths.pause if pauses else paths.drains
