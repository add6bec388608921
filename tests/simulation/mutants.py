"""Deliberate faults of the node's code, each of which the simulation must find.

Each is a mistake that others have made, or that one of the design's rules stands against. Planting
one swaps a single function of the node's own code while a world runs; that is how a mutant is
made, and nothing else in the tests reaches into the code like this.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from coord.candidate import CoordinatorCandidate
from coord.consul import ConsulError, ConsulRefused, TxnOp, TxnResult
from coord.coordinator import Coordinator
from coord.election import commands as cmd
from coord.election import events as ev
from coord.election import machine
from coord.election.campaign import Campaign
from coord.election.lookout import Lookout
from coord.election.orders import Orders
from coord.election.reasons import Cause, LostReason, TakeoverOutcome
from coord.election.tenure import Tenure, Work
from coord.election.timing import Timing
from coord.leader_key import LeaderKey
from coord.leadership import FencedWriteFailed, Leadership, Lease
from coord.polling.writer import FencedWriter
from coord.registration import CandidateService
from tests.simulation.outside import Receiver

Plant = contextlib.AbstractContextManager[None]
MUTANTS: dict[str, Callable[[], Plant]] = {}
"""Every deliberate fault, by its name: a context in which it is planted."""


FOUND_BY: dict[str, frozenset[str]] = {}
"""By which rules of the checker each counts as found: those that tell of just that mistake."""

TWO = frozenset(
    {
        "two at work",
        "acted in an old term",
        "term used twice",
        "term went back",
        "session led twice",
        "released at work",
        "stale write landed",
    }
)


def mutant(
    *rules: str,
) -> Callable[[Callable[[], Iterator[None]]], Callable[[], Plant]]:
    """Name it in `MUTANTS`; it counts as found by these rules, or by any that tell of two."""

    def named(plant: Callable[[], Iterator[None]]) -> Callable[[], Plant]:
        made = contextlib.contextmanager(plant)
        MUTANTS[plant.__name__] = made
        FOUND_BY[plant.__name__] = frozenset(rules) or TWO
        return made

    return named


def swapped(owner: Any, name: str, make: Callable[[Any], Any]) -> Any:
    """While entered, `owner`'s `name` is what `make` makes of it."""
    return patch.object(owner, name, make(getattr(owner, name)))


# -- the lease -------------------------------------------------------------------------------


@mutant()
def lease_counted_from_the_reply() -> Iterator[None]:
    """A confirmation counts from when it came, not from when it was asked for."""

    def make(confirm: Any) -> Any:
        return lambda self, view, sent_at, now, **rest: confirm(self, view, now, now, **rest)

    with swapped(Tenure, "confirm", make):
        yield


@mutant()
def guard_does_not_look_at_the_clock() -> Iterator[None]:
    """Work may go on until it is told to stop, however late that is."""
    with (
        patch.object(Lease, "held", lambda self: self._until > float("-inf")),
        patch.object(Lease, "remaining_s", lambda self: 1.0),
    ):
        yield


@mutant()
def confirmed_by_renewing_the_session() -> Iterator[None]:
    """The session lives, so the lock must be ours."""

    def make(observe: Any) -> Any:
        async def renewing(self: CoordinatorCandidate, deadline: float) -> None:
            tenure, view = self.election.tenure, self.election.lookout.view
            if tenure is None or view is None or view.session != tenure.session:
                await observe(self, deadline)
                return
            sent_at = self._clock.now()
            try:
                session = await self._consul.session_renew(tenure.session, deadline_s=deadline)
            except ConsulError:
                session = None
            if session is None:
                await observe(self, deadline)
            else:
                self.post(ev.Observed(view, sent_at))

        return renewing

    with swapped(CoordinatorCandidate, "_observe", make):
        yield


@mutant()
def confirmed_by_a_default_read() -> Iterator[None]:
    """Consul's leader of yesterday may vouch for ours."""

    async def observe(self: LeaderKey, deadline: float) -> ev.KeyView:
        ops = (TxnOp.kv_get(self._paths.leader), TxnOp.kv_get(self._paths.term))
        result = await self._consul.txn(ops, deadline_s=deadline)
        if result.ok:
            return self._view(result)
        return await original(self, deadline)

    original = LeaderKey.observe
    with patch.object(LeaderKey, "observe", observe):
        yield


@mutant()
def resumed_without_reading_again() -> Iterator[None]:
    """Contact is back: so we lead on."""

    def make(lost_by: Any) -> Any:
        def careless(self: Tenure, view: ev.KeyView, restored: bool) -> LostReason | None:
            suspended = self.state.value == "suspended"
            found: LostReason | None = lost_by(self, view, restored)
            return None if suspended else found

        return careless

    with swapped(Tenure, "_lost_by", make):
        yield


