"""When two states of `election_model` are one and the same, for what may come of them.

`node_key` and `store_key` give equal keys only to states of which every future is equal, so that
one of them stands for all:

- Times are taken relative to each other, a node's to the next moment at which something must happen
  to it, and that to now: nothing in the machine nor in the model asks what time it is, only how far
  apart two times are. They are the exact ones of `election_time`.
- A time that is only ever asked whether it has come counts as now once it has.
- Numbers of runs and of attempts to acquire are only ever asked whether they are the current one,
  and a new one is like no older one: the key says whether they are.
- What is told to the outside only (notices: who led, why, the numbers in a time line), or is set
  before it is next looked at, is left out; `LEFT_OUT` says what and why. A test holds that, with
  what is in the keys, against the fields there are.

Sessions, terms and indices keep their names: each node names its sessions itself, so that the
order in which nodes do things does not show in them.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from election_node import Flight, Node, Read
from election_store import Store
from election_time import units

from coord.election import commands as cmd
from coord.election.machine import Election
from coord.election.states import State
from coord.election.tenure import Tenure, Work

Key = tuple[Hashable, ...]

LEFT_OUT = {
    "Election": {
        "timing": "the same for all",
        "node": "stands beside it",
        "_out": "taken by whoever called",
        "_told": "decides only whether a notice is given",
        "_runs": "a new run has a number like no other",
    },
    "Lookout": {
        "_timing": "the same for all",
        "leader": "named in notices",
        "leader_term": "named in notices",
        "_last_leader": "named in notices",
        "_last_cause": "named in notices",
        "_forced_term": "decides only the cause in a notice",
    },
    "Vacancy": {"cause": "ends in the vacancy's `why` alone", "former": "named in notices"},
    "Campaign": {
        "node": "the same always",
        "timing": "the same for all",
        "lookout": "stands beside it",
        "orders": "stand beside it",
        "_attempts": "a new attempt has a number like no other",
        "_put_off_by": "shown, not obeyed",
    },
    "Attempt": {
        "number": "only whether an answer is to it counts",
        "due_at": "told in a time line",
        "sent_at": "told in a time line",
    },
    "Orders": {"_node": "the same always"},
    "Sessions": {"refused": "shown"},
    "Tenure": {
        "timing": "the same for all",
        "node": "the same always",
        "run": "only whether what stops is that run counts",
        "_told_lost": "decides only whether a notice is given",
        "_lost_by_giving_back": "told in a notice",
        "_asked_by": "for people",
        "_failed_child": "told in a notice",
    },
    "Reads": {"_timing": "the same for all"},
}
"""The fields that no key has, by class. What is in no key and not here is a mistake."""


@dataclass(frozen=True, slots=True)
class Clock:
    """A node's clock: what it reads `now`, and the moment that times are told from."""

    now: float
    origin: float

    def span(self, time: float | None) -> int | None:
        """How far that is from the origin, in units."""
        return None if time is None else int(time) - int(self.origin)

    def ahead(self, time: float | None) -> int | str | None:
        """The same, for what is only asked whether it has come."""
        return "come" if time is not None and time <= self.now else self.span(time)


FOR_EVER = 1 << 40


def store_key(store: Store) -> Key:
    """The key of what Consul keeps."""
    return (
        store.lock_delay,
        store.index,
        store.view,
        store.before,
        tuple(sorted(store.sessions)),
        int(store.free_from) - int(store.now) if store.free_from > store.now else 0,
        store.highest_term,
        store.newest_write,
        store.tokens,
    )


def node_key(node: Node) -> tuple[Key, int | None]:
    """The key of one process, and how far away its next moment is, in 1/7980 true seconds.

    As long as time alone passes, only the latter changes, until `stays_for` is over.
    """
    if node.dead:
        return (node.name, *sorted((_asked(each, node) for each in node.ghosts), key=hash)), None
    due_at = node.due_at
    due = None if due_at is None else max(0, units(due_at - node.now, node.rate))
    clock = Clock(node.clock, max(node.now, due_at or 0))
    tenure = node.election.tenure
    key = (
        node.name,
        node.rate,
        _election(node.election, clock, node.flights),
        tuple(sorted((_flight(each, node, clock) for each in node.flights), key=hash)),
        tuple(sorted((_asked(each, node) for each in node.ghosts), key=hash)),
        tuple(sorted(tenure is not None and run == tenure.run for run in node.stopping)),
        node.working,
        clock.span(node.fenced_at) if node.working else None,
        node.frozen,
        node.shut,
        node.seen,
        node.others,
        node.boot,
        tuple(sorted(node.led.items())),
    )
    return key, due


def stays_for(node: Node) -> int:
    """For how long its key stays what it is while time passes, in 1/7980 true seconds."""
    if node.dead or node.due_at is None:
        return 0
    election = node.election
    waits = [
        election._reads._due_at,
        election._reads._create_from,
        election.lookout._distrusted_until,
        election.campaign.cool_until,
        election.campaign._cool_least_until,
        election.campaign._put_off_until,
        election.orders.paused_until,
        election.orders._awaited_until,
        election.sessions.retry_at,
        election.sessions._ask_from,
    ]
    ahead = [each for each in waits if each is not None and each > node.clock]
    return units(min(ahead) - node.now, node.rate) if ahead else FOR_EVER


