"""Which entry of the journal explains which."""

from __future__ import annotations

from functools import partial

from journals import Pen, audited, entries

from coord.election.reasons import Cause, LostReason, StepDownReason, SuspendReason
from coord.history.cause import cause_of, explained, request_of
from coord.telemetry import (
    BecameLeader,
    ChildRestarted,
    ElectionStarted,
    LeaderChanged,
    LeaderDown,
    LostLeadership,
    Resumed,
    StepDownRequested,
    Suspended,
)
from coord.telemetry.journal import JournalEntry

REQUEST = "0123456789abcdef"


class Story:
    """What several nodes told, and what of it explains what."""

    def __init__(self) -> None:
        one, two = Pen("core-1"), Pen("core-2", skew_ms=-5_000)
        asked = partial(
            StepDownRequested, reason=StepDownReason.REQUESTED, actor="ann", request_id=REQUEST
        )
        lost = partial(LostLeadership, reason=LostReason.STEPPED_DOWN)
        down = partial(LeaderDown, former_leader="core-1", cause=Cause.STEPPED_DOWN)
        changed = partial(LeaderChanged, previous_leader="core-1", new_leader="core-2")
        self.keys = {
            "began": one.tell(1_000, BecameLeader, term=6),
            "asked": one.tell(9_000, asked, term=6),
            "lost": one.tell(9_050, lost, term=6),
            "down": two.tell(9_060, down, term=6),
            "started": two.tell(9_061, partial(ElectionStarted, former_leader="core-1")),
            "became": two.tell(9_070, BecameLeader, term=7),
            "changed": two.tell(9_090, changed, term=7),
            "suspended": two.tell(
                20_000, partial(Suspended, reason=SuspendReason.LEASE_EXPIRED), term=7
            ),
            "resumed": two.tell(21_000, partial(Resumed, suspended_ms=900), term=7),
        }

    def read(self, *left_out: str) -> dict[str, JournalEntry]:
        """The entries by what they are called here, but for some."""
        there = {name: key for name, key in self.keys.items() if name not in left_out}
        by_key = {entry.key: entry for entry in entries(*there.values())}
        return {name: by_key[key.key] for name, key in there.items()}

    def cause(self, name: str, *left_out: str) -> str | None:
        """What explains that entry, among all but those."""
        told = self.read(*left_out)
        found = cause_of(told[name], tuple(told.values()))
        return next((each for each, entry in told.items() if entry == found), None)


def test_each_step_of_a_change_leads_to_the_one_before() -> None:
    story = Story()
    assert story.cause("changed") == "lost"
    assert story.cause("became") == "lost"
    assert story.cause("down") == "lost"
    assert story.cause("lost") == "asked"
    assert story.cause("resumed") == "suspended"


def test_what_the_leader_did_not_tell_others_did() -> None:
    story = Story()
    assert story.cause("changed", "lost", "asked") == "down"
    assert story.cause("changed", "lost", "down") == "asked"
    assert story.cause("changed", "lost", "down", "asked") is None
    assert story.cause("down", "lost") == "asked"


def test_terms_count_between_nodes_and_not_their_clocks() -> None:
    """core-2's clock is 5 s behind: by time its change came before what it follows from."""
    told = Story().read()
    assert (told["changed"].at_ms or 0) < (told["lost"].at_ms or 0)
    assert Story().cause("changed") == "lost"


def test_a_node_sees_the_vacancy_that_it_told_of_itself() -> None:
    story = Story()
    other = Pen("core-3").tell(8_500, partial(LeaderDown, former_leader="core-1"), term=6)
    story.keys["other"] = other
    story.keys["started"] = Pen("core-2").tell(9_061, ElectionStarted)
    assert story.cause("started") == "down"
    assert story.cause("started", "down") == "lost"
    assert story.cause("started", "down", "lost") == "other"


def test_what_nothing_explains_has_no_cause() -> None:
    for name in ("began", "asked", "suspended"):
        assert Story().cause(name) is None


