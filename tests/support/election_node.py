"""One candidate's process in `election_model`: its machine, its clock, its requests, its work.

Everything that can happen to it is a method, which tells its `Election` and starts what that asks
for. What it does is decided by its own state and the arguments alone, never by who calls or when:
`election_space` remembers by that what was tried before.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from election_store import ANY_INDEX, BrokenError, Store, Token
from election_time import EPSILON_S

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.machine import Election
from coord.election.reasons import LostReason, StepDownReason, TakeoverOutcome, WhyNot
from coord.election.states import State

MOST_AT_ONCE = 200
"""How many requests in one moment are too many, whatever happens in it."""

Read = cmd.Observe | cmd.CreateLeaderKey
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Flight:
    """A request under way. `result` is what Consul answered, once it got there."""

    asked: cmd.Command
    sent_at: float
    """On the node's own clock, as is `until`."""
    until: float
    applied: bool = False
    result: Any = None
    older: tuple[ev.KeyView, ...] = ()
    """What there was to read since it was sent, before the last change: for `Node.read` alone."""


@dataclass(slots=True)
class Node:
    """One process. `rate` is how fast its clock goes, which reads `now`: within 5 % of the true."""

    name: str
    election: Election
    rate: float = 1.0
    now: float = 0.0
    flights: list[Flight] = field(default_factory=list)
    ghosts: list[Flight] = field(default_factory=list)
    """Requests nobody waits for any more, which may still reach Consul."""
    stopping: list[int] = field(default_factory=list)
    working: bool = False
    fenced_at: float | None = None
    """When the watchdog ends the process, on the node's clock."""
    frozen: bool = False
    dead: bool = False
    shut: bool = False
    seen: int = -1
    """The ModifyIndex of the leader key that the watch showed last."""
    others: tuple[str, ...] | None = None
    """Who the catalog said last is there besides."""
    boot: int = 1
    """Which process of that name it is."""
    led: dict[str, int] = field(default_factory=dict)
    """The term that each session of ours led."""
    asked_now: int = 0
    """How many requests it has made since time went on last; no part of its state."""
    begun: list[Token] = field(default_factory=list)
    """What work was begun under and whoever has the store has not been told yet."""

    @property
    def clock(self) -> float:
        return self.now + EPSILON_S

    def copy(self, *, machine: bool = True) -> Node:
        """Another one, in the same state. Without a machine of its own nothing may be told it."""
        return Node(
            self.name,
            copied(self.election) if machine else self.election,
            self.rate,
            self.now,
            self.flights.copy(),
            self.ghosts.copy(),
            self.stopping.copy(),
            self.working,
            self.fenced_at,
            self.frozen,
            self.dead,
            self.shut,
            self.seen,
            self.others,
            self.boot,
            self.led.copy(),
        )

    # -- its requests ----------------------------------------------------------------------

    def reach(self, i: int, ghost: bool, store: Store) -> None:
        """A request reaches Consul."""
        flight = self.ghosts.pop(i) if ghost else self.flights[i]
        result = self._applied(flight.asked, store)
        if not ghost:
            self.flights[i] = replace(flight, applied=True, result=result)
        store.receive()

    def _applied(self, asked: cmd.Command, store: Store) -> Any:
        fenced = self.election.timing.fenced_within
        match asked:
            case cmd.Observe():
                return store.view
            case cmd.CreateLeaderKey():
                store.create(asked)
                return store.view
            case cmd.CreateSession(attempt):
                # By the attempt, so that its name tells nothing of what came of others.
                created = f"{self.name}s{self.boot}.{attempt}"
                store.sessions.add(created)
                return created
            case cmd.DestroySession(session):
                store.invalidate(session)
            case cmd.Acquire():
                return store.acquire(asked, self.name, fenced)
            case cmd.Release():
                store.release(asked)
            case cmd.UpdateRecord():
                store.update(asked, self.name, fenced)
        return None

    def answer(self, i: int) -> None:
        """What Consul answered arrives."""
        flight = self.flights.pop(i)
        asked, result = flight.asked, flight.result
        match asked:
            case cmd.Observe() | cmd.CreateLeaderKey():
                self.tell(ev.Observed(result, flight.sent_at))
            case cmd.CreateSession(attempt):
                self.tell(ev.SessionCreated(attempt, result))
            case cmd.Acquire(attempt) if isinstance(result, TakeoverOutcome):
                self.tell(ev.AcquireRefused(attempt, result))
            case cmd.Acquire(attempt):
                self.tell(ev.Acquired(attempt, result, flight.sent_at))
            case _:
                self._no_answer(asked)

    def get(self, i: int, store: Store) -> None:
        """A session that is asked for comes into being, and the answer says so."""
        self.reach(i, False, store)
        self.answer(i)

    def read(self, i: int, older: int | None, store: Store) -> None:
        """A read that is under way saw what there is, or that older view, and is answered now."""
        flight = self.flights.pop(i)
        view = store.view if older is None else flight.older[older]
        self.tell(ev.Observed(view, flight.sent_at))

    def miss(self, view: ev.KeyView) -> None:
        """The keys were like that until now; the reads under way may have seen it."""
        for i, each in enumerate(self.flights):
            if isinstance(each.asked, cmd.Observe) and not each.applied:
                self.flights[i] = replace(each, older=(*each.older, view))

    def fail(self, i: int) -> None:
        """The node hears nothing, or that there is no Consul; what it sent may still arrive."""
        flight = self.flights.pop(i)
        if not flight.applied:
            self.ghosts.append(flight)
        self._no_answer(flight.asked)

    def _no_answer(self, asked: cmd.Command) -> None:
        match asked:
            case cmd.Observe() | cmd.CreateLeaderKey():
                self.tell(ev.ObserveFailed(WhyNot.CONSUL_UNREACHABLE))
            case cmd.CreateSession(attempt):
                self.tell(ev.SessionFailed(attempt, WhyNot.CONSUL_UNREACHABLE))
            case cmd.Acquire(attempt):
                self.tell(ev.AcquireUnknown(attempt))
            case cmd.Release(session):
                self.tell(ev.Released(session))
            case cmd.DestroySession(session):
                self.tell(ev.SessionDestroyed(session))

    def forget_ghosts(self, store: Store) -> None:
        """Drop the requests that can do nothing any more, whenever they may land.

        A read is for nobody, and nobody knows the name of a session that was made for nobody. A
        session that is gone never comes back, a ModifyIndex never comes again: what is tied to
        either is refused for ever.
        """
        self.ghosts = [each for each in self.ghosts if _may_matter(each.asked, store)]

    def let_go(self, store: Store) -> None:
        """Let those of its sessions be gone of which it makes no difference.

        They do not hold the key, nor does anything that may still take the key name them, nor
        would the node itself: it would neither lose anything with them nor learn of their end.
        """
        for session in [each for each in store.sessions if self.owns(each)]:
            if not (session == store.view.session or self.may_use(session)):
                store.invalidate(session)

    def owns(self, session: str) -> bool:
        return session.startswith(f"{self.name}s")

    def may_use(self, session: str) -> bool:
        """Whether that is its session, or a request under way is to take the lock for it."""
        if not self.dead and session == self.election.sessions.current:
            return True
        under_way = [each.asked for each in (*self.flights, *self.ghosts)]
        return any(isinstance(each, cmd.Acquire) and each.session == session for each in under_way)

    # -- what befalls it -------------------------------------------------------------------

    def stopped(self, run: int) -> None:
        """All of that run of the work has ended."""
        self.stopping.remove(run)
        self.working = False
        self.fenced_at = None
        self.tell(ev.WorkStopped(run))

    def watch(self, view: ev.KeyView) -> None:
        """The watch on the leader key shows this of it."""
        self.seen = view.leader_index
        self.tell(ev.Watched(replace(view, term=None, term_index=0, term_fenced_within=None)))

    def see(self, names: tuple[str, ...]) -> None:
        """The catalog shows who else is there."""
        self.others = names
        self.tell(ev.OthersSeen(names, self.election.timing.fenced_within))

    def down(self) -> None:
        self.tell(ev.StepDown(StepDownReason.REQUESTED))

    def shut_down(self) -> None:
        self.shut = True
        self.tell(ev.Shutdown())

    def fail_work(self) -> None:
        """The supervisor gives up on the work."""
        if self.election.tenure is not None:
            self.tell(ev.WorkFailed(self.election.tenure.run, LostReason.WORK_FAILED))

    def lose(self) -> None:
        """A renewal says that our session is no more."""
        if self.election.sessions.current is not None:
            self.tell(ev.SessionLost(self.election.sessions.current, LostReason.SESSION_GONE))

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        """Its answers, as late as they are, may come before it looks at its clock, or after."""
        self.frozen = False

    def kill(self) -> None:
        self.dead = True
        self.working = False
        self.fenced_at = None
        self.stopping.clear()
        self.ghosts += [flight for flight in self.flights if not flight.applied]
        self.flights.clear()

    # -- time ------------------------------------------------------------------------------

    @property
    def due_at(self) -> float | None:
        """The next moment of its clock at which something must happen."""
        if self.dead:
            return None
        due = self.fenced_at if self.working else None
        if self.frozen:
            return due
        wake_at = self.election.wake_at
        if due is None or (wake_at is not None and wake_at < due):
            due = wake_at
        for flight in self.flights:
            if due is None or flight.until < due:
                due = flight.until
        return due

    def elapse(self, seconds: float) -> None:
        """So many true seconds pass."""
        self.now += seconds * self.rate
        if seconds > 0:
            self.asked_now = 0

    def do_due(self) -> None:
        """Whatever is due happens."""
        if self.working and self.fenced_at is not None and self.clock >= self.fenced_at:
            self.kill()
        if self.dead or self.frozen:
            return
        for flight in [f for f in self.flights if self.clock >= f.until]:
            if flight in self.flights:
                self.fail(self.flights.index(flight))
        self.tick()

    def tick(self) -> None:
        """Ticks until it wants to be woken later; it must soon."""
        for _ in range(5):
            wake_at = self.election.wake_at
            if self.dead or wake_at is None or wake_at > self.clock:
                return
            self.tell(ev.Tick())
        raise BrokenError(f"{self.name} in {self.election.state} spins at {self.now}")

    # -- its machine -----------------------------------------------------------------------

    def tell(self, event: ev.Event) -> None:
        for command in self.election.handle(event, self.clock):
            self._carry_out(command)
        over = self.dead or self.frozen or self.election.state is State.STOPPED
        if not (over or self.stopping or self.flights or self.due_at is not None):
            raise BrokenError(f"{self.name} is stuck in {self.election.state}")

    def _carry_out(self, command: cmd.Command) -> None:
        match command:
            case cmd.Notice() | cmd.EndLease() | cmd.Finished() | cmd.LiftFence():
                pass
            case cmd.StartWork():
                self._start(command)
            case cmd.StopWork(run):
                if run not in self.stopping:
                    self.stopping.append(run)
            case cmd.ExtendLease(_, fenced_at):
                self.fenced_at = fenced_at
            case cmd.EndProcess():
                self.kill()
            case cmd.UpdateRecord():
                self.ghosts.append(Flight(command, self.clock, self.clock))
            case _:
                if isinstance(command, cmd.Release) and (self.working or self.stopping):
                    raise BrokenError("released before the work ended")
                self.asked_now += 1
                if self.asked_now > MOST_AT_ONCE:
                    raise BrokenError(f"{self.name} asks without end at {self.now}")
                until = self.clock + deadline_of(command)
                self.flights.append(Flight(command, self.clock, until))

    def _start(self, asked: cmd.StartWork) -> None:
        if self.working or self.stopping:
            raise BrokenError(f"{self.name} starts work while its work goes on")
        if asked.vacancy is not None:
            if asked.session in self.led:
                raise BrokenError(f"{asked.session} has led term {self.led[asked.session]} before")
            self.led[asked.session] = asked.term
            self.begun.append(Token(asked.session, asked.term, asked.term_index))
        elif self.led.get(asked.session) != asked.term:
            raise BrokenError(f"{asked.session} leads term {asked.term}")
        self.working = True