@mutant()
def work_that_does_not_stop_is_left_alone() -> Iterator[None]:
    """It will stop sometime."""

    def make(do: Any) -> Any:
        return lambda self, command: (
            None if isinstance(command, cmd.EndProcess) else do(self, command)
        )

    def make_tick(tick: Any) -> Any:
        def remembering(self: Tenure, now: float, contact: Any) -> Any:
            self._ticked_at = now  # type: ignore[attr-defined]
            return tick(self, now, contact)

        return remembering

    def wake_at(self: Tenure) -> float | None:
        """Not again and again at once, for want of the end that was asked for."""
        at: float | None = real_wake_at(self)
        if self.work is Work.STOPPING and at is not None:
            at = max(at, getattr(self, "_ticked_at", at) + 0.5)
        return at

    real_wake_at: Any = Tenure.wake_at.fget  # type: ignore[attr-defined]
    with (
        swapped(CoordinatorCandidate, "_do", make),
        swapped(Tenure, "tick", make_tick),
        patch.object(Tenure, "wake_at", property(wake_at)),
        patch("coord.testing.node.SimulatedWatchdog.arm", lambda self, key, deadline: None),
    ):
        yield


# -- taking over -----------------------------------------------------------------------------


@mutant()
def no_quarantine() -> Iterator[None]:
    """Consul's lock-delay will do."""
    with patch.object(Timing, "quarantine", lambda self, fenced=None: 0.0):
        yield


@mutant()
def quarantine_skipped_at_a_first_start() -> Iterator[None]:
    """There is no key, so there was no leader."""
    with _trusted(lambda cause: cause is Cause.FIRST_START):
        yield


@mutant()
def clean_mark_trusted_across_a_deletion() -> Iterator[None]:
    """The key is gone, so whoever had it has stopped."""
    with _trusted(lambda cause: cause is Cause.DELETED):
        yield


@contextlib.contextmanager
def _trusted(trusted: Callable[[Cause], bool]) -> Iterator[None]:
    def make(vacant: Any) -> Any:
        def trusting(self: Lookout, view: ev.KeyView, now: float, first: bool) -> Any:
            notices = vacant(self, view, now, first)
            if self.vacancy is not None and trusted(self.vacancy.cause):
                self.vacancy = replace(self.vacancy, quarantine=0.0)
            return notices

        return trusting

    def make_catalog(says: Any) -> Any:
        def trusting(self: Lookout, fenced_within: float | None) -> None:
            if self.vacancy is None or not trusted(self.vacancy.cause):
                says(self, fenced_within)

        return trusting

    with (
        swapped(Lookout, "_vacant", make),
        swapped(Lookout, "catalog_says", make_catalog),
    ):
        yield


@mutant()
def predecessors_own_time_ignored() -> Iterator[None]:
    """Whoever led before stopped as soon as we would have."""

    def make(quarantine: Any) -> Any:
        return lambda self, fenced=None: quarantine(self, None)

    with swapped(Timing, "quarantine", make):
        yield


@mutant()
def wait_goes_on_for_another_vacancy() -> Iterator[None]:
    """The key was vacant before and is vacant now: it has been all the time."""

    def make(held: Any) -> Any:
        def forgetful(self: Lookout, view: ev.KeyView) -> Any:
            seen_at = self.vacancy.seen_at if self.vacancy is not None else None
            notices = held(self, view)
            self._seen_before = seen_at or getattr(self, "_seen_before", None)  # type: ignore[attr-defined]
            return notices

        return forgetful

    def make_vacant(vacant: Any) -> Any:
        def remembering(self: Lookout, view: ev.KeyView, now: float, first: bool) -> Any:
            notices = vacant(self, view, now, first)
            before = getattr(self, "_seen_before", None)
            if self.vacancy is not None and before is not None:
                self.vacancy = replace(self.vacancy, seen_at=before)
            return notices

        return remembering

    with swapped(Lookout, "_held", make), swapped(Lookout, "_vacant", make_vacant):
        yield


@mutant()
def acquire_without_the_vacancys_index() -> Iterator[None]:
    """Whatever vacancy there is, the lock is free."""

    def make(acquire: Any) -> Any:
        async def careless(self: LeaderKey, asked: cmd.Acquire) -> Any:
            real, leader, term = self._consul, self._paths.leader, self._paths.term

            class Careless:
                async def txn(self, ops: Any, **options: Any) -> TxnResult:
                    # The term too is taken as it is found: otherwise its index stops us.
                    entry = (await real.kv_get(term)).value
                    index = entry.modify_index if entry is not None else 0
                    ops = [
                        TxnOp.kv_get(leader) if op.verb.value == "check-index" else op for op in ops
                    ]
                    ops = [replace(op, index=index) if op.verb.value == "cas" else op for op in ops]
                    return await real.txn(ops, **options)

            self._consul = Careless()  # type: ignore[assignment]
            try:
                return await acquire(self, asked)
            finally:
                self._consul = real

        return careless

    with swapped(LeaderKey, "acquire", make):
        yield