def test_terms_may_be_left_out() -> None:
    pen = Pen("core-1")
    lost = pen.tell(1_000, partial(LostLeadership, reason=LostReason.SESSION_GONE), term=3)
    older = pen.tell(500, partial(LostLeadership, reason=LostReason.SESSION_GONE), term=2)
    began = pen.tell(2_000, BecameLeader, term=6)
    *before, entry = entries(older, lost, began)
    assert cause_of(entry, (*before, entry)) == before[-1]


def test_a_leader_that_failed_leads_to_its_work() -> None:
    pen = Pen("core-1")
    keys = (
        pen.tell(900, partial(Suspended, reason=SuspendReason.LEASE_EXPIRED), term=2),
        pen.tell(1_000, partial(ChildRestarted, child="polls", restarts=3), term=3),
        pen.tell(2_000, partial(LostLeadership, reason=LostReason.WORK_FAILED), term=3),
    )
    _, restarted, lost = entries(*keys)
    assert cause_of(lost, entries(*keys)) == restarted


def test_what_cannot_be_read_explains_nothing_and_has_no_cause() -> None:
    told = Story().read()
    for broken in (
        JournalEntry(key="k", at_ms=None, node="", event="", problem="not JSON"),
        JournalEntry(key="k", at_ms=None, node="", event="x.y.z"),
        JournalEntry(key="k", at_ms=None, node="n", event=LeaderChanged.EVENT, details={}),
    ):
        assert cause_of(broken, (*told.values(), broken)) is None
        assert cause_of(told["changed"], (*told.values(), broken)) == told["lost"]


def test_a_request_is_named_where_an_operator_asked() -> None:
    told = Story().read()
    assert request_of(told["asked"]) == REQUEST
    assert request_of(told["lost"]) == ""


FORCED = audited(
    30_000, "force_release", node="core-2", expected_term=7, outcome="done", request_id=REQUEST
)


def forced_off() -> dict[str, JournalEntry]:
    """core-2 was suspended and resumed, and is forced off a while later; core-3 follows."""
    two, three = Pen("core-2"), Pen("core-3")
    down = partial(LeaderDown, former_leader="core-2", cause=Cause.RELEASED_BY_HAND)
    changed = partial(
        LeaderChanged,
        previous_leader="core-2",
        new_leader="core-3",
        cause=Cause.RELEASED_BY_HAND,
    )
    suspended = partial(Suspended, reason=SuspendReason.LEASE_EXPIRED)
    keys = {
        "suspended": two.tell(20_000, suspended, term=7),
        "resumed": two.tell(21_000, partial(Resumed, suspended_ms=900), term=7),
        "lost": two.tell(30_010, partial(LostLeadership, reason=LostReason.VACANT), term=7),
        "down": three.tell(30_020, down, term=7),
        "changed": three.tell(33_090, changed, term=8),
    }
    by_key = {entry.key: entry for entry in entries(*keys.values())}
    return {name: by_key[key.key] for name, key in keys.items()}


def test_who_forced_a_leader_off_stands_in_the_audit_alone() -> None:
    told = forced_off()
    every = tuple(told.values())
    assert explained(told["changed"], every, (FORCED,)) == told["lost"]
    assert explained(told["down"], every, (FORCED,)) == told["lost"]
    assert explained(told["lost"], every, (FORCED,)) == REQUEST
    assert explained(told["lost"], every, ()) == told["suspended"]
    assert explained(told["resumed"], every, (FORCED,)) == told["suspended"]


def test_a_leader_that_could_not_tell_leaves_that_to_those_who_saw_it() -> None:
    told = forced_off()
    assert explained(told["changed"], (told["changed"],), (FORCED,)) == REQUEST
    assert explained(told["down"], (told["down"], told["changed"]), (FORCED,)) == REQUEST


def test_another_term_was_not_ended_by_it() -> None:
    told = forced_off()
    other = audited(30_000, "force_release", node="core-2", expected_term=6, outcome="done")
    refused = audited(30_000, "force_release", node="core-2", expected_term=7, outcome="refused")
    for audit in ((other,), (refused,)):
        assert explained(told["lost"], (told["lost"], told["down"]), audit) == ""
