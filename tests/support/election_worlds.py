"""Where the searches of `election_space` begin: moments after which two leaders would be nearest.

The first candidate leads, or is about to, on the slowest clock that is allowed for; the others have
the fastest, so that they wait least while it takes longest to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from election_model import World

from coord.election import commands as cmd
from coord.election.machine import Election
from coord.election.states import State

SLOWEST, FASTEST = 0.95, 1.05


def _in_order(rates: Sequence[float], election: type[Election]) -> World:
    """The first leads, the others stand by; all have heard of everything, nothing is under way."""
    world = World(rates[:1], election=election, exact=True)
    world.settle(5.0)
    for rate in rates[1:]:
        world.add(rate)
    world.settle(2.0)
    world.quiet()
    for number in range(len(rates)):
        world.do(("watch", number, False))
    world.quiet()
    assert world.leaders() == ["n0"]
    return world


def _rates(candidates: int) -> tuple[float, ...]:
    return (SLOWEST, *[FASTEST] * (candidates - 1))


def _serve(world: World, *numbers: int) -> None:
    """Everything that these candidates have under way is answered."""
    for _ in range(100):
        todo = [a for a in world.actions(faults=False) if a[0] in ("reach", "answer")]
        todo = [a for a in todo if a[1] in numbers]
        if not todo:
            return
        world.do(todo[0])
    raise AssertionError("no end of requests")


def _others(world: World) -> range:
    return range(1, len(world.nodes))


def _until_asked(world: World, number: int, kind: type[cmd.Command]) -> int:
    """Serve everybody until that candidate asks for that; the number of its request."""
    for _ in range(1000):
        for i, flight in enumerate(world.nodes[number].flights):
            if isinstance(flight.asked, kind):
                return i
        todo = [a for a in world.actions(faults=False) if a[0] in ("reach", "answer", "stopped")]
        world.do(todo[0] if todo else ("time",))
    raise AssertionError(f"{kind.__name__} is never asked for")


def confirmed(candidates: int, election: type[Election] = Election) -> World:
    """A leader at work has just confirmed; the others stand by."""
    return _in_order(_rates(candidates), election)


def first_start(candidates: int, election: type[Election] = Election) -> World:
    """All start at once, and nothing is in Consul."""
    return World(_rates(candidates), election=election, exact=True)


def first_attempt(candidates: int, election: type[Election] = Election) -> World:
    """Nothing was ever led; the second one has waited and asks for the lock, the others are about
    to. There is no term key yet."""
    world = first_start(candidates, election)
    _until_asked(world, 1, cmd.Acquire)
    return world


def handed_over(candidates: int, election: type[Election] = Election) -> World:
    """The leader has stepped down, released and begun to cool; the others do not know yet."""
    world = _in_order(_rates(candidates), election)
    world.do(("down", 0))
    _until_asked(world, 0, cmd.Release)
    _serve(world, 0)
    assert world.nodes[0].election.state is State.COOLING
    return world


def asked(candidates: int, election: type[Election] = Election) -> World:
    """A leader is long dead. The first one has waited and asks for the lock; the others, who saw
    it go a little later, are about to."""
    world = _in_order((1.0, *_rates(candidates)), election)
    world.do(("kill", 0))
    world.do(("expire", "n0s1.1"))
    world.do(("watch", 1, False))
    world.do(("time",), 0.4)
    world.nodes.pop(0)
    for number in range(candidates):
        world.do(("watch", number, False))
        world.do(("others", number, world.others_of(world.nodes[number])))
    _until_asked(world, 0, cmd.Acquire)
    return world


def invalidated(candidates: int, election: type[Election] = Election) -> World:
    """The leader's read has seen its session, which went just then; the others know of that."""
    world = _in_order(_rates(candidates), election)
    world.do(("reach", 0, _until_asked(world, 0, cmd.Observe), False))
    world.do(("expire", "n0s1.1"))
    for number in _others(world):
        world.do(("watch", number, False))
    _serve(world, *_others(world))
    assert world.leaders() == ["n0"]
    return world


WORLDS: dict[str, Callable[[int, type[Election]], World]] = {
    "confirmed": confirmed,
    "first start": first_start,
    "first attempt": first_attempt,
    "handed over": handed_over,
    "asked": asked,
    "invalidated": invalidated,
}
