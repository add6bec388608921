"""The states of one candidate, and what each event may do in each of them.

Theory of operation
-------------------

One candidate, one Consul session, one term. A candidate *joins* by creating a session that is tied
to the health of its node and to its own check, and then *stands by* while another session is on
the leader key. When the key is vacant it *waits*: not at all if the vacancy was handed over by a
leader that had stopped its work, else until the last leader must have stopped by its own lease,
whatever became of it. Then it *acquires*: one transaction takes the lock and raises the term, and
only if the vacancy is still the one that was waited for.

A *leading* candidate works while it holds a lease: a span of its own clock, counted from the
moment a consistent read was sent that saw its session on the key and its term in the term key. A
lease that runs out *suspends* it: the work stops, the claim stays. The next good read resumes the
work under the same term; a read that shows anything else means the leadership is lost. Silence
never does.

Giving back, wanted or not, is *stepping down*: stop the work; only when all of it has ended,
release the key and say that it is handed over; then destroy the session, because a session that
led must never be used again: a late release or write of the old term would land in the new one.
After that the candidate *cools down* for a while if somebody else can take over.

A candidate whose acquire was not answered does not know whether it leads. It finds out by a
consistent read that was sent later: if that shows this attempt, it leads; if not, the session is
destroyed, since the request may still be under way.

Operators may ask for three things. A *pause* keeps everybody from acquiring; whoever leads goes
on. A *drained* candidate leads only if nobody else does: it steps down for another that could,
and tries only for a vacancy that nobody else has taken for a while. A *request* makes the leader
of one term, and of no other, step down, perhaps for a successor that it names.

Work that does not end in time ends with the process. That is the one exit from these states that
is not in the table.

The table names every event in every state: where it may lead, or why it is ignored there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coord.election import events as ev
from coord.election.state import State as State


@dataclass(frozen=True, slots=True)
class To:
    """The event is handled, and afterwards the state is one of these."""

    states: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class Ignored:
    """The event changes nothing here, because …"""

    because: str


Row = To | Ignored

_S = State
_CAMPAIGN = (_S.STANDBY, _S.WAITING, _S.ACQUIRING)
"""Where a candidate with a session may find itself when it has looked at what it knows."""


def to(*states: State) -> To:
    return To(states)


STARTS_ONCE = Ignored("it was started before")
NOT_ASKED = Ignored("that session was asked for by an attempt that was given up")
NO_SESSION = Ignored("there is no session to lose")
GIVEN_UP = Ignored("that attempt was given up, and its session with it")
NO_WORK = Ignored("no work runs")
STOPS_ANYWAY = Ignored("the work is being stopped anyway")
NOT_WAITED_FOR = Ignored("nothing waits for it")
LEADS_NOTHING = Ignored("it leads nothing")
GIVES_BACK = Ignored("everything is being given back anyway")
NEVER_LEADS = Ignored("an observer has no part in the election")
OVER = Ignored("it has stopped")

_JOINING: Mapping[type[ev.Event], Row] = {
    ev.Started: to(_S.JOINING),
    ev.SessionCreated: to(_S.JOINING, *_CAMPAIGN),
    ev.SessionFailed: to(_S.JOINING),
    ev.SessionLost: NO_SESSION,
    ev.Observed: to(_S.JOINING),
    ev.Watched: to(_S.JOINING),
    ev.ObserveFailed: to(_S.JOINING),
    ev.Acquired: GIVEN_UP,
    ev.AcquireRefused: GIVEN_UP,
    ev.AcquireUnknown: GIVEN_UP,
    ev.WorkStopped: NO_WORK,
    ev.WorkFailed: NO_WORK,
    ev.Released: NOT_WAITED_FOR,
    ev.SessionDestroyed: NOT_WAITED_FOR,
    ev.OthersSeen: to(_S.JOINING),
    ev.OrdersSeen: to(_S.JOINING),
    ev.StepDown: LEADS_NOTHING,
    ev.Shutdown: to(_S.STOPPED),
    ev.Tick: to(_S.JOINING),
}

_STANDBY: Mapping[type[ev.Event], Row] = {
    ev.Started: STARTS_ONCE,
    ev.SessionCreated: NOT_ASKED,
    ev.SessionFailed: NOT_ASKED,
    ev.SessionLost: to(_S.STANDBY, _S.JOINING),
    ev.Observed: to(*_CAMPAIGN, _S.JOINING),
    ev.Watched: to(*_CAMPAIGN),
    ev.ObserveFailed: to(_S.STANDBY),
    ev.Acquired: GIVEN_UP,
    ev.AcquireRefused: GIVEN_UP,
    ev.AcquireUnknown: GIVEN_UP,
    ev.WorkStopped: NO_WORK,
    ev.WorkFailed: NO_WORK,
    ev.Released: NOT_WAITED_FOR,
    ev.SessionDestroyed: NOT_WAITED_FOR,
    ev.OthersSeen: to(_S.STANDBY),
    ev.OrdersSeen: to(_S.STANDBY),
    ev.StepDown: LEADS_NOTHING,
    ev.Shutdown: to(_S.STEPPING_DOWN),
    ev.Tick: to(_S.STANDBY),
}

_WAITING: Mapping[type[ev.Event], Row] = {
    **_STANDBY,
    ev.SessionLost: to(_S.WAITING, _S.JOINING),
    ev.ObserveFailed: to(_S.WAITING),
    ev.OthersSeen: to(_S.WAITING, _S.ACQUIRING),
    ev.OrdersSeen: to(_S.WAITING, _S.ACQUIRING),
    ev.Tick: to(_S.WAITING, _S.ACQUIRING),
}

_ACQUIRING: Mapping[type[ev.Event], Row] = {
    ev.Started: STARTS_ONCE,
    ev.SessionCreated: NOT_ASKED,
    ev.SessionFailed: NOT_ASKED,
    ev.SessionLost: to(_S.ACQUIRING, _S.JOINING, _S.STEPPING_DOWN),
    ev.Observed: to(_S.ACQUIRING, _S.LEADING, _S.STEPPING_DOWN, _S.JOINING),
    ev.Watched: to(_S.ACQUIRING),
    ev.ObserveFailed: to(_S.ACQUIRING, _S.STEPPING_DOWN),
    ev.Acquired: to(_S.ACQUIRING, _S.LEADING, _S.STEPPING_DOWN),
    ev.AcquireRefused: to(*_CAMPAIGN, _S.JOINING, _S.STEPPING_DOWN),
    ev.AcquireUnknown: to(_S.ACQUIRING),
    ev.WorkStopped: NO_WORK,
    ev.WorkFailed: NO_WORK,
    ev.Released: NOT_WAITED_FOR,
    ev.SessionDestroyed: NOT_WAITED_FOR,
    ev.OthersSeen: to(_S.ACQUIRING),
    ev.OrdersSeen: to(_S.ACQUIRING),
    ev.StepDown: LEADS_NOTHING,
    ev.Shutdown: to(_S.ACQUIRING),
    ev.Tick: to(_S.ACQUIRING),
}

_LEADING: Mapping[type[ev.Event], Row] = {
    ev.Started: STARTS_ONCE,
    ev.SessionCreated: NOT_ASKED,
    ev.SessionFailed: NOT_ASKED,
    ev.SessionLost: to(_S.LEADING, _S.STEPPING_DOWN),
    ev.Observed: to(_S.LEADING, _S.STEPPING_DOWN),
    ev.Watched: to(_S.LEADING),
    ev.ObserveFailed: to(_S.LEADING),
    ev.Acquired: GIVEN_UP,
    ev.AcquireRefused: GIVEN_UP,
    ev.AcquireUnknown: GIVEN_UP,
    ev.WorkStopped: NOT_WAITED_FOR,
    ev.WorkFailed: to(_S.LEADING, _S.STEPPING_DOWN),
    ev.Released: NOT_WAITED_FOR,
    ev.SessionDestroyed: NOT_WAITED_FOR,
    ev.OthersSeen: to(_S.LEADING, _S.STEPPING_DOWN),
    ev.OrdersSeen: to(_S.LEADING, _S.STEPPING_DOWN),
    ev.StepDown: to(_S.STEPPING_DOWN),
    ev.Shutdown: to(_S.STEPPING_DOWN),
    ev.Tick: to(_S.LEADING, _S.SUSPENDED),
}

_SUSPENDED: Mapping[type[ev.Event], Row] = {
    ev.Started: STARTS_ONCE,
    ev.SessionCreated: NOT_ASKED,
    ev.SessionFailed: NOT_ASKED,
    ev.SessionLost: to(_S.SUSPENDED, _S.STEPPING_DOWN),
    ev.Observed: to(_S.SUSPENDED, _S.LEADING, _S.STEPPING_DOWN),
    ev.Watched: to(_S.SUSPENDED),
    ev.ObserveFailed: to(_S.SUSPENDED),
    ev.Acquired: GIVEN_UP,
    ev.AcquireRefused: GIVEN_UP,
    ev.AcquireUnknown: GIVEN_UP,
    ev.WorkStopped: to(_S.SUSPENDED, _S.LEADING),
    ev.WorkFailed: STOPS_ANYWAY,
    ev.Released: NOT_WAITED_FOR,
    ev.SessionDestroyed: NOT_WAITED_FOR,
    ev.OthersSeen: to(_S.SUSPENDED, _S.STEPPING_DOWN),
    ev.OrdersSeen: to(_S.SUSPENDED, _S.STEPPING_DOWN),
    ev.StepDown: to(_S.STEPPING_DOWN),
    ev.Shutdown: to(_S.STEPPING_DOWN),
    ev.Tick: to(_S.SUSPENDED, _S.STEPPING_DOWN),
}

_STEPPING_DOWN: Mapping[type[ev.Event], Row] = {
    ev.Started: STARTS_ONCE,
    ev.SessionCreated: NOT_ASKED,
    ev.SessionFailed: NOT_ASKED,
    ev.SessionLost: GIVES_BACK,
    ev.Observed: to(_S.STEPPING_DOWN),
    ev.Watched: to(_S.STEPPING_DOWN),
    ev.ObserveFailed: to(_S.STEPPING_DOWN),
    ev.Acquired: GIVEN_UP,
    ev.AcquireRefused: GIVEN_UP,
    ev.AcquireUnknown: GIVEN_UP,
    ev.WorkStopped: to(_S.STEPPING_DOWN),
    ev.WorkFailed: STOPS_ANYWAY,
    ev.Released: to(_S.STEPPING_DOWN),
    ev.SessionDestroyed: to(_S.STEPPING_DOWN, _S.COOLING, _S.STOPPED),
    ev.OthersSeen: to(_S.STEPPING_DOWN),
    ev.OrdersSeen: to(_S.STEPPING_DOWN),
    ev.StepDown: GIVES_BACK,
    ev.Shutdown: to(_S.STEPPING_DOWN),
    ev.Tick: to(_S.STEPPING_DOWN),
}

_COOLING: Mapping[type[ev.Event], Row] = {
    ev.Started: STARTS_ONCE,
    ev.SessionCreated: to(_S.COOLING, *_CAMPAIGN),
    ev.SessionFailed: to(_S.COOLING),
    ev.SessionLost: to(_S.COOLING),
    ev.Observed: to(_S.COOLING, _S.JOINING, *_CAMPAIGN),
    ev.Watched: to(_S.COOLING, _S.JOINING, *_CAMPAIGN),
    ev.ObserveFailed: to(_S.COOLING),
    ev.Acquired: GIVEN_UP,
    ev.AcquireRefused: GIVEN_UP,
    ev.AcquireUnknown: GIVEN_UP,
    ev.WorkStopped: NO_WORK,
    ev.WorkFailed: NO_WORK,
    ev.Released: NOT_WAITED_FOR,
    ev.SessionDestroyed: NOT_WAITED_FOR,
    ev.OthersSeen: to(_S.COOLING, _S.JOINING, *_CAMPAIGN),
    ev.OrdersSeen: to(_S.COOLING, _S.JOINING, *_CAMPAIGN),
    ev.StepDown: LEADS_NOTHING,
    ev.Shutdown: to(_S.STEPPING_DOWN, _S.STOPPED),
    ev.Tick: to(_S.COOLING, _S.JOINING, *_CAMPAIGN),
}

_FOLLOWED: tuple[type[ev.Event], ...] = (ev.Started, ev.Observed, ev.Watched, ev.ObserveFailed)

_OBSERVER: Mapping[type[ev.Event], Row] = {
    **{kind: NEVER_LEADS for kind in ev.EVENTS},
    **{kind: to(_S.OBSERVER) for kind in (*_FOLLOWED, ev.Tick)},
    ev.Shutdown: to(_S.STOPPED),
}

TABLE: Mapping[State, Mapping[type[ev.Event], Row]] = {
    State.JOINING: _JOINING,
    State.STANDBY: _STANDBY,
    State.WAITING: _WAITING,
    State.ACQUIRING: _ACQUIRING,
    State.LEADING: _LEADING,
    State.SUSPENDED: _SUSPENDED,
    State.STEPPING_DOWN: _STEPPING_DOWN,
    State.COOLING: _COOLING,
    State.OBSERVER: _OBSERVER,
    State.STOPPED: {kind: OVER for kind in ev.EVENTS},
}
"""What each event may do in each state. A missing entry would be a programming error."""
