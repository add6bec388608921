"""The cluster's health, and the doctor."""

from __future__ import annotations

from dataclasses import replace

import pytest
from console_bench import at, seated
from console_rooms import FINDINGS, examined
from console_scenes import NOW, health, leading

from console.app import ConsoleApp
from console.messages import Examine
from console.snapshot import Examination, Snapshot
from console.view.rooms import Where
from coord.consul import ConsulUnavailable
from coord.doctor import Progress, Stage
from coord.status import HealthStatus, Seen

pytestmark = pytest.mark.long


def with_health(made: HealthStatus) -> Snapshot:
    shown = leading()
    assert shown.status is not None
    return replace(shown, status=replace(shown.status, health=made))


def at_work(stage: Stage, lasts_s: float | None = None) -> Snapshot:
    doing = Examination(
        began_at=NOW - 3, stage_at=NOW - 1, progress=Progress(stage, lasts_s=lasts_s)
    )
    return replace(leading(), examination=doing)


async def test_the_cluster_stands_above() -> None:
    async with seated(with_health(health())) as seat:
        await at(seat, Where.HEALTH)
        verdict, why, told = seat.lines("cluster")
        assert verdict.startswith("● cluster HEALTHY · nodes 6 up 1 down")
        assert why == "everybody is up"
        assert told.startswith("told by core-1 in term 7 · looked 13 s ago")


async def test_why_it_is_degraded_is_told_in_words() -> None:
    made = health("degraded", "too_few_nodes", "of_a_newer_version")
    assert made.record is not None
    record = made.record.model_copy(update={"down": ("core-4",), "term": 6})
    async with seated(with_health(HealthStatus(Seen.KNOWN, record))) as seat:
        await at(seat, Where.HEALTH)
        verdict, why, told = seat.lines("cluster")
        assert verdict.startswith("? cluster NOT KNOWN NOW, last degraded")
        assert "too_few_nodes: fewer nodes are up" in why
        assert "of_a_newer_version: not known here" in why
        assert "down core-4" in why
        assert "! of a term that is over" in told


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (HealthStatus(Seen.KNOWN), "○ cluster: nothing published yet"),
        (HealthStatus(Seen.NOT_PERMITTED), "? cluster: not permitted"),
        (HealthStatus(Seen.UNKNOWN, detail="no verdict"), "? cluster: the published verdict"),
    ],
)
async def test_that_there_is_no_verdict_is_told(made: HealthStatus, said: str) -> None:
    async with seated(with_health(made)) as seat:
        await at(seat, Where.HEALTH)
        assert seat.lines("cluster")[0].startswith(said)


async def test_the_doctor_waits_to_be_asked() -> None:
    async with seated(leading()) as seat:
        await at(seat, Where.HEALTH)
        assert "not asked yet; r has it look" in seat.lines("doctor")[0]
        assert "reads only" in seat.lines("none")[0]


async def test_r_asks_and_x_calls_off(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def on_examine(app: ConsoleApp, message: Examine) -> None:
        asked.append(message.begin)

    monkeypatch.setattr(ConsoleApp, "on_examine", on_examine)
    async with seated(leading()) as seat:
        await at(seat, Where.HEALTH)
        await seat.press("x")
        assert asked == []
        await seat.press("r")
        await seat.show(at_work(Stage.LOOKING))
        await seat.press("x")
        assert asked == [True, False]


async def test_how_far_the_doctor_is_counts() -> None:
    async with seated(at_work(Stage.WAITING, 5.0)) as seat:
        await at(seat, Where.HEALTH)
        assert "waiting for a second look" in seat.lines("doctor")[0]
        assert "4 s left  (3 s; x calls it off)" in seat.lines("doctor")[0]
        await seat.wait(2)
        assert "2 s left  (5 s; x calls it off)" in seat.lines("doctor")[0]
        assert "the doctor is at work" in seat.lines("none")[0]


async def test_findings_are_there_worst_first_and_the_first_in_full() -> None:
    async with seated(examined(*FINDINGS)) as seat:
        await at(seat, Where.HEALTH)
        assert seat.column("code") == ["nobody_leads", "paused", "agent_is_server"]
        assert seat.column("severity") == ["✖ critical", "! warning", "○ info"]
        assert "1 critical, 1 warning, 1 note" in seat.lines("doctor")[0]
        assert "looked 10 s ago" in seat.lines("doctor")[0]
        said = seat.details()
        assert "Nobody leads." in said
        assert FINDINGS[0].do.split()[0] in said
        assert "debug-election#nobody_leads" in said
        assert "not looked at, or not all: sessions" in seat.lines("notes")[0]
        assert "fine: keys, clocks" in seat.lines("notes")[1]
        await seat.press("down")
        assert "Paused by ann" in seat.details()
        await seat.press("y")
        assert seat.app.clipboard == seat.details()


async def test_enter_opens_the_runbook_there() -> None:
    async with seated(examined(*FINDINGS)) as seat:
        await at(seat, Where.HEALTH)
        await seat.press("down", "enter")
        await seat.pilot.pause()
        await seat.pilot.pause()
        assert seat.room.WHERE is Where.RUNBOOKS
        row = seat.listing.table.current
        assert row is not None
        assert row.key == "debug-election#paused"
        assert seat.focused() == "details"


async def test_nothing_found_is_good_news() -> None:
    async with seated(examined()) as seat:
        await at(seat, Where.HEALTH)
        assert seat.lines("none")[0] == "● nothing is wrong"
        assert not seat.room.query_one("#details").display


async def test_what_was_found_stays_while_the_doctor_looks_again() -> None:
    progress = Progress(Stage.LOOKING)
    async with seated(examined(*FINDINGS, progress=progress)) as seat:
        await at(seat, Where.HEALTH)
        assert seat.table.row_count == 3
        assert "below is from 10 s ago" in seat.lines("doctor")[0]


async def test_that_he_was_called_off_or_could_not_is_told() -> None:
    async with seated(examined(*FINDINGS, called_off=True)) as seat:
        await at(seat, Where.HEALTH)
        assert "called off; r looks again" in seat.lines("doctor")[0]
        error = ConsulUnavailable("GET /v1/kv", "refused")
        await seat.show(examined(*FINDINGS, error=error))
        assert "✖ doctor: Consul cannot be reached" in seat.lines("doctor")[0]
