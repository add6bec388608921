"""What every screen and dialog looks like: `make snapshots` keeps what it looks like now."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest
from console_bench import Seat, StoppedClock
from console_polls import KEYS, MIXED, evil, polled, unpolled
from console_rooms import FINDINGS, examined, with_audit, with_journal, with_runbooks, with_sessions
from console_rooms import hostile as hostile_rooms
from console_said import otherwise
from console_scenes import SCENES, disconnected, leading
from operations_bench import planned
from pictures import KEPT, WRITE, compare, first_difference, picture_of, stand_still
from recordings import a_night

from console.app import ConsoleApp
from console.controls.course import Course
from console.controls.desk import Desk, Tell
from console.controls.runner import Runner
from console.controls.runs import RunCourse
from console.controls.sight import Sight
from console.recording.reading import read_recording
from console.replay import ReplayApp
from console.screens.control_quit import QuitScreen
from console.snapshot import Snapshot
from coord.clock import Clock
from coord.config import Settings
from coord.consul import ConsulApi
from coord.operations import (
    Looked,
    Operation,
    Outcome,
    OutcomeWord,
    Preview,
    Step,
    StepKind,
)
from coord.polling.records import ResultRecord
from docs.pictures import normalised

pytestmark = pytest.mark.long

SIZES = {"narrow": (80, 24), "usual": (120, 40), "wide": (200, 50)}
LOOKED_AT = (
    *("leading", "leaderless", "disconnected", "stale", "paused", "thousand", "hostile"),
    "read-only",
)


class StillDesk(Desk):
    """Sees what the screen shows, and follows what is begun as far as it is told to."""

    def __init__(
        self, clock: Clock, snapshot: Snapshot, end: Outcome | None, ran: ResultRecord | None
    ) -> None:
        settings = Settings(environ={}, node="operator", election="x")
        super().__init__(cast(ConsulApi, None), settings, clock=clock, actor="ann@ops")
        self.runs = StillRunner(clock, ran)
        self._snapshot = snapshot
        self._end = end

    async def look(self, election: str) -> Sight:
        status = self._snapshot.status
        assert status is not None
        return Sight(Looked(status, status.controls.asked, 3), self._settings)

    async def denied(self, election: str) -> Mapping[Operation, str]:
        return MappingProxyType({})

    def begin(self, plan: Preview, reason: str, tell: Tell) -> Course:
        steps = (
            Step(kind=StepKind.REQUESTED, at_ms=12, node="core-1", term=7),
            Step(kind=StepKind.RELEASED, at_ms=840, node="core-1", term=7),
        )
        ask = replace(plan.ask, reason=reason)
        course = Course(plan=replace(plan, ask=ask), began=self._clock.now() - 1.2, steps=steps)
        return replace(course, outcome=self._end)


class StillRunner(Runner):
    """Follows a run as far as it is told to."""

    def __init__(self, clock: Clock, ran: ResultRecord | None) -> None:
        super().__init__(cast(ConsulApi, None), clock=clock, actor="ann@ops")
        self._ran = ran

    async def denied(self, election: str) -> str:
        return ""

    def begin(
        self, id: str, election: str, schedule: str, tell: Callable[[RunCourse], None]
    ) -> RunCourse:
        began = self._clock.now() - 1.2
        job = f"{schedule}.{id}"
        course = RunCourse(
            election=election, schedule=schedule, id=id, job=job, began=began, asked_s=0.01
        )
        if self._ran is None:
            return course
        ran = self._ran.model_copy(update={"job": job})
        return replace(course, came="run", ended_s=0.31, result=ran)


RAN = ResultRecord.decode(next(e for e in MIXED if e.key == KEYS.result("web-shop")).value)

TOOK_OVER = Outcome(
    operation=Operation.STEP_DOWN,
    request_id="b" * 16,
    word=OutcomeWord.DONE,
    detail="core-2 leads",
    took_ms=1190,
    new_leader="core-2",
    new_term=8,
    gap_ms=34,
    phases={"detect": 4, "quarantine": 0, "acquire": 9, "start": 21},
    recorded=True,
)


@asynccontextmanager
async def looking_at(
    snapshot: Snapshot,
    size: tuple[int, int],
    *,
    end: Outcome | None = None,
    ran: ResultRecord | None = None,
    read_only: bool = False,
    theme: str | None = None,
) -> AsyncIterator[Seat]:
    clock = StoppedClock()
    desk = None if snapshot.status is None else StillDesk(clock, snapshot, end, ran)
    app = ConsoleApp(
        None, clock=clock, snapshot=snapshot, desk=desk, read_only=read_only, theme=theme
    )
    async with app.run_test(size=size) as pilot:
        seat = Seat(app, pilot, clock)
        await settled(seat)
        yield seat


async def settled(seat: Seat) -> None:
    """Wait until everything that is drawn after something else is drawn."""
    await seat.app.workers.wait_for_complete()
    for _ in range(6):
        await seat.pilot.pause()
    stand_still(seat.app)
    await seat.pilot.pause()


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the terminal of whoever runs this can show."""
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scene", LOOKED_AT)
async def test_the_dashboard(scene: str, size: str) -> None:
    shown = leading() if scene == "read-only" else SCENES[scene]()
    async with looking_at(shown, SIZES[size], read_only=scene == "read-only") as seat:
        compare(f"dashboard-{scene}-{size}", picture_of(seat.app))


@dataclass(frozen=True)
class View:
    """One screen: what it is made of, and the keys that lead there."""

    shown: Callable[[], Snapshot]
    keys: tuple[str, ...] = ()
    then: Callable[[Seat], Awaitable[object]] | None = None
    more: Mapping[str, Any] | None = None
    size: str = "usual"


