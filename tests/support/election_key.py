"""When two states of `election_model` are one and the same, for what may come of them.

`node_key` and `store_key` give equal keys only to states of which every future is equal, so that
one of them stands for all:

- Times are taken relative to now: nothing in the machine nor in the model asks what time it is,
  only how far apart two times are. They are counted in units of 1/159600 s of the node's clock.
  With clocks at 0.95, 1 and 1.05 of the true one, and every duration a multiple of 50 ms, each
  moment is a whole number of them (159600 = 20 * 19 * 20 * 21), so counting merges nothing.
- A time that is only ever asked whether it has come counts as now once it has.
- Numbers of runs and of attempts are only ever asked whether they are the current one, and a new
  one is like no older one: the key says whether they are.
- What is told to the outside only (notices: who led, why, the numbers in a time line), or is set
  before it is next looked at, is left out; `LEFT_OUT` says what and why. A test holds that, with
  what is in the keys, against the fields there are.

Sessions, terms and indices keep their names: each node names its sessions itself, so that the
order in which nodes do things does not show in them.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from election_node import Flight, Node, Read
from election_store import Store

from coord.election import commands as cmd
from coord.election.machine import Election
from coord.election.states import State
from coord.election.tenure import Tenure, Work

UNITS = 159_600
"""Units to a second of a node's clock."""

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
    },
    "Vacancy": {"cause": "ends in the vacancy's `why` alone", "former": "named in notices"},
    "Campaign": {
        "node": "the same always",
        "timing": "the same for all",
        "lookout": "stands beside it",
        "_attempts": "a new attempt has a number like no other",
        "_put_off_by": "shown, not obeyed",
    },
    "Attempt": {
        "number": "only whether an answer is to it counts",
        "due_at": "told in a time line",
        "sent_at": "told in a time line",
    },
    "Sessions": {"attempt": "only whether an answer is to it counts", "refused": "shown"},
    "Tenure": {
        "timing": "the same for all",
        "node": "the same always",
        "run": "only whether what stops is that run counts",
        "_told_lost": "decides only whether a notice is given",
        "_lost_by_giving_back": "told in a notice",
    },
    "Reads": {"_timing": "the same for all"},
}
"""The fields that no key has, by class. What is in no key and not here is a mistake."""


def _span(time: float | None, now: float) -> int | None:
    """How far away a time is, in units."""
    return None if time is None else round((time - now) * UNITS)


def _ahead(time: float | None, now: float) -> int | None:
    """The same, for what is only asked whether it has come."""
    return None if time is None else round((time - now) * UNITS) if time > now else 0


def store_key(store: Store) -> Key:
    """The key of what Consul keeps."""
    return (
        store.lock_delay,
        store.index,
        store.view,
        store.before,
        tuple(sorted(store.sessions)),
        _ahead(store.free_from, store.now),
        store.highest_term,
        store.newest_write,
        store.tokens,
    )


def node_key(node: Node) -> Key:
    """The key of one process."""
    if node.dead:
        return (node.name, *sorted((_asked(each, node) for each in node.ghosts), key=hash))
    now = node.now
    tenure = node.election.tenure
    return (
        node.name,
        node.rate,
        _election(node.election, now, node.flights),
        tuple(sorted((_flight(each, node, now) for each in node.flights), key=hash)),
        tuple(sorted((_asked(each, node) for each in node.ghosts), key=hash)),
        tuple(sorted(tenure is not None and run == tenure.run for run in node.stopping)),
        node.working,
        _span(node.fenced_at, now) if node.working else None,
        node.frozen,
        node.shut,
        node.seen,
        node.others,
        node.sessions_made,
        tuple(sorted(node.led.items())),
    )


def _flight(flight: Flight, node: Node, now: float) -> Key:
    times = _span(flight.sent_at, now), _span(flight.until, now)
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
        case cmd.Release(session, term, term_index, why):
            return ("Release", session, term, term_index, why.value)
        case cmd.DestroySession(session):
            return ("DestroySession", session)
        case cmd.CreateLeaderKey(why, deadline):
            return ("CreateLeaderKey", why.value, deadline)
        case cmd.Observe(deadline):
            return ("Observe", deadline)
    raise AssertionError(asked)


def _election(election: Election, now: float, flights: list[Flight]) -> Key:
    reads = election._reads
    sent_at = next((each.sent_at for each in flights if isinstance(each.asked, Read)), None)
    return (
        election.state,
        election.contact,
        election._shutting_down,
        election._leaving,
        *_lookout(election, now),
        *_campaign(election, now, sent_at),
        *_sessions(election, now),
        _tenure(election.tenure, now) if election.tenure is not None else None,
        reads.under_way,
        # Reads that are sent from now on are sent later than that.
        sent_at is not None and sent_at < reads.valid_from,
        _ahead(reads._due_at, now),
        reads._again,
        _ahead(reads._create_from, now),
    )


def _lookout(election: Election, now: float) -> Key:
    lookout = election.lookout
    vacancy = lookout.vacancy
    seen: Any = None
    if vacancy is not None:
        times = _span(vacancy.seen_at, now), vacancy.quarantine
        seen = (vacancy.index, *times, vacancy.handed_over)
    return (
        lookout.view,
        seen,
        _span(lookout.vacant_since, now),
        lookout.restored,
        lookout._catalog_fenced_within,
        lookout._highest_leader_index,
        lookout._highest_term_index,
        lookout._highest_term,
        lookout._distrusted_index,
        _ahead(lookout._distrusted_until, now),
        lookout._holder_fenced_within,
        lookout._holder,
    )


def _campaign(election: Election, now: float, sent_at: float | None) -> Key:
    campaign = election.campaign
    attempt = campaign.attempt
    tried: Any = None
    if attempt is not None:
        since = attempt.unknown_since
        asked_before = since is not None and sent_at is not None and sent_at < since
        vacancy = attempt.vacancy.index
        tried = (attempt.session, attempt.term, vacancy, since is not None, asked_before)
    return (
        campaign.jitter,
        campaign.others,
        tried,
        campaign.look_first,
        _ahead(campaign.cool_until, now),
        _ahead(campaign._cool_least_until, now),
        _ahead(campaign._put_off_until, now),
    )


def _sessions(election: Election, now: float) -> Key:
    sessions = election.sessions
    return (
        sessions.current,
        tuple(sorted(sessions.own)),
        sessions.asked,
        _ahead(sessions.retry_at, now),
        _ahead(sessions._ask_from, now),
        sessions._retry_s,
    )


def _tenure(tenure: Tenure, now: float) -> Key:
    stopping = tenure.work is Work.STOPPING
    suspended = tenure.state is State.SUSPENDED
    return (
        tenure.session,
        tenure.term,
        tenure.term_index,
        tenure.state,
        tenure.work,
        _span(tenure.confirmed_sent_at, now),
        tenure.over,
        # These are set whenever the work is to stop, and whenever it is suspended.
        _span(tenure._suspended_at, now) if suspended else None,
        _span(tenure._stop_asked_at, now) if stopping else None,
        _span(tenure._stop_told, now) if stopping else None,
        tenure._closed,
        tenure.release_why,
        tenure._release_asked,
    )