def _flight(flight: Flight, node: Node, clock: Clock) -> Key:
    times = clock.span(flight.sent_at), clock.span(flight.until)
    return (*_asked(flight, node), *times, flight.applied, flight.result, flight.older)


def _asked(flight: Flight, node: Node) -> Key:
    asked = flight.asked
    election = node.election
    match asked:
        case cmd.CreateSession(attempt):
            return ("CreateSession", attempt == election.sessions.attempt)
        case cmd.Acquire(attempt):
            current = election.campaign.under_way(attempt) is not None
            indices = asked.leader_index, asked.term_index
            return ("Acquire", current, asked.session, *indices, asked.term, asked.successors)
        case cmd.UpdateRecord(session, term, successors):
            return ("UpdateRecord", session, term, successors)
        case cmd.Release(session, term, term_index, why, successors):
            return ("Release", session, term, term_index, why.value, successors)
        case cmd.DestroySession(session):
            return ("DestroySession", session)
        case cmd.CreateLeaderKey(why, deadline):
            return ("CreateLeaderKey", why.value, deadline)
        case cmd.Observe(deadline):
            return ("Observe", deadline)
    raise AssertionError(asked)


def _election(election: Election, clock: Clock, flights: list[Flight]) -> Key:
    reads = election._reads
    sent_at = next((each.sent_at for each in flights if isinstance(each.asked, Read)), None)
    return (
        election.state,
        election.contact,
        election._shutting_down,
        election._leaving,
        *_lookout(election, clock),
        *_campaign(election, clock, sent_at),
        *_orders(election, clock),
        *_sessions(election, clock),
        _tenure(election.tenure, clock) if election.tenure is not None else None,
        reads.under_way,
        # Reads that are sent from now on are sent later than that.
        sent_at is not None and sent_at < reads.valid_from,
        clock.ahead(reads._due_at),
        reads._again,
        clock.ahead(reads._create_from),
    )


def _lookout(election: Election, clock: Clock) -> Key:
    lookout = election.lookout
    vacancy = lookout.vacancy
    seen: Any = None
    if vacancy is not None:
        times = clock.span(vacancy.seen_at), vacancy.quarantine
        seen = (vacancy.index, *times, vacancy.handed_over)
    return (
        lookout.view,
        seen,
        clock.span(lookout.vacant_since),
        lookout.restored,
        lookout._catalog_fenced_within,
        lookout._highest_leader_index,
        lookout._highest_term_index,
        lookout._highest_term,
        lookout._distrusted_index,
        clock.ahead(lookout._distrusted_until),
        lookout._holder_fenced_within,
        lookout._holder,
    )


def _campaign(election: Election, clock: Clock, sent_at: float | None) -> Key:
    campaign = election.campaign
    attempt = campaign.attempt
    tried: Any = None
    if attempt is not None:
        since = attempt.unknown_since
        asked_before = since is not None and sent_at is not None and sent_at < since
        vacancy = attempt.vacancy.index
        doubt = since is not None, asked_before
        tried = (attempt.session, attempt.term, vacancy, *doubt, attempt.tolerated)
    return (
        campaign.jitter,
        campaign.others,
        campaign.heir,
        tried,
        campaign.look_first,
        clock.ahead(campaign.cool_until),
        clock.ahead(campaign._cool_least_until),
        clock.ahead(campaign._put_off_until),
    )


def _orders(election: Election, clock: Clock) -> Key:
    orders = election.orders
    return (
        orders.drained,
        clock.ahead(orders.paused_until) if orders._pause else None,
        orders._pause,
        orders._ended,
        orders._request,
        clock.ahead(orders._awaited_until) if orders._awaited else None,
        orders._awaited,
    )


def _sessions(election: Election, clock: Clock) -> Key:
    sessions = election.sessions
    return (
        sessions.current,
        sessions.attempt,
        tuple(sorted(sessions.own)),
        sessions.asked,
        clock.ahead(sessions.retry_at),
        clock.ahead(sessions._ask_from),
        sessions._retry_s,
    )


def _tenure(tenure: Tenure, clock: Clock) -> Key:
    stopping = tenure.work is Work.STOPPING
    suspended = tenure.state is State.SUSPENDED
    return (
        tenure.session,
        tenure.term,
        tenure.term_index,
        tenure.state,
        tenure.work,
        clock.span(tenure.confirmed_sent_at),
        tenure.over,
        # These are set whenever the work is to stop, and whenever it is suspended.
        clock.span(tenure._suspended_at) if suspended else None,
        clock.span(tenure._stop_asked_at) if stopping else None,
        clock.span(tenure._stop_told) if stopping else None,
        tenure._closed,
        tenure.release_why,
        tenure._release_asked,
        tenure.successors,
        tenure.tolerated,
    )