def deadline_of(command: cmd.Command) -> float:
    """How long the driver waits for an answer, in seconds."""
    match command:
        case cmd.Observe(deadline) | cmd.CreateLeaderKey(_, deadline):
            return deadline
        case cmd.Acquire():
            return command.deadline
    return 2.0


def _may_matter(asked: cmd.Command, store: Store) -> bool:
    """Whether such a request, landing now or later, may change anything."""
    match asked:
        case cmd.CreateLeaderKey():
            return True
        case cmd.DestroySession(session) | cmd.UpdateRecord(session):
            return session in store.sessions
        case cmd.Acquire():
            live = asked.session in store.sessions
            return live and asked.leader_index in (store.view.leader_index, ANY_INDEX)
        case cmd.Release():
            view = store.view
            return (view.session, view.term_index) == (asked.session, asked.term_index)
    return False


def copied(election: Election) -> Election:
    """Another machine in the same state, of which no part that changes is shared."""
    new = _shallow(election)
    new.lookout = _shallow(election.lookout)
    new.campaign = _shallow(election.campaign)
    new.campaign.lookout = new.lookout
    attempt = election.campaign.attempt
    new.campaign.attempt = replace(attempt) if attempt is not None else None
    new.sessions = _shallow(election.sessions)
    new.sessions.own = set(election.sessions.own)
    new.tenure = _shallow(election.tenure) if election.tenure is not None else None
    new._reads = _shallow(election._reads)
    return new


def _shallow(one: _T) -> _T:
    new: _T = object.__new__(type(one))
    new.__dict__.update(one.__dict__)
    return new
