"""The desk at which operations are done: it alone looks at Consul, and writes there.

What is begun is the desk's, not a screen's: it goes on to its end, whoever looks on. Each new
`Course` of it is told to whom it was begun for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from console.controls.course import Course
from console.controls.sight import Sight
from coord.clock import Clock
from coord.config import Settings
from coord.consul import ConsulApi, ConsulError
from coord.doctor.probe import may_write
from coord.operations import Operation, Outcome, Preview, Refused, look, perform
from coord.operations.confirming import confirmed, pinned
from coord.records import Paths

Tell = Callable[[Course], None]


@dataclass(slots=True)
class _Doing:
    """An operation under way. stop: nobody waits for it any longer."""

    course: Course
    tell: Tell
    stop: asyncio.Event
    task: asyncio.Task[None] | None = None

    def now(self, course: Course) -> None:
        """This is how it stands now."""
        self.course = course
        self.tell(course)


class Desk:
    """Looks, does, and ends what it has begun before it is closed.

    settings: the operator's own, for what a fleet does not tell; their election is not meant.
    actor: who acts, as the records have it.
    """

    def __init__(self, consul: ConsulApi, settings: Settings, *, clock: Clock, actor: str) -> None:
        self._consul = consul
        self._settings = settings
        self._clock = clock
        self._under_way: dict[str, _Doing] = {}
        self.actor = actor

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
        return tuple(doing.course for doing in self._under_way.values())

    def begin(self, plan: Preview, reason: str, tell: Tell) -> Course:
        """Do what was shown and confirmed, unless it is no longer as it was shown."""
        ask = replace(plan.ask, reason=reason)
        course = Course(plan=replace(plan, ask=ask), began=self._clock.now())
        doing = _Doing(course, tell, asyncio.Event())
        self._under_way[course.id] = doing
        doing.task = asyncio.create_task(self._do(doing, plan), name=f"operation {course.id}")
        return course

    def take_back(self, id: str) -> None:
        """Wait no longer: a request that nobody has answered is withdrawn."""
        if id in self._under_way:
            self._under_way[id].stop.set()

    async def close(self) -> tuple[Course, ...]:
        """Wait no longer for anything, and give what came of it: seconds, if Consul is slow."""
        left = tuple(self._under_way.values())
        for doing in left:
            doing.stop.set()
        await asyncio.gather(*(doing.task for doing in left if doing.task is not None))
        return tuple(doing.course for doing in left)

    async def _do(self, doing: _Doing, shown: Preview) -> None:
        try:
            await self._follow(doing, shown)
        except ConsulError as error:
            doing.now(replace(doing.course, error=error))
        except Exception as error:  # a mistake of ours must not leave a dialog that waits for ever
            mistake = f"{type(error).__name__}: {error}"
            doing.now(replace(doing.course, mistake=mistake))
        finally:
            self._under_way.pop(doing.course.id, None)

    async def _follow(self, doing: _Doing, shown: Preview) -> None:
        reason = doing.course.plan.ask.reason
        again = (await self.look(shown.election)).plan(pinned(shown, reason))
        plan = confirmed(shown, again, reason)
        if isinstance(plan, Refused):
            doing.now(replace(doing.course, refused=plan))
            return
        if doing.stop.is_set():
            doing.now(replace(doing.course, called_off=True))
            return
        doing.now(replace(doing.course, plan=plan, began=self._clock.now()))
        done = perform(self._consul, plan, clock=self._clock, stop=doing.stop)
        async with aclosing(done) as items:
            async for item in items:
                course = doing.course
                if isinstance(item, Outcome):
                    doing.now(replace(course, outcome=item))
                else:
                    doing.now(replace(course, steps=(*course.steps, item)))

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


def no_right(why: str) -> str:
    """That it is not permitted, and what helps."""
    return f"{why}; give an operator's token, in CONSUL_HTTP_TOKEN_FILE"