@mutant()
def unknown_outcome_taken_for_a_refusal() -> Iterator[None]:
    """No answer means no."""

    def make(handler: Any) -> Any:
        def careless(self: machine.Election, event: ev.AcquireUnknown, now: float) -> None:
            refused = ev.AcquireRefused(event.attempt, TakeoverOutcome.UNAVAILABLE)
            self._on_acquire_refused(refused, now)

        return careless

    with (
        swapped(machine.Election, "_on_acquire_unknown", make),
        patch.object(machine, "TABLE", _permissive()),
    ):
        yield


def _permissive() -> Any:
    """The table, with an unknown outcome leading wherever a refusal may."""
    from coord.election.states import TABLE, State

    acquiring = {**TABLE[State.ACQUIRING]}
    acquiring[ev.AcquireUnknown] = acquiring[ev.AcquireRefused]
    return {**TABLE, State.ACQUIRING: acquiring}


@mutant()
def lock_index_as_the_term() -> Iterator[None]:
    """Consul counts acquisitions already."""

    def next_term(self: Lookout) -> int:
        return (self.view.lock_index if self.view is not None else 0) + 1

    with patch.object(Lookout, "next_term", next_term):
        yield


@mutant()
def term_from_its_key_alone() -> Iterator[None]:
    """If there is no term yet, the first is 1."""

    def next_term(self: Lookout) -> int:
        return ((self.view.term or 0) if self.view is not None else 0) + 1

    with patch.object(Lookout, "next_term", next_term):
        yield


@mutant("led again at once")
def cool_down_ignored() -> Iterator[None]:
    """Who stepped down may lead again at once."""
    with patch.object(Campaign, "cool", lambda self, now: None):
        yield


# -- giving back -----------------------------------------------------------------------------


@mutant()
def released_before_the_work_has_stopped() -> Iterator[None]:
    """It is being stopped, after all."""

    def make(go_on: Any) -> Any:
        def hasty(self: Tenure) -> Any:
            work, self.work = self.work, Work.NONE
            commands = go_on(self)
            self.work = work
            return commands

        return hasty

    with swapped(Tenure, "_go_on", make):
        yield


@mutant()
def a_session_leads_twice() -> Iterator[None]:
    """It is still good, so why make another."""
    with _sessions_kept():
        yield


@mutant("released another's term")
def a_release_of_any_term() -> Iterator[None]:
    """A release needs no more than the session."""

    async def release(self: LeaderKey, asked: cmd.Release) -> bool:
        real, term = self._consul, self._paths.term

        class Untied:
            async def txn(self, ops: Any, **options: Any) -> TxnResult:
                return await real.txn([op for op in ops if op.key != term], **options)

        self._consul = Untied()  # type: ignore[assignment]
        try:
            return await original(self, asked)
        finally:
            self._consul = real

    original = LeaderKey.release
    with patch.object(LeaderKey, "release", release):
        yield


@contextlib.contextmanager
def _sessions_kept() -> Iterator[None]:
    def destroy(self: CoordinatorCandidate, session: str) -> None:
        self._kept = session  # type: ignore[attr-defined]
        self._given_back(session)

    def make_create(create: Any) -> Any:
        async def reuse(self: CoordinatorCandidate, attempt: int) -> None:
            kept = getattr(self, "_kept", None)
            if kept is not None and await self._consul.session_info(kept) is not None:
                self.post(ev.SessionCreated(attempt, kept))
            else:
                await create(self, attempt)

        return reuse

    with (
        patch.object(CoordinatorCandidate, "_destroy", destroy),
        swapped(CoordinatorCandidate, "_create_session", make_create),
        patch.object(machine.Election, "_destroy_stray", lambda self, view, now: None),
    ):
        yield


@mutant("over budget")
def processes_of_a_node_share_a_check() -> Iterator[None]:
    """One check for each node is enough."""

    def make(init: Any) -> Any:
        def shared(self: CandidateService, *args: Any, **kwargs: Any) -> None:
            init(self, *args, **kwargs)
            self.id = f"{self.name}-{self._identity.node}"
            self.check_id = f"{self.id}-alive"

        return shared

    with swapped(CandidateService, "__init__", make):
        yield


