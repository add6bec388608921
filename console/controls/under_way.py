"""What has been begun and has not ended: each in a task of its own, told as it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from console.controls.course import Course
from console.controls.runs import RunCourse
from coord.consul import ConsulError

C = TypeVar("C", Course, RunCourse)


@dataclass(slots=True)
class Doing(Generic[C]):
    """One of them. stop: nobody waits for it any longer."""

    course: C
    tell: Callable[[C], None]
    stop: asyncio.Event
    task: asyncio.Task[None] | None = None

    def now(self, **changes: Any) -> C:
        """This is how it stands now."""
        self.course = replace(self.course, **changes)
        self.tell(self.course)
        return self.course


class UnderWay(Generic[C]):
    """All of them."""

    def __init__(self) -> None:
        self._doing: dict[str, Doing[C]] = {}

    @property
    def courses(self) -> tuple[C, ...]:
        """How they stand, the oldest first."""
        return tuple(doing.course for doing in self._doing.values())

    def begin(
        self, course: C, tell: Callable[[C], None], do: Callable[[Doing[C]], Awaitable[None]]
    ) -> C:
        """Begin it; `tell` is told whenever it is further."""
        doing = Doing(course, tell, asyncio.Event())
        self._doing[course.id] = doing
        doing.task = asyncio.create_task(self._do(doing, do), name=f"operation {course.id}")
        return course

    async def _do(self, doing: Doing[C], do: Callable[[Doing[C]], Awaitable[None]]) -> None:
        try:
            await do(doing)
        except ConsulError as error:
            doing.now(error=error)
        except Exception as error:  # a mistake of ours must not leave a dialog that waits for ever
            doing.now(mistake=f"{type(error).__name__}: {error}")
        finally:
            self._doing.pop(doing.course.id, None)

    def stop(self, id: str) -> None:
        """Wait for it no longer."""
        if id in self._doing:
            self._doing[id].stop.set()

    async def close(self) -> tuple[C, ...]:
        """Wait no longer for anything, and give what came of it."""
        left = tuple(self._doing.values())
        for doing in left:
            doing.stop.set()
        await asyncio.gather(*(doing.task for doing in left if doing.task is not None))
        return tuple(doing.course for doing in left)