async def _typed(seat: Seat) -> None:
    """The leader's name, and why."""
    await seat.press("tab")
    await seat.type("core-1")
    await seat.press("enter")
    await seat.type("it hangs")


async def _done(seat: Seat) -> None:
    """Why, and the button."""
    await seat.press("tab")
    await seat.type("deploy")
    await seat.press("enter", "enter")


async def _left(seat: Seat) -> None:
    began = Course(plan=planned(Operation.STEP_DOWN), began=seat.clock.now() - 3.0)
    await seat.app.push_screen(QuitScreen((began.title,)))


async def _run(seat: Seat) -> None:
    """The button of the dialog."""
    await seat.press("left", "enter")


VIEWS = {
    "node": View(leading, ("down", "enter")),
    "said": View(otherwise, ("down", "enter")),
    "filter": View(leading, ("slash", "c", "o", "r", "e")),
    "high-contrast": View(leading, more={"theme": "high-contrast"}),
    "events": View(with_journal, ("2", "home", "enter")),
    "events-hostile": View(hostile_rooms, ("2",)),
    "sessions": View(with_sessions, ("3",)),
    "health": View(lambda: examined(*FINDINGS), ("4",)),
    "audit": View(with_audit, ("5", "enter")),
    "runbooks": View(with_runbooks, ("6",)),
    "polls-disconnected": View(lambda: polled(shown=disconnected()), ("7",)),
    "polls-detail": View(polled, ("7", "enter")),
    "dialog-run": View(polled, ("7", "r")),
    "dialog-run-narrow": View(polled, ("7", "r"), size="narrow"),
    "dialog-run-under-way": View(polled, ("7", "r"), _run),
    "dialog-run-outcome": View(polled, ("7", "r"), _run, {"ran": RAN}),
    "help": View(leading, ("question_mark",)),
    "menu": View(leading, ("down", "a")),
    "menu-read-only": View(leading, ("a",), more={"read_only": True}),
    "dialog-step-down": View(leading, ("a", "s")),
    "dialog-step-down-narrow": View(leading, ("a", "s"), size="narrow"),
    "dialog-force-release": View(leading, ("a", "f"), _typed),
    "dialog-pause": View(leading, ("a", "p")),
    "dialog-drain": View(leading, ("down", "a", "d")),
    "dialog-under-way": View(leading, ("a", "s"), _done),
    "dialog-outcome": View(leading, ("a", "s"), _done, {"end": TOOK_OVER}),
    "dialog-refused": View(SCENES["leaderless"], ("a", "f")),
    "quit": View(leading, (), _left),
}
"""All but the dashboard, once."""


POLLS = {"mixed": polled, "none": unpolled, "hostile": evil}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scene", POLLS)
async def test_the_polls(scene: str, size: str) -> None:
    async with looking_at(POLLS[scene](), SIZES[size]) as seat:
        await seat.press("7")
        await settled(seat)
        compare(f"polls-{scene}-{size}", picture_of(seat.app))


@pytest.mark.parametrize("name", VIEWS)
async def test_every_other_screen(name: str) -> None:
    view = VIEWS[name]
    async with looking_at(view.shown(), SIZES[view.size], **(view.more or {})) as seat:
        for key in view.keys:
            await seat.press(key)
            await settled(seat)
        if view.then is not None:
            await view.then(seat)
            await settled(seat)
        compare(name, picture_of(seat.app))


@pytest.mark.parametrize("size", ["narrow", "usual"])
async def test_a_replay(tmp_path: Path, size: str) -> None:
    clock = StoppedClock()
    app = ReplayApp(read_recording(a_night(tmp_path / "x")), clock=clock)
    async with app.run_test(size=SIZES[size]) as pilot:
        seat = Seat(app, pilot, clock)
        await settled(seat)
        await seat.press("right_square_bracket")
        await settled(seat)
        compare(f"replay-{size}", picture_of(app))


# --- that it would be noticed ---


def test_none_is_kept_that_nobody_looks_at() -> None:
    if os.environ.get(WRITE):
        pytest.skip("they are being kept just now")
    known = {f"dashboard-{scene}-{size}" for scene in LOOKED_AT for size in SIZES}
    known |= {f"polls-{scene}-{size}" for scene in POLLS for size in SIZES}
    known |= {*VIEWS, "replay-narrow", "replay-usual"}
    assert {path.stem for path in KEPT.glob("*.svg")} == known


def test_a_difference_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(WRITE, raising=False)
    kept, new = tmp_path / "kept", tmp_path / "new"
    kept.mkdir()
    (kept / "a.svg").write_text("<svg>\n<text>core-1</text>\n")
    compare("a", "<svg>\n<text>core-1</text>\n", kept, new)
    with pytest.raises(pytest.fail.Exception) as caught:
        compare("a", "<svg>\n<text>core-2</text>\n", kept, new)
    assert "line 2\n- <text>core-1</text>\n+ <text>core-2</text>" in str(caught.value)
    assert str(new / "a.svg") in str(caught.value)
    assert "make snapshots" in str(caught.value)
    assert (new / "a.svg").read_text() == "<svg>\n<text>core-2</text>\n"
    with pytest.raises(pytest.fail.Exception, match="never looked at"):
        compare("b", "x\n", kept, new)
    assert "(it ends there)" in first_difference("a\n", "a\nb\n")


async def test_two_exports_of_one_picture_are_the_same() -> None:
    found = []
    for _ in range(2):
        async with looking_at(leading(), (80, 24)) as seat:
            raw = seat.app.export_screenshot()
            found.append(raw)
    first, second = (normalised(raw) for raw in found)
    assert first == second
    assert "://" not in first.replace("http://www.w3.org/2000/svg", "")
