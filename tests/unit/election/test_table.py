"""The table is complete, every target in it is reached, and what it ignores changes nothing."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from election_bench import ME, MINE, OTHER, Bench, held, in_state
from election_fuzz import Fuzz

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.machine import Election
from coord.election.reasons import LostReason, StepDownReason, TakeoverOutcome, WhyNot
from coord.election.states import TABLE, Ignored, State, To

PAIRS = [(state, kind) for state in State for kind in ev.EVENTS]
IGNORED = [(s, k) for s, k in PAIRS if isinstance(TABLE[s][k], Ignored)]


def some(kind: type[ev.Event], bench: Bench) -> ev.Event:
    """An event of that kind, as fitting as may be."""
    session = bench.election.sessions.current or MINE
    run = bench.election.tenure.run if bench.election.tenure else 1
    arguments: dict[type[ev.Event], tuple[Any, ...]] = {
        ev.SessionCreated: (bench.election.sessions.attempt, "s9"),
        ev.SessionFailed: (bench.election.sessions.attempt, WhyNot.CONSUL_UNREACHABLE),
        ev.SessionLost: (session, LostReason.SESSION_GONE),
        ev.Observed: (held(), bench.now),
        ev.Watched: (held(90),),
        ev.ObserveFailed: (WhyNot.NO_CONSUL_LEADER,),
        ev.Acquired: (1, held(), bench.now),
        ev.AcquireRefused: (1, TakeoverOutcome.HELD),
        ev.AcquireUnknown: (1,),
        ev.WorkStopped: (run,),
        ev.WorkFailed: (run, LostReason.WORK_FAILED),
        ev.Released: (session,),
        ev.SessionDestroyed: (session,),
        ev.OthersSeen: (("third",),),
        ev.StepDown: (StepDownReason.REQUESTED,),
    }
    return kind(*arguments.get(kind, ()))


def test_every_event_has_a_row_in_every_state() -> None:
    assert {state: set(rows) for state, rows in TABLE.items()} == {
        state: set(ev.EVENTS) for state in State
    }


@pytest.mark.parametrize(("state", "kind"), PAIRS)
def test_every_event_leads_where_the_table_says(state: State, kind: type[ev.Event]) -> None:
    bench = in_state(state)
    row = TABLE[state][kind]
    bench.tell(some(kind, bench))
    assert bench.state in (row.states if isinstance(row, To) else (state,))


@pytest.mark.parametrize(("state", "kind"), IGNORED)
def test_what_is_ignored_changes_nothing(state: State, kind: type[ev.Event]) -> None:
    bench = in_state(state)
    before = pickle.dumps(bench.election)
    assert bench.tell(some(kind, bench)) == []
    assert pickle.dumps(bench.election) == before
    row = TABLE[state][kind]
    assert isinstance(row, Ignored)
    assert row.because


def test_leading_somewhere_else_than_the_table_says_is_a_programming_error() -> None:
    class Astray(Election):
        def _on_tick(self, event: ev.Tick, now: float) -> None:
            self.state = State.LEADING

    bench = Bench(election=Astray)
    with pytest.raises(AssertionError, match="Tick must not lead to leading"):
        bench.tell(ev.Tick())


REACHED: set[tuple[State, type[ev.Event], State]] = set()


class Recorded(Election):
    """Notes where every event led from where."""

    def handle(self, event: ev.Event, now: float) -> list[cmd.Command]:
        before = self.state
        out = super().handle(event, now)
        REACHED.add((before, type(event), self.state))
        return out


def _fuzz(seeds: range) -> None:
    for seed in seeds:
        fuzz = Fuzz(seed, Recorded)
        try:
            for _ in range(80):
                if fuzz.ended:
                    break
                fuzz.step()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def _cooled(event: type[ev.Event], why: str, session: str | None) -> None:
    """The cool-down is over, but its tick has not come yet."""
    bench = Bench(election=Recorded).cooling()
    changes = {"record_why": why, "record_vacant": bool(why), "session": session}
    over_at = bench.election.campaign.cooled_at
    bench.now = over_at - 0.1
    bench.observe(bench.given_back(90, **changes), bench.now)
    bench.now = over_at
    if event is ev.OthersSeen:
        bench.tell(ev.OthersSeen((OTHER,)))
    elif event is ev.Observed:
        bench.tell(ev.Observed(bench.given_back(91, **changes), bench.now))
    elif event is ev.OrdersSeen:
        bench.tell(ev.OrdersSeen())
    else:
        bench.tell(ev.Watched(bench.given_back(91, **changes)))


def _drained(suspended: bool, by: type[ev.Event]) -> None:
    """A leader is to make way for another, and learns last of the one or of the other."""
    bench = Bench(election=Recorded)
    bench = bench.suspended() if suspended else bench.leading()
    drained, others = ev.OrdersSeen(drained=frozenset({ME})), ev.OthersSeen((OTHER,))
    bench.tell(ev.OthersSeen(()))
    last, first = (drained, others) if by is ev.OrdersSeen else (others, drained)
    bench.tell(first)
    bench.tell(last)


def _cooled_without_session(event: ev.Event) -> None:
    bench = Bench(election=Recorded).cooling(session=None)
    bench.now = bench.election.campaign.cooled_at
    bench.tell(event)


def test_any_events_in_any_order_neither_spin_nor_get_stuck_and_reach_every_target() -> None:
    _fuzz(range(3_000))
    for suspended in (False, True):
        _drained(suspended, ev.OrdersSeen)
        _drained(suspended, ev.OthersSeen)
    for event in (ev.OrdersSeen(), ev.OthersSeen((OTHER,))):
        _cooled_without_session(event)
    for why, session in (("", "theirs"), ("", None), ("stepped_down", None)):
        _cooled(ev.OthersSeen, why, session)
        _cooled(ev.Watched, why, session)
        _cooled(ev.OrdersSeen, why, session)
        _cooled(ev.Observed, why, session)
    listed = {
        (state, kind, target)
        for state, rows in TABLE.items()
        for kind, row in rows.items()
        if isinstance(row, To)
        for target in row.states
    }
    reached = {(s, k, t) for s, k, t in REACHED if isinstance(TABLE[s][k], To)}
    assert reached == listed
