"""A run that is asked for from the console: the dialog, on a real Consul whose leader is played."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from console_bench import at, seated
from console_polls import evil, job, polled, schedule
from console_scenes import NOW, disconnected, leaderless, never_read
from consul_agents import ConsulAgent, client_of, eventually
from control_bench import ACTOR, Hands, at_console, standing
from hand_made import Tenure, make_token
from rights_bench import tokens_for

from console.controls.actions import Mode
from console.controls.parts import Part, Row
from console.controls.runner import Runner
from console.controls.runs import (
    RunCourse,
    can_be_taken_back,
    in_a_word,
    outcome,
    preview,
    time_line,
    why_not,
)
from console.screens.control_quit import QuitScreen
from console.screens.run import RunScreen
from console.snapshot import Snapshot
from console.view.line import text_of
from console.view.rooms import Where
from coord.clock import SystemClock
from coord.consul import ConsulApi, ConsulClient, ConsulNotPermitted, ConsulUnavailable
from coord.polling.paths import PollPaths
from coord.polling.records import (
    AskedRecord,
    CheckError,
    CheckResult,
    JobRecord,
    JobState,
    PollError,
    ResultRecord,
    ScheduleRecord,
)
from coord.polling.store import put_schedule
from coord.records import Paths
from coord.rights import Role, rules

REQUEST = "fedcba9876543210"


def read(parts: object) -> str:
    """What dialogs are made of, as text."""

    def line(part: Part) -> str:
        found = (part.head, part.text) if isinstance(part, Row) else (part,)
        return " ".join(text_of(each) for each in found)

    return "\n".join(map(line, parts))  # type: ignore[call-overload]


# --- what is said, without a screen ---------------------------------------------------------------


def test_it_is_refused_with_the_reason() -> None:
    def why(shown: Snapshot, name: str = "api", mode: Mode | None = None) -> str:
        return why_not(shown, NOW, name, mode or Mode())

    assert why(polled()) == ""
    assert why(polled(), "old-site") == ""
    assert why(polled(), "login") == "a run of it is asked for already, by bob@ops, 4 s ago"
    assert "cannot be read" in why(polled(), "torn")
    assert "no such schedule" in why(polled(), "nobody")
    assert why(polled(shown=leaderless())) == "nobody leads, so nobody would run it"
    assert "Consul cannot be reached for 12 s" in why(polled(shown=disconnected()))
    assert why(never_read()).startswith("Consul cannot be reached")
    assert why(polled(), mode=Mode(read_only="because")) == "because"
    assert why(polled(), mode=Mode(no_run="no right")) == "no right"


def test_before_it_is_asked_for_it_says_what_will_happen() -> None:
    said = read(preview(polled(), "web-shop"))
    assert "run once, out of turn" in said
    assert "Leader core-1, term 7" in said
    assert "http https://shop.example.org/basket" in said
    assert "partition dmz; 3 of all 4 pass their check" in said
    assert "1.5 s for each of up to 3 attempts" in said
    assert "not changed: every 10 s" in said
    assert "!" not in said


def test_what_could_go_wrong_is_told_before() -> None:
    assert "none: it is disabled, and stays so" in read(preview(polled(), "old-site"))
    said = read(preview(polled(), "search"))
    assert "! a run of it is open at edge-3: this one waits until that has ended" in said
    shown = polled()
    assert shown.status is not None
    none = replace(
        shown, status=replace(shown.status, pollers=replace(shown.status.pollers, items=()))
    )
    assert "! no poller's check passes: it will have no answer" in read(preview(none, "api"))


def course(**fields: Any) -> RunCourse:
    made: dict[str, Any] = {"election": "x", "schedule": "api", "id": REQUEST, "began": NOW - 1.5}
    return RunCourse(**{**made, "job": f"api.{REQUEST}", **fields})


def test_its_course_is_told_step_by_step() -> None:
    shown = polled([schedule("api")])
    assert "◔   1.5 s asking for it" in read(time_line(course(), shown, NOW))
    waits = course(asked_s=0.02)
    said = read(time_line(waits, shown, NOW))
    assert "✔  0.02 s asked for" in said
    assert "◔   1.5 s until the leader takes it up" in said
    assert can_be_taken_back(waits, shown)
    taken = polled([schedule("api"), job("api", id=f"api.{REQUEST}", attempt=2)])
    said = read(time_line(waits, taken, NOW))
    assert "taken up by the leader" in said
    assert "◔   1.5 s attempt 2 at edge-1" in said
    assert not can_be_taken_back(waits, taken)
    # Another run of it that is open is not this one.
    assert can_be_taken_back(waits, polled([schedule("api"), job("api")]))


def found(**fields: Any) -> ResultRecord:
    made: dict[str, Any] = {"schedule": "api", "job": f"api.{REQUEST}", "finished_ms": 2}
    made |= {"state": JobState.COMPLETED, "ok": True, "poller": "poller-edge-1"}
    return ResultRecord(attempt=1, term=7, due_ms=1, **made | fields)


def test_what_came_of_it_is_told() -> None:
    bad = CheckResult(
        kind="tcp", target="db:1", ok=False, latency_ms=7.0, error=CheckError.REFUSED, detail="no"
    )
    down = course(came="run", asked_s=0.02, ended_s=0.4, result=found(ok=False, checks=(bad,)))
    said = read(outcome(down, polled()))
    assert "run: attempt 1 at edge-1" in said
    assert "✖ down: 1 of 1 checks" in said
    assert "✖ down: refused, 7.0 ms (no)" in said
    none = found(ok=None, error=PollError.NO_POLLER, state=JobState.FAILED, poller="")
    said = read(outcome(course(came="run", result=none), polled()))
    assert "no answer: no_poller" in said
    assert "no poller's check passes" in said
    other = found(job="api.180000003")
    assert "another run has ended since" in read(
        outcome(course(came="run", result=other), polled())
    )
    assert in_a_word(course(came="not_run")).startswith("not run: the request came too late")
    assert in_a_word(course(came="taken_back")).startswith("not run: nobody had taken it up")
    refused = course(refused=("nobody leads", "`coord status` says why"))
    assert "the dashboard (1) says why" in read(outcome(refused, polled()))


def test_what_was_asked_before_consul_was_lost_may_be_run() -> None:
    lost = ConsulUnavailable("GET /v1/kv", "connection refused")
    assert "may be run all the same" in read(outcome(course(asked_s=0.1, error=lost), polled()))
    assert "nothing was changed" in read(outcome(course(error=lost), polled()))
    unknown = ConsulUnavailable("PUT /v1/kv", "timed out", outcome_unknown=True)
    assert "may be run all the same" in read(outcome(course(error=unknown), polled()))
    denied = course(error=ConsulNotPermitted("PUT /v1/kv", "Permission denied", status=403))
    assert denied.not_permitted


# --- read-only ---


async def test_read_only_the_key_is_dimmed_and_says_why() -> None:
    async with seated(polled()) as seat:
        await at(seat, Where.POLLS)
        assert "r Run now ✖" in seat.screen()[-1]
        await seat.press("r")
        assert seat.app.screen is seat.room
        notices = [each.message for each in seat.app._notifications]
        assert notices == ["Run now: the console was opened without a way to act"]


# --- on a real Consul -----------------------------------------------------------------------------


@pytest.fixture
def paths(name: str) -> Paths:
    return Paths(name)


@pytest.fixture
async def tenure(consul: ConsulClient, paths: Paths) -> Tenure:
    """core-1 leads, and there are two schedules."""
    await written(consul, paths, "api")
    await written(consul, paths, "db")
    return await standing(consul, paths)


async def written(consul: ConsulApi, paths: Paths, name: str, **fields: Any) -> None:
    checks = [{"kind": "tcp", "target": f"{name}:5432"}]
    made = {"id": name, "interval": "1h", "checks": checks, "since_ms": SystemClock().wall_ms()}
    await put_schedule(consul, paths, ScheduleRecord.model_validate(made | fields))


class Leader:
    """What a leader does with a request, by hand."""

    def __init__(self, consul: ConsulApi, paths: Paths) -> None:
        self._consul = consul
        self._keys = PollPaths(paths)

    async def request(self, name: str = "db") -> AskedRecord:
        """What is asked of it, once it is."""

        async def there() -> Any:
            return (await self._consul.kv_get(self._keys.ask(name))).value

        return AskedRecord.decode((await eventually(there)).value)

    async def asked(self, name: str = "db") -> bool:
        """Whether it is asked for anything now."""
        return (await self._consul.kv_get(self._keys.ask(name))).value is not None

    async def take_up(self, name: str = "db") -> AskedRecord:
        record = await self.request(name)
        now_ms = SystemClock().wall_ms()
        run = JobRecord(
            id=record.job, schedule=name, state=JobState.DISPATCHING, term=7, due_ms=now_ms,
            dispatched_ms=now_ms, poller="poller-edge-1", asked=record.request_id,
        )  # fmt: skip
        await self._consul.kv_put(self._keys.job(record.job), run.encode())
        await self._consul.kv_delete(self._keys.ask(name))
        return record

    async def answer(self, record: AskedRecord, *, ok: bool) -> None:
        check = CheckResult(
            kind="tcp", target="db:5432", ok=ok, latency_ms=3.5,
            error=None if ok else CheckError.REFUSED,
        )  # fmt: skip
        result = found(
            schedule=record.schedule, job=record.job, asked=record.request_id, ok=ok,
            checks=(check,), finished_ms=SystemClock().wall_ms(), runs=1, asked_runs=1,
        )  # fmt: skip
        await self._consul.kv_put(self._keys.result(record.schedule), result.encode())
        await self._consul.kv_delete(self._keys.job(record.job))


def seen_to_lead(hands: Hands) -> bool:
    status = hands.app.snapshot.status
    return status is not None and status.leader.locked


@asynccontextmanager
async def on_screen(
    consul: ConsulClient, paths: Paths, name: str = "db", **how: Any
) -> AsyncIterator[Hands]:
    """Somebody before the schedules, with the cursor on that one."""
    async with at_console(consul, paths, **how) as hands:
        await hands.until(lambda: hands.headline().startswith("★ core-1 LEADS"))
        await hands.press(Where.POLLS.key)
        await hands.until(lambda: hands.app.schedule_under_cursor)
        await hands.until(lambda: hands.app.snapshot.poll_board)
        for _ in range(4):
            if hands.app.schedule_under_cursor != name:
                await hands.press("down")
        assert hands.app.schedule_under_cursor == name
        yield hands


async def open_dialog(hands: Hands) -> None:
    await hands.press("r")
    await hands.until(lambda: isinstance(hands.app.screen, RunScreen))
    await hands.until(lambda: hands.focused == "close")


async def confirm(hands: Hands) -> None:
    await open_dialog(hands)
    await hands.reads("run once, out of turn")
    await hands.press("left", "enter")


def buttons(hands: Hands) -> set[str]:
    return {str(each.id) for each in hands.app.screen.query("Button") if each.display}


@pytest.mark.long
@pytest.mark.parametrize("key", ["enter", "escape"])
async def test_the_dialog_has_cancel_focused_and_cancelling_asks_nothing(
    consul: ConsulClient, paths: Paths, tenure: Tenure, key: str
) -> None:
    async with on_screen(consul, paths) as hands:
        await open_dialog(hands)
        assert "core-1, term 7" in hands.text
        assert "nothing is done before you press Run now" in hands.said
        assert buttons(hands) == {"do", "close"}
        await hands.press(key)
        assert hands.app.screen is hands.app.room
        assert not await Leader(consul, paths).asked()


async def test_a_run_is_asked_for_and_followed_to_what_it_found(
    consul: ConsulClient, paths: Paths, tenure: Tenure
) -> None:
    leader = Leader(consul, paths)
    async with on_screen(consul, paths) as hands:
        await confirm(hands)
        await hands.reads("asked for")
        await hands.reads("until the leader takes it up")
        assert buttons(hands) == {"back", "close"}
        record = await leader.take_up()
        assert record.actor == ACTOR
        await hands.reads("attempt 1 at poller-edge-1")
        await hands.until(lambda: buttons(hands) == {"close"})
        await leader.answer(record, ok=False)
        await hands.reads("down: 1 of 1 checks")
        assert "✖ down: refused, 3.5 ms" in hands.text
        await hands.press("escape")
        await hands.until(lambda: "down: refused" in "\n".join(hands.picture()))
        assert not hands.notices


@pytest.mark.long
async def test_a_request_can_be_taken_back(
    consul: ConsulClient, paths: Paths, tenure: Tenure
) -> None:
    leader = Leader(consul, paths)
    async with on_screen(consul, paths) as hands:
        await confirm(hands)
        await leader.request()
        await hands.until(lambda: buttons(hands) == {"back", "close"})
        await hands.press("left", "enter")
        await hands.reads("nobody had taken it up, and it is taken back")
        assert not await leader.asked()


@pytest.mark.long
async def test_what_is_closed_goes_on_is_told_at_its_end_and_can_be_looked_at_again(
    consul: ConsulClient, paths: Paths, tenure: Tenure
) -> None:
    leader = Leader(consul, paths)
    async with on_screen(consul, paths) as hands:
        await confirm(hands)
        await leader.request()
        await hands.press("escape")
        assert hands.notices == ["Run now db: it goes on; you are told its end"]
        await open_dialog(hands)
        await hands.reads("until the leader takes it up")
        await hands.press("escape")
        await leader.answer(await leader.take_up(), ok=True)
        await hands.until(lambda: hands.notices[-1] == "up")
        await hands.until(lambda: not hands.app._desk or not hands.app._desk.titles)


@pytest.mark.long
async def test_quitting_says_so_and_takes_it_back(
    consul: ConsulClient, paths: Paths, tenure: Tenure
) -> None:
    leader = Leader(consul, paths)
    async with on_screen(consul, paths) as hands:
        await confirm(hands)
        await leader.request()
        await hands.press("escape", "q")
        await hands.until(lambda: isinstance(hands.app.screen, QuitScreen))
        assert "Run now db is under way" in hands.text
        await hands.press("left", "enter")
    assert not await leader.asked()


@pytest.mark.long
async def test_what_cannot_be_run_is_refused_with_the_reason(
    consul: ConsulClient, paths: Paths, tenure: Tenure
) -> None:
    leader = Leader(consul, paths)
    other = AskedRecord(schedule="db", actor="eve", request_id=REQUEST, at_ms=1)
    await consul.kv_put(PollPaths(paths).ask("db"), other.encode())
    async with on_screen(consul, paths) as hands:
        await hands.until(lambda: "asked for" in "\n".join(hands.picture()))
        await open_dialog(hands)
        await hands.reads("✖ not now: a run of it is asked for already, by eve")
        assert buttons(hands) == {"close"}
        await hands.press("escape")
        await consul.kv_delete(PollPaths(paths).ask("db"))
        await consul.session_destroy(tenure.session)
        await hands.until(lambda: not seen_to_lead(hands))
        await open_dialog(hands)
        await hands.reads("✖ not now: nobody leads")
        await hands.press("escape")
        assert not await leader.asked()


@pytest.mark.long
async def test_what_changes_while_the_dialog_is_open_is_said(
    consul: ConsulClient, paths: Paths, tenure: Tenure
) -> None:
    async with on_screen(consul, paths) as hands:
        await open_dialog(hands)
        await hands.reads("run once")
        await consul.kv_delete(PollPaths(paths).schedule("db"))
        await hands.reads("no such schedule any more: this will be refused")
        await hands.press("left", "enter")
        await hands.reads("✖ not now: there is no such schedule any more")
        assert buttons(hands) == {"close"}


@pytest.mark.long
async def test_the_palette_has_it(consul: ConsulClient, paths: Paths, tenure: Tenure) -> None:
    async with on_screen(consul, paths) as hands:
        found = {each.title: each for each in hands.app.act_commands()}
        assert "Run now db" in found
        found["Run now db"].callback()
        await hands.until(lambda: isinstance(hands.app.screen, RunScreen))
        await hands.press("escape", "1")
        assert not any(each.title.startswith("Run now") for each in hands.app.act_commands())


@pytest.mark.long
async def test_without_a_schedule_there_is_nothing_to_run(
    consul: ConsulClient, paths: Paths
) -> None:
    await standing(consul, paths)
    async with at_console(consul, paths) as hands:
        await hands.press(Where.POLLS.key)
        await hands.until(lambda: "no schedules" in "\n".join(hands.picture()))
        await hands.press("r")
        assert hands.notices == ["Run now: no schedule is under the cursor"]


async def came(runner: Runner, paths: Paths, name: str) -> RunCourse:
    """What comes of a request at once."""
    told: list[RunCourse] = []
    runner.begin(REQUEST, paths.election, name, told.append)

    async def ended() -> RunCourse | None:
        return told[-1] if told and told[-1].ended else None

    last = await eventually(ended)
    assert last is not None
    return last


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("nobody", "there is no schedule nobody"),
        ("torn", "torn cannot be read"),
        ("api", "a run of api is asked for already"),
    ],
)
async def test_what_is_not_as_it_was_shown_is_refused_by_consul(
    consul: ConsulClient, paths: Paths, tenure: Tenure, name: str, refused: str
) -> None:
    keys = PollPaths(paths)
    await consul.kv_put(keys.schedule("torn"), b"{")
    await consul.kv_put(keys.ask("api"), b"whatever")
    runner = Runner(consul, clock=SystemClock(), actor=ACTOR)
    last = await came(runner, paths, name)
    assert last.refused is not None
    assert last.refused[0] == refused
    assert runner.under_way == ()


# --- rights ---


@pytest.mark.long
@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
async def test_to_have_it_run_is_an_operators_right(
    locked_agent: ConsulAgent, paths: Paths, role: Role
) -> None:
    token = tokens_for(locked_agent, paths.election)[role]
    async with (
        client_of(locked_agent, token=locked_agent.config.token) as root,
        client_of(locked_agent, token=token) as theirs,
    ):
        await written(root, paths, "db")
        await standing(root, paths)
        async with on_screen(root, paths, by=theirs) as hands:
            if role is Role.OPERATOR:
                await confirm(hands)
                await Leader(root, paths).request()
                return
            await hands.until(lambda: "r Run now ✖" in hands.picture()[-1])
            await hands.press("r")
            assert f"this token lacks key:write on {paths.audit}" in hands.notices[-1]
            assert "CONSUL_HTTP_TOKEN_FILE" in hands.notices[-1]
            assert hands.app.screen is hands.app.room
            assert not await Leader(root, paths).asked()


@pytest.mark.long
async def test_who_may_act_but_not_ask_for_runs_has_only_that_dimmed(
    locked_agent: ConsulAgent, paths: Paths
) -> None:
    kept = (r for r in rules(Role.OPERATOR, paths) if not r.name.endswith("/asked/"))
    token = make_token(locked_agent, "\n".join(map(str, kept)))
    async with (
        client_of(locked_agent, token=locked_agent.config.token) as root,
        client_of(locked_agent, token=token) as theirs,
    ):
        await written(root, paths, "db")
        await standing(root, paths)
        async with on_screen(root, paths, by=theirs) as hands:
            await hands.until(lambda: "r Run now ✖" in hands.picture()[-1])
            assert "a Act ✖" not in hands.picture()[-1]


async def test_hostile_names_are_plain_text_in_the_dialog() -> None:
    shown = evil()
    board = shown.poll_board
    assert board is not None
    said = [read(preview(shown, name)) for name in board.rows]
    said += [read(time_line(course(schedule=name), shown, NOW)) for name in board.rows]
    assert not any("\x1b" in text or "\u202e" in text for text in said)
