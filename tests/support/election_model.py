"""A small model of several candidates and of what Consul does to their keys, for exploring.

Everything that the real world may do at some moment is one action of a `World`: a request reaches
Consul, an answer comes or does not, time passes, a session is invalidated, an operator deletes a
key. `World.actions` lists what may happen now, `World.do` lets it happen and checks the promises.
Consul's side is written from what Consul does, not from what the election expects of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from election_store import Store

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.machine import Election
from coord.election.reasons import LostReason, StepDownReason, WhyNot
from coord.election.states import State
from coord.election.timing import Timing

Action = tuple[Any, ...]
EPSILON_S = 1e-9
"""What is due at a moment is due in spite of rounding."""


class BrokenError(AssertionError):
    """A promise of the election does not hold."""


@dataclass
class Flight:
    """A request under way. `result` is what Consul answered, once it got there."""

    asked: cmd.Command
    sent_at: float
    """On the node's own clock, as is `until`."""
    until: float
    applied: bool = False
    result: Any = None


@dataclass
class Node:
    """One process. `rate` is how fast its clock goes: within 5 % of the true one."""

    name: str
    election: Election
    rate: float = 1.0
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

    def local(self, now: float) -> float:
        return now * self.rate + EPSILON_S


class World:
    """Several candidates, one Consul, one true clock."""

    def __init__(self, rates: tuple[float, ...]) -> None:
        self.now = 0.0
        self.timing = Timing()
        self.store = Store(self.timing.lock_delay)
        self.highest_term = 0
        self.term_of: dict[str, int] = {}
        self.led = 0
        self.sessions_made = 0
        self.nodes: list[Node] = []
        for rate in rates:
            self.add(rate)

    def add(self, rate: float) -> None:
        """One more candidate starts."""
        number = len(self.nodes)
        node = Node(f"n{number}", Election(f"n{number}", self.timing, jitter=number / 3), rate)
        self.nodes.append(node)
        self.tell(node, ev.Started())
        self.tell(node, self.others_of(node))

    def others_of(self, node: Node) -> ev.OthersSeen:
        """Those whose checks would pass: not the dead nor the frozen."""
        fine = [n.name for n in self.nodes if not (n is node or n.dead or n.shut or n.frozen)]
        return ev.OthersSeen(tuple(fine), self.timing.fenced_within)

    # -- what may happen -------------------------------------------------------------------

    def actions(self, *, faults: bool = True) -> list[Action]:
        found: list[Action] = []
        for number, node in enumerate(self.nodes):
            found += [("reach", number, i, True) for i, f in enumerate(node.ghosts)]
            if node.dead:
                continue
            if node.frozen:
                found.append(("thaw", number))
                continue
            for i, flight in enumerate(node.flights):
                found.append(("answer" if flight.applied else "reach", number, i, False))
                if faults:
                    found.append(("fail", number, i))
            found += [("stopped", number, run) for run in node.stopping]
            found.append(("watch", number, False))
            if faults:
                found += [("watch", number, True), ("others", number), ("down", number)]
                found += [("freeze", number), ("kill", number), ("shut", number)]
                if node.election.sessions.current not in self.store.sessions:
                    found.append(("lost", number))
        if faults:
            found += [("expire", session) for session in sorted(self.store.sessions)]
            found += [("edit",), ("force",), ("delete", True, False)]
            found += [("delete", True, True), ("delete", False, True)]
        return [*found, ("time",)]

    def do(self, action: Action, step: float | None = None) -> None:
        """Let it happen, and check what must always hold. `step` bounds how far time goes."""
        kind, *args = action
        if kind == "time":
            self.pass_time(step)
        elif kind in ("edit", "force", "delete"):
            getattr(self.store, kind)(*args)
        elif kind == "expire":
            self.store.invalidate(args[0], self.now)
        else:
            getattr(self, f"do_{kind}")(self.nodes[args[0]], *args[1:])
        self.check()

    def do_reach(self, node: Node, i: int, ghost: bool) -> None:
        flight = node.ghosts.pop(i) if ghost else node.flights[i]
        flight.applied = True
        store, asked = self.store, flight.asked
        match asked:
            case cmd.Observe():
                flight.result = store.view
            case cmd.CreateLeaderKey():
                store.create(asked)
                flight.result = store.view
            case cmd.CreateSession():
                self.sessions_made += 1
                flight.result = f"s{self.sessions_made}"
                store.sessions.add(flight.result)
            case cmd.DestroySession(session):
                store.invalidate(session, self.now)
            case cmd.Acquire():
                flight.result = store.acquire(asked, node.name, self.timing.fenced_within, self.now)
            case cmd.Release():
                store.release(asked)
            case cmd.UpdateRecord():
                store.update(asked, node.name, self.timing.fenced_within)

    def do_answer(self, node: Node, i: int, _ghost: bool) -> None:
        flight = node.flights.pop(i)
        asked, result = flight.asked, flight.result
        match asked:
            case cmd.Observe() | cmd.CreateLeaderKey():
                self.tell(node, ev.Observed(result, flight.sent_at))
            case cmd.CreateSession(attempt):
                self.tell(node, ev.SessionCreated(attempt, result))
            case cmd.Acquire(attempt) if isinstance(result, ev.KeyView):
                self.tell(node, ev.Acquired(attempt, result, flight.sent_at))
            case cmd.Acquire(attempt):
                self.tell(node, ev.AcquireRefused(attempt, result))
            case _:
                self.no_answer(node, flight)

    def do_fail(self, node: Node, i: int) -> None:
        """The node hears nothing, or that there is no Consul; what it sent may still arrive."""
        flight = node.flights.pop(i)
        if not flight.applied:
            node.ghosts.append(flight)
        self.no_answer(node, flight)

    def no_answer(self, node: Node, flight: Flight) -> None:
        match flight.asked:
            case cmd.Observe() | cmd.CreateLeaderKey():
                self.tell(node, ev.ObserveFailed(WhyNot.CONSUL_UNREACHABLE))
            case cmd.CreateSession(attempt):
                self.tell(node, ev.SessionFailed(attempt, WhyNot.CONSUL_UNREACHABLE))
            case cmd.Acquire(attempt):
                self.tell(node, ev.AcquireUnknown(attempt))
            case cmd.Release(session):
                self.tell(node, ev.Released(session))
            case cmd.DestroySession(session):
                self.tell(node, ev.SessionDestroyed(session))

    def do_stopped(self, node: Node, run: int) -> None:
        node.stopping.remove(run)
        node.working = False
        node.fenced_at = None
        self.tell(node, ev.WorkStopped(run))

    def do_watch(self, node: Node, stale: bool) -> None:
        seen = self.store.before if stale else self.store.view
        told = replace(seen, term=None, term_index=0, term_fenced_within=None)
        self.tell(node, ev.Watched(told))

    def do_others(self, node: Node) -> None:
        self.tell(node, self.others_of(node))

    def do_down(self, node: Node) -> None:
        self.tell(node, ev.StepDown(StepDownReason.REQUESTED))

    def do_shut(self, node: Node) -> None:
        node.shut = True
        self.tell(node, ev.Shutdown())

    def do_lost(self, node: Node) -> None:
        if node.election.sessions.current is not None:
            session = node.election.sessions.current
            self.tell(node, ev.SessionLost(session, LostReason.SESSION_GONE))

    def do_freeze(self, node: Node) -> None:
        node.frozen = True

    def do_thaw(self, node: Node) -> None:
        """Its answers, as late as they are, may come before it looks at its clock, or after."""
        node.frozen = False

    def do_kill(self, node: Node) -> None:
        node.dead = True
        node.working = False
        node.ghosts += [flight for flight in node.flights if not flight.applied]
        node.flights.clear()

    # -- time ------------------------------------------------------------------------------

    def pass_time(self, step: float | None) -> None:
        """Go on to the next moment at which something must happen, at most `step` seconds."""
        until = self.now + (step or 10.0)
        for node in self.nodes:
            until = min([until, *(at / node.rate for at in self.due_times(node))])
        self.now = max(self.now, until)
        for node in self.nodes:
            local = node.local(self.now)
            if node.working and node.fenced_at is not None and local >= node.fenced_at:
                self.do_kill(node)
            if node.dead or node.frozen:
                continue
            for flight in [f for f in node.flights if local >= f.until]:
                if flight in node.flights:
                    self.do_fail(node, node.flights.index(flight))
            self.tick(node)

    def due_times(self, node: Node) -> list[float]:
        if node.dead:
            return []
        fence = [node.fenced_at] if node.working and node.fenced_at is not None else []
        if node.frozen:
            return fence
        wake_at = node.election.wake_at
        flights = [flight.until for flight in node.flights]
        return [*fence, *flights, *([wake_at] if wake_at is not None else [])]

    def tick(self, node: Node) -> None:
        """Ticks until it wants to be woken later; it must soon."""
        for _ in range(5):
            wake_at = node.election.wake_at
            if node.dead or wake_at is None or wake_at > node.local(self.now):
                return
            self.tell(node, ev.Tick())
        raise BrokenError(f"{node.name} in {node.election.state} spins at {self.now}")

    # -- the nodes -------------------------------------------------------------------------

    def tell(self, node: Node, event: ev.Event) -> None:
        for command in node.election.handle(event, node.local(self.now)):
            self.carry_out(node, command)
        state = node.election.state
        over = node.dead or node.frozen or state is State.STOPPED
        if not (over or node.stopping or self.due_times(node)):
            raise BrokenError(f"{node.name} is stuck in {state}")

    def carry_out(self, node: Node, command: cmd.Command) -> None:
        now = node.local(self.now)
        match command:
            case cmd.StartWork(_, session, term):
                if command.vacancy is not None:
                    self.begin(session, term)
                if self.term_of.get(session) != term:
                    raise BrokenError(f"{session} leads term {term}")
                node.working = True
            case cmd.StopWork(run):
                if run not in node.stopping:
                    node.stopping.append(run)
            case cmd.ExtendLease(_, fenced_at):
                node.fenced_at = fenced_at
            case cmd.EndProcess():
                self.do_kill(node)
            case cmd.Notice() | cmd.EndLease() | cmd.Finished():
                pass
            case _:
                if isinstance(command, cmd.Release) and (node.working or node.stopping):
                    raise BrokenError("released before the work ended")
                if isinstance(command, cmd.UpdateRecord):
                    node.ghosts.append(Flight(command, now, now))
                else:
                    node.flights.append(Flight(command, now, now + deadline_of(command)))

    def begin(self, session: str, term: int) -> None:
        if session in self.term_of:
            raise BrokenError(f"{session} has led term {self.term_of[session]} before")
        if term <= self.highest_term:
            raise BrokenError(f"term {term} after {self.highest_term}")
        self.term_of[session] = self.highest_term = term
        self.led += 1

    def check(self) -> None:
        working = [node.name for node in self.nodes if node.working]
        if len(working) > 1:
            raise BrokenError(f"{working} work at once at {self.now}")

    # -- a world without faults ------------------------------------------------------------

    def settle(self, seconds: float) -> None:
        """Everything is answered at once, for so long; the dead lose their sessions."""
        for node in self.nodes:
            node.frozen = False
            if not node.dead:
                self.tick(node)
        until = self.now + seconds
        while self.now < until:
            self.quiet()
            self.do(("time",), min(0.5, until - self.now + 1e-6))

    def quiet(self) -> None:
        """Everything under way comes to its end; everybody hears of everything."""
        alive = {n.election.sessions.current for n in self.nodes if not n.dead}
        alive |= {n.election.tenure.session for n in self.nodes if n.election.tenure and not n.dead}
        for session in sorted(self.store.sessions - alive):
            self.do(("expire", session))
        for number, node in enumerate(self.nodes):
            current = node.election.sessions.current
            if not node.dead and current and current not in self.store.sessions:
                self.do(("lost", number))
            self.do_others(node) if not node.dead else None
        for _ in range(400):
            todo = [a for a in self.actions(faults=False) if a[0] in ("reach", "answer", "stopped")]
            if not todo:
                break
            self.do(todo[0])
        else:
            raise BrokenError(f"no end of requests at {self.now}")

    def leaders(self) -> list[str]:
        return [n.name for n in self.nodes if not n.dead and n.working]


def deadline_of(command: cmd.Command) -> float:
    """How long the driver waits for an answer, in seconds."""
    match command:
        case cmd.Observe(deadline) | cmd.CreateLeaderKey(_, deadline):
            return deadline
        case cmd.Acquire():
            return command.deadline
    return 2.0