# -- what is believed ------------------------------------------------------------------------


@mutant("told twice", "two at work")
def stale_reply_accepted() -> Iterator[None]:
    """An answer is an answer, whenever it was asked for."""

    def make(observed: Any) -> Any:
        def credulous(self: machine.Election, event: ev.Observed, now: float) -> None:
            self._reads.valid_from = float("-inf")
            observed(self, event, now)

        return credulous

    with swapped(machine.Election, "_on_observed", make):
        yield


@mutant()
def writes_are_not_fenced() -> Iterator[None]:
    """The guard was asked; that must do."""

    async def txn(self: Leadership, ops: Any) -> TxnResult:
        self.guard()
        return await self._consul.txn(tuple(ops), deadline_s=2.0)

    with patch.object(Leadership, "txn", txn):
        yield


@mutant()
def a_restored_consul_is_trusted() -> Iterator[None]:
    """Indexes that go back mean nothing."""

    def make(observed: Any) -> Any:
        def trusting(self: Lookout, view: ev.KeyView, now: float) -> Any:
            self._highest_leader_index = self._highest_term_index = 0
            return observed(self, view, now)

        return trusting

    with swapped(Lookout, "observed", make):
        yield


# -- what operators ask ----------------------------------------------------------------------


@mutant("obeyed another's request")
def a_request_of_any_term_is_obeyed() -> Iterator[None]:
    """Whoever leads is meant."""

    def make(asked_of: Any) -> Any:
        def meant(self: Orders, term: int) -> Any:
            request = self._request
            return asked_of(self, request.term) if request is not None else None

        return meant

    with swapped(Orders, "asked_of", make):
        yield


@mutant("over budget")
def a_pause_is_not_kept() -> Iterator[None]:
    """Somebody must lead."""

    def make(seen: Any) -> Any:
        def unpaused(self: Orders, event: ev.OrdersSeen, now: float) -> None:
            seen(self, replace(event, pause=None), now)

        return unpaused

    with swapped(Orders, "seen", make):
        yield


@mutant("over budget")
def a_drained_leader_stays() -> Iterator[None]:
    """It does not campaign; that must do."""

    def make(obey: Any) -> Any:
        def stay(self: machine.Election, tenure: Tenure, now: float) -> None:
            drained, self.orders.drained = self.orders.drained, frozenset()
            obey(self, tenure, now)
            self.orders.drained = drained

        return stay

    with swapped(machine.Election, "_obey", make):
        yield


@mutant("over budget")
def the_heir_is_one_of_many() -> Iterator[None]:
    """Whoever is named in a transfer is a successor like any other."""
    with patch.object(Campaign, "successors", property(lambda self: (self.followers or ())[:3])):
        yield


# -- what is told, and left ------------------------------------------------------------------


@mutant("told twice")
def losing_is_told_twice() -> Iterator[None]:
    """To be sure that it is heard."""

    def make(tell: Any) -> Any:
        def insistent(self: Tenure, reason: LostReason) -> Any:
            return [*tell(self, reason), cmd.Lost(self.term, reason)]

        return insistent

    with swapped(Tenure, "_tell_lost", make):
        yield


@mutant("left behind")
def the_leaders_service_is_left() -> Iterator[None]:
    """The agent will see to it."""

    async def retire(self: Coordinator) -> None:
        self._service = self._lease = self._term = None

    async def tidy(self: Coordinator) -> None:
        pass

    with patch.object(Coordinator, "retire", retire), patch.object(Coordinator, "tidy", tidy):
        yield


# -- what stands outside ---------------------------------------------------------------------


@mutant()
def the_watchdog_is_never_armed() -> Iterator[None]:
    """A blocked event loop will see by itself that its time is over."""
    with patch("coord.testing.node.SimulatedWatchdog.arm", lambda self, key, deadline: None):
        yield


@mutant("stale write taken")
def the_receiver_does_not_fence() -> Iterator[None]:
    """Whoever sends it will have asked whether it leads."""

    def take(self: Receiver, sender: str, term: int) -> None:
        self._on_message(sender, term, True)

    with patch.object(Receiver, "take", take):
        yield


@mutant("result went back", "polled twice")
def batches_have_no_sequence() -> Iterator[None]:
    """The fence keeps out what is late."""

    async def commit(self: FencedWriter, ops: Any) -> None:
        while ops:
            try:
                result = await self._leadership.txn(ops)
            except ConsulRefused:
                raise
            except ConsulError:
                await asyncio.sleep(0.25)
                continue
            if not result.ok:
                raise FencedWriteFailed(self._leadership.term, result.errors)
            return

    with patch.object(FencedWriter, "_commit", commit):
        yield
