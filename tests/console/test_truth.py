"""What is shown agrees with what Consul and the journal hold: no part of it claims more, or other,
than is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest
from console_scenes import LEADER, NOW, disconnected, fleet, leaderless, leading, of
from journals import Pen, audited
from journals import entries as read
from snapshots import NOW_MS, asking, candidate, pause, snapshot

from console.snapshot import Snapshot
from console.view import failover, headline, health, nodes, timeline
from console.view.line import Tone, text_of
from coord.consul import CheckStatus, KVEntry
from coord.election.reasons import Cause, LostReason, SuspendReason
from coord.history import History, Past, Tenure, Until, tenures
from coord.history.assemble import vacant
from coord.history.pauses import pauses
from coord.members import Seen
from coord.operations import AuditEntry
from coord.status import ClusterStatus, Condition, LeaderStatus
from coord.status.rows import in_the_light_of
from coord.telemetry import (
    BecameLeader,
    ElectionStarted,
    LeaderChanged,
    LostLeadership,
    Resumed,
    Suspended,
)


def read_at_once(
    *keys: KVEntry, status: ClusterStatus, audit: tuple[AuditEntry, ...] = ()
) -> Snapshot:
    """What the console has once it has read these entries, and the status as `read_status` does."""
    stands = status.controls.asked.pause
    operations = tuple(each.record for each in audit if each.record is not None)
    paused = pauses(operations, stands, NOW_MS)
    found = tenures(read(*keys), audit, status.leader, paused)
    history = History(
        election="x",
        at_ms=NOW_MS,
        journal=Seen.KNOWN,
        audit=Seen.KNOWN,
        vacant=vacant(found, status.leader, paused, NOW_MS),
        tenures=found,
    )
    candidates = in_the_light_of(status.leader, status.candidates, status.controls, NOW_MS)
    return of(replace(status, candidates=candidates), Past(history, read(*keys), audit))


def cells(shown: Snapshot, node: str) -> dict[str, str]:
    row = next(row for row in nodes.node_rows(shown) if row.node == node)
    now_ms = shown.wall_ms(NOW)
    return {c.name: text_of(c.cell(row, now_ms)) for c in nodes.LAYOUT.shown(250)}


# --- the time line ---


def bar_of(shown: Snapshot, width: int = 60, asked_s: int = 300, now: float = NOW) -> str:
    return text_of(timeline.timeline(shown, now, width, asked_s)[0])


def with_tenures(shown: Snapshot, *found: Tenure) -> Snapshot:
    assert shown.past is not None
    history = replace(shown.past.history, tenures=found)
    return replace(shown, past=replace(shown.past, history=history))


ALONE = Tenure(term=1, node="core-1", from_ms=NOW_MS - 150_000)


def test_an_end_that_nothing_tells_is_not_known_and_not_a_time_without_a_leader() -> None:
    """The only candidate was killed with its last will: nobody was there to see it go."""
    nobody = snapshot(candidate("core-1", status=CheckStatus.CRITICAL), leader=VACANT)
    shown = with_tenures(of(nobody), ALONE)
    bar = bar_of(shown)
    assert timeline.NOBODY not in bar
    assert bar.endswith("·━core-1" + "·" * 24)
    _, marks, _ = timeline.timeline(shown, NOW, 60, 300)
    legend = text_of(timeline.legend(timeline.timeline(shown, NOW, 60, 300)[0], marks))
    assert "· not known" in legend
    assert "nobody" not in legend


def test_the_line_ends_where_the_panel_beside_it_begins_to_count() -> None:
    shown = read_at_once(*set_out(4300), status=snapshot(*TWO, leader=VACANT))
    assert bar_of(shown, 60, 60).endswith("┫" + timeline.NOBODY)  # a cell is a second
    assert failover.title(shown, NOW) == "Failover in progress: nobody leads for 1.5 s"


def test_an_end_that_is_told_is_followed_by_nobody() -> None:
    ended = replace(ALONE, until=Until.SEEN, until_ms=NOW_MS - 75_000)
    bar = bar_of(with_tenures(leaderless(), ended))
    assert "core-1" in bar
    assert bar.endswith("┫" + timeline.NOBODY * 15)


def test_what_happened_since_consul_was_read_is_not_known() -> None:
    goes_on = replace(ALONE, until=Until.GOES_ON)
    assert bar_of(with_tenures(leading(), goes_on)).endswith(timeline.LED)
    cut_off = with_tenures(disconnected(), goes_on)
    # Read 72.4 s ago; a cell is 5 s.
    assert bar_of(cut_off, now=NOW + 60).endswith("━" + timeline.UNKNOWN * 14)
    ended = replace(ALONE, until=Until.SEEN, until_ms=NOW_MS - 1_000)
    nobody = replace(cut_off, status=leaderless().status)
    assert bar_of(with_tenures(nobody, ended), now=NOW + 60).endswith(timeline.UNKNOWN * 14)


CUT_OFF = SuspendReason.CONSUL_UNREACHABLE


def suspended(*after: Callable[[Pen, Pen], KVEntry]) -> tuple[KVEntry, ...]:
    """core-1 leads from 250 s before on, its work is suspended 150 s before."""
    one, two = Pen("core-1"), Pen("core-2")
    begun = (
        one.tell(NOW_MS - 250_000, BecameLeader, term=1),
        one.tell(NOW_MS - 150_000, partial(Suspended, reason=CUT_OFF), term=1),
    )
    return (*begun, *(tell(one, two) for tell in after))


def resumed(one: Pen, _: Pen) -> KVEntry:
    return one.tell(NOW_MS - 110_000, partial(Resumed, suspended_ms=40_000), term=1)


def lost(one: Pen, _: Pen) -> KVEntry:
    gone = partial(LostLeadership, reason=LostReason.SESSION_GONE)
    return one.tell(NOW_MS - 110_000, gone, term=1)


def followed(_: Pen, two: Pen) -> KVEntry:
    change = partial(
        LeaderChanged,
        new_leader="core-2",
        previous_leader="core-1",
        cause=Cause.SESSION_INVALIDATED,
        gap_ms=5000,
        quarantine_ms=4990,
        acquire_ms=5,
        start_ms=5,
    )
    return two.tell(NOW_MS - 105_000, change, term=2)


def led_by(node: str, term: int) -> ClusterStatus:
    return snapshot(*fleet(), leader=replace(LEADER, node=node, term=term))


def test_work_that_was_suspended_is_not_drawn_as_led() -> None:
    shown = read_at_once(*suspended(resumed), status=led_by("core-1", 1))
    bar, marks, _ = timeline.timeline(shown, NOW, 60, 300)
    # A cell is 5 s: suspended for eight of them.
    assert text_of(bar).count(timeline.SUSPENDED) == 8
    assert next(span for span in bar if timeline.SUSPENDED in span.text).tone is Tone.WARN
    assert "┫" not in text_of(bar)  # it led throughout
    assert text_of(marks).count(timeline.SUSPENDED) == 1
    assert "work suspended" in text_of(timeline.legend(bar, marks))
    _, marks, _ = timeline.timeline(shown, NOW, 60, 3_600)
    assert timeline.SUSPENDED in text_of(marks)  # though it is shorter than a cell


def test_work_that_is_suspended_is_drawn_so_until_now() -> None:
    shown = read_at_once(*suspended(), status=led_by("core-1", 1))
    assert bar_of(shown).endswith("━╍core-1" + timeline.SUSPENDED * 23)


def test_a_failover_says_how_long_the_work_had_been_suspended_before() -> None:
    shown = read_at_once(*suspended(lost, followed), status=led_by("core-2", 2))
    assert failover.title(shown, NOW) == "Failover: at least 5.0 s, after 40.0 s suspended"
    first, second, *_ = map(text_of, failover.waterfall(shown, 60))
    assert first.split()[:3] == ["suspended", "40.0", "s"]
    assert second.startswith("quarantine")
    assert text_of(failover.in_a_line(shown)).startswith("suspended 40.0 s + quarantine")
    assert text_of(failover.gaps(shown)).endswith("≥5.0 s · median ≥5.0 s · worst ≥5.0 s")


def test_a_gap_that_may_have_been_longer_makes_only_what_it_can_change_uncertain() -> None:
    shown = read_at_once(*suspended(lost, followed), status=led_by("core-2", 2))
    assert shown.past is not None
    second, first = shown.past.history.tenures
    assert second.gap is not None
    sure = [
        replace(first, term=i, gap=replace(second.gap, total_ms=ms, at_least=False))
        for i, ms in ((4, 100), (3, 200))
    ]
    told = text_of(failover.gaps(with_tenures(shown, *sure, second)))
    assert told.endswith(" 100 ms · median 200 ms · worst ≥5.0 s")


# --- a failover that goes on ---


VACANT = LeaderStatus(
    condition=Condition.VACANT, node="core-1", term=7, vanished=True, lock_index=3
)
TWO = (candidate("core-2"), candidate("core-3", api="127.0.0.1:8612"))
"""What they tell is some seconds old: that another leads."""


def set_out(wait_ms: int) -> tuple[KVEntry, ...]:
    one, two, three = Pen("core-1"), Pen("core-2"), Pen("core-3")
    sets_out = partial(ElectionStarted, former_leader="core-1", wait_ms=wait_ms)
    return (
        one.tell(NOW_MS - 250_000, BecameLeader, term=7),
        two.tell(NOW_MS - 500, sets_out),
        three.tell(NOW_MS - 490, sets_out),
    )


def test_the_table_says_what_the_panel_beside_it_says() -> None:
    shown = read_at_once(*set_out(4300), status=snapshot(*TWO, leader=VACANT))
    core_2 = cells(shown, "core-2")
    assert (core_2["state"], core_2["why"], core_2["left"]) == ("waiting", "lock_delay", "2 s")
    assert core_2["waits_for"] == "the quarantine to pass"
    assert text_of(failover.progress(shown, NOW)[1]).startswith("core-2 lock_delay 2.8 s left")


def test_who_has_not_told_of_setting_out_waits_for_no_vacancy() -> None:
    shown = read_at_once(*set_out(4300)[:2], status=snapshot(*TWO, leader=VACANT))
    core_3 = cells(shown, "core-3")
    assert (core_3["why"], core_3["left"], core_3["since"]) == ("lock_delay", "", "-")


def test_what_is_left_of_a_pause_is_no_quarantine() -> None:
    """What they tell of setting out reckons with the pause."""
    controls = asking(pause=pause(for_s=157.0))
    status = snapshot(*TWO, leader=VACANT, controls=controls)
    shown = read_at_once(*set_out(96_000), status=status)
    first, second, _ = map(text_of, failover.progress(shown, NOW))
    assert first == "! no candidate tries: paused"
    assert second.startswith("core-2 paused 96.0 s left, waits for the end of the pause")
    core_2 = cells(shown, "core-2")
    assert (core_2["why"], core_2["left"]) == ("paused", "1 min 36 s")


def test_nor_is_it_once_the_pause_was_ended() -> None:
    audit = (
        audited(NOW_MS - 60_000, "pause", outcome="done", for_ms=157_000),
        audited(NOW_MS - 100, "resume", outcome="done", request_id="f" * 16),
    )
    seen = replace(VACANT, vanished=False, since=LEADER.since)
    shown = read_at_once(*set_out(96_000), status=snapshot(*TWO, leader=seen), audit=audit)
    assert "s left" not in text_of(failover.progress(shown, NOW)[0])
    assert cells(shown, "core-2")["left"] == ""


def test_the_waterfall_names_the_pause_that_made_it_long() -> None:
    change = partial(
        LeaderChanged,
        new_leader="core-2",
        previous_leader="core-1",
        cause=Cause.SESSION_INVALIDATED,
        gap_ms=49_400,
        detect_ms=60,
        quarantine_ms=49_300,
        acquire_ms=20,
        start_ms=20,
    )
    two = Pen("core-2")
    keys = (
        two.tell(NOW_MS - 20_020, BecameLeader, term=8),
        two.tell(NOW_MS - 20_000, change, term=8),
    )
    audit = (
        audited(NOW_MS - 80_000, "pause", outcome="done", for_ms=157_000, actor="jane@ops"),
        audited(NOW_MS - 20_100, "resume", outcome="done", request_id="f" * 16),
    )
    shown = read_at_once(*keys, status=led_by("core-2", 8), audit=audit)
    assert failover.title(shown, NOW) == "Last failover: 49.4 s, PAUSED meanwhile"
    lines = [text_of(each) for each in failover.panel(shown, NOW, 60, whole=True)]
    assert [each for each in lines if "paused by jane@ops (deploy)" in each]
    assert "paused by jane@ops" in text_of(failover.panel(shown, NOW, 60, whole=False)[0])
    assert "gaps" in lines[-1]


# --- the cluster ---


def test_what_is_known_of_the_cluster_ends_with_the_term_in_which_it_was_found() -> None:
    """Whether the record is of one that leads no longer, or nobody leads."""
    fine = leading()
    assert fine.status is not None
    assert text_of(health.cluster(fine, NOW)[0]).startswith("● cluster HEALTHY")
    again = replace(fine.status.leader, term=8)
    for leader in (again, VACANT):
        shown = replace(fine, status=replace(fine.status, leader=leader))
        verdict, why, told = health.cluster(shown, NOW)
        assert text_of(verdict).startswith("? cluster NOT KNOWN NOW, last healthy")
        assert text_of(why) == "everybody was up"
        assert Tone.GOOD not in {span.tone for span in (*verdict, *why)}
        assert text_of(told).endswith("! of a term that is over")
        does = headline.headline(shown, NOW)[2]
        assert "cluster not known now; healthy" in text_of(does)
        assert Tone.GOOD not in {span.tone for span in does}


def test_a_verdict_that_was_written_anew_claims_nothing_of_since_when_it_is_so() -> None:
    fine = leading()
    assert fine.status is not None
    record = fine.status.health.record
    assert record is not None
    again = record.model_copy(update={"at": datetime.fromtimestamp(NOW_MS / 1000 - 2, tz=UTC)})
    shown = replace(
        fine, status=replace(fine.status, health=replace(fine.status.health, record=again))
    )
    told = text_of(health.cluster(shown, NOW)[2])
    assert told == "told by core-1 in term 7 · looked 3 s ago"


# --- the head of the other screens ---


@pytest.mark.parametrize(
    ("shown", "left"),
    [
        (leading(), "coord x  ★ core-1"),
        (leaderless(), "coord x  ✖ NOBODY LEADS"),
        (disconnected(), "coord x  ★ core-1 (old)"),
        (
            of(snapshot(leader=LeaderStatus(condition=Condition.NOT_PERMITTED))),
            "coord x  ? NOT KNOWN WHO LEADS",
        ),
    ],
)
def test_every_screen_says_who_leads(shown: Snapshot, left: str) -> None:
    assert text_of(headline.header(shown, NOW, leads=True)[0]) == left
    assert text_of(headline.header(shown, NOW, "read-only", leads=True)[0]).endswith("read-only")
    assert text_of(headline.header(shown, NOW)[0]) == "coord x"
