"""What may happen next in `election_model`: the events that `election_space` takes in every order.

One action is one event, but where a request reaches Consul and is answered by one action: that is
two. It is one action where nobody but the sender could tell when the request came to Consul:

- A read changes nothing. That it came early and is answered late is told apart from that it came
  late by nothing but what it saw, so the action says which of the views that there were since it
  was sent.
- Nobody knows the name of a session before it is answered.
- To destroy a session that is gone does nothing.

What follows by itself is no event: a command on its way to the wire, and what is due when its time
has come. A read that is not answered fails when its deadline comes, or, as a fault, at any moment.
"""

from __future__ import annotations

from collections.abc import Iterator

from election_model import Action
from election_node import Node
from election_store import Store

from coord.election import commands as cmd

FAULTS = (
    "expire",
    "kill",
    "freeze",
    "fail",
    "back",
    "late",
    "down",
    "edit",
    "force",
    "delete",
    "forget",
)
"""The kinds of faults: a session that is in use ends; a process ends, or stands still; a request
fails at once, though it may land yet; the watch shows what was before, or the same again; what is
due happens after whatever else happens at that moment; a leader is asked to step down; an operator
edits the record, releases by hand, deletes a key, or both; a server takes over that does not know
of the lock-delay."""


def kind_of(fault: Action) -> str:
    """Which of `FAULTS` that is."""
    return {"watch": "back", "nearly": "late"}.get(fault[0], str(fault[0]))


def cost_of(action: Action) -> int:
    """How many events an action is."""
    return 2 if action[0] in ("read", "get") else 1


def free_actions(number: int, node: Node, store: Store) -> Iterator[Action]:
    """What may happen to one node without a fault. Time and the catalog stand aside."""
    yield from (("reach", number, i, True) for i in range(len(node.ghosts)))
    used = _used(node)
    yield from (("expire", each) for each in _sessions(node, store) if each not in used)
    if node.dead:
        return
    if node.frozen:
        yield ("thaw", number)
        return
    for i, flight in enumerate(node.flights):
        if flight.applied:
            yield ("answer", number, i)
        elif isinstance(flight.asked, cmd.Observe):
            yield ("read", number, i, None)
            yield from (("read", number, i, older) for older in range(len(flight.older)))
        elif _is_one(flight.asked, store):
            yield ("get", number, i)
        else:
            yield ("reach", number, i, False)
    yield from (("stopped", number, run) for run in node.stopping)
    yield from (("watch", number, stale) for stale in (False, True) if _is_news(node, store, stale))
    current = node.election.sessions.current
    if current is not None and current not in store.sessions:
        yield ("lost", number)


def faults_of_node(number: int, node: Node, store: Store) -> Iterator[Action]:
    """What may befall one node."""
    if node.dead:
        return
    yield from (("expire", each) for each in _sessions(node, store) if each in _used(node))
    yield ("kill", number)
    if node.frozen:
        return
    yield ("freeze", number)
    yield from (("fail", number, i) for i in range(len(node.flights)))
    yield from (
        ("watch", number, stale) for stale in (False, True) if not _is_news(node, store, stale)
    )
    if node.working:
        yield ("down", number)


def faults_of_consul(store: Store) -> Iterator[Action]:
    """What may befall the keys."""
    view = store.view
    if not view.missing:
        yield ("edit",)
        yield ("delete", True, False)
        yield ("delete", True, True)
    if view.term_index:
        yield ("delete", False, True)
    if view.session is not None:
        yield ("force",)
    if store.now < store.free_from:
        yield ("forget",)


def _is_one(asked: cmd.Command, store: Store) -> bool:
    """Whether nothing but its sender can tell whether it has reached Consul."""
    if isinstance(asked, cmd.DestroySession):
        return asked.session not in store.sessions
    return isinstance(asked, cmd.CreateSession)


def _is_news(node: Node, store: Store, stale: bool) -> bool:
    """Whether the watch wakes for that: a version of the key that comes after the last it showed.
    What is stale is the version before."""
    now, before = store.view.leader_index, store.before.leader_index
    if stale:
        return node.seen < before != now
    return node.seen != now


def _sessions(node: Node, store: Store) -> list[str]:
    """The node's sessions that Consul knows."""
    return sorted(each for each in store.sessions if node.owns(each))


def _used(node: Node) -> set[str]:
    """The sessions that a living node relies on. The others run out sooner or later, as do those
    of the dead and of those that stand still."""
    if node.dead or node.frozen:
        return set()
    election = node.election
    tenure = election.tenure.session if election.tenure is not None else None
    made = [each.result for each in node.flights if isinstance(each.asked, cmd.CreateSession)]
    return {each for each in (election.sessions.current, tenure, *made) if each is not None}
