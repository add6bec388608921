"""The part of the desk that asks for runs: it alone writes a request, and follows it."""

from __future__ import annotations

from collections.abc import Callable

from console.controls.actions import no_right
from console.controls.runs import RunCourse
from console.controls.under_way import Doing, UnderWay
from coord.clock import Clock
from coord.consul import ConsulApi
from coord.doctor.probe import may_write
from coord.records import Paths

WAIT_S = 330.0
"""How long is waited for what comes of it, in seconds: a leader takes none up after 5 minutes."""


class Runner:
    """Asks, follows, and takes back what nobody has taken up when it is closed.

    actor: who asks, as the records have it.
    """

    def __init__(self, consul: ConsulApi, *, clock: Clock, actor: str) -> None:
        self._consul = consul
        self._clock = clock
        self._actor = actor
        self._under_way: UnderWay[RunCourse] = UnderWay()

    @property
    def under_way(self) -> tuple[RunCourse, ...]:
        """What has been asked for and has not ended, the oldest first."""
        return self._under_way.courses

    def begin(
        self, id: str, election: str, schedule: str, tell: Callable[[RunCourse], None]
    ) -> RunCourse:
        """Ask for a run. id: new for each. schedule: the last part of the key of one that can be
        read."""
        course = RunCourse(
            election=election,
            schedule=schedule,
            id=id,
            job=f"{schedule}.{id}",
            began=self._clock.now(),
        )
        return self._under_way.begin(course, tell, self._follow)

    def take_back(self, id: str) -> None:
        """Wait no longer: a request that nobody has taken up is withdrawn."""
        self._under_way.stop(id)

    async def close(self) -> tuple[RunCourse, ...]:
        """Wait no longer for anything, and give what came of it."""
        return await self._under_way.close()

    async def _follow(self, doing: Doing[RunCourse]) -> None:
        # It takes long to load, and most who look at an election ask for no run.
        from coord.polling.running import REFUSALS, AskedRecord, EditRefused, run_now

        course = doing.course
        asked = AskedRecord(
            schedule=course.schedule,
            actor=self._actor,
            request_id=course.id,
            at_ms=self._clock.wall_ms(),
        )
        try:
            came = await run_now(
                self._consul,
                Paths(course.election),
                asked,
                wait_s=WAIT_S,
                stop=doing.stop,
                tell=lambda: doing.now(asked_s=self._since(course)),
            )
        except EditRefused as refused:
            sentence, hint = REFUSALS[refused.code]
            doing.now(refused=(sentence.format(ids=course.schedule), hint))
        else:
            doing.now(came=came.word.value, result=came.result, ended_s=self._since(course))

    def _since(self, course: RunCourse) -> float:
        return self._clock.now() - course.began

    async def denied(self, election: str) -> str:
        """Why the token does not allow it there, found without writing anything; "": it may, or
        that cannot be told."""
        paths = Paths(election)
        for below in (paths.audit, f"{paths.polls}asked/"):
            if await may_write(self._consul, f"{below}console") is False:
                return no_right(f"this token lacks key:write on {below}")
        return ""
