"""When the cluster is settled: each scenario begins there, and must come back there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agents import AgentError
from coord.consul import CheckStatus, Consistency, ConsulError, ServiceInstance, Session
from coord.records import POLLER_SERVICE, LeaderRecord, LeaderState, RecordError
from demo.witness import WitnessError
from tests.chaos.stage import CANDIDATES, POLLERS, SERVERS, Stage, StageError

PATIENCE_S = 120.0
"""How long may pass until all is well again: more than the slowest thing in it, a session whose
node is gone and which dies of its TTL (twice 15 s), and what a busy machine adds."""

WORTH_TELLING_S = 5.0

_LOOK_S = 0.2
_ALIVE = 1
_CONSISTENT = Consistency.CONSISTENT


@dataclass(frozen=True, slots=True)
class Settled:
    """Who leads, in which term, and which server leads Consul."""

    leader: str
    term: int
    consul_leader: str


async def settle(
    stage: Stage,
    *,
    patience_s: float = PATIENCE_S,
    mend: Callable[[], Awaitable[None]] | None = None,
    say: Callable[[str], None] | None = None,
) -> Settled:
    """Wait until the cluster is settled.

    mend: called before each look. say: told at each look what is missing.

    Raises:
        StageError: it is not in time; the message says what was still missing.
    """
    began = time.monotonic()
    told = ""
    while True:
        if mend is not None:
            await mend()
        try:
            found = await _look(stage)
        except (OSError, AgentError, ConsulError, WitnessError) as error:
            found = f"{type(error).__name__}: {error}"
        if isinstance(found, Settled):
            return found
        waited_s = time.monotonic() - began
        if waited_s > patience_s:
            stage.broken = found
            raise StageError(f"not settled within {patience_s:g} s: {found}")
        if waited_s > WORTH_TELLING_S and found != told:
            stage.note(f"not settled after {waited_s:.0f} s: {found}")
            told = found
        if say is not None:
            say(f"waiting: {found}")
        await asyncio.sleep(_LOOK_S)


async def _look(stage: Stage) -> Settled | str:
    """The settled cluster, or the first thing that is missing."""
    gone = [name for name, agent in stage.agents.items() if not agent.running]
    gone += list(stage.ended_nodes())
    if gone:
        return f"not running: {', '.join(gone)}"
    ending = [node.name for node in stage.running_nodes() if node.name in stage.ending]
    if ending:
        return f"asked to end, and not ended yet: {', '.join(ending)}"
    consul_leader = await stage.consul_leader()
    if consul_leader is None:
        return "the servers do not agree on a leader of Consul"
    missing = await asyncio.to_thread(_members_missing, stage)
    return missing or await _look_at_election(stage, consul_leader)


def _members_missing(stage: Stage) -> str | None:
    raft = stage.agents[SERVERS[0]].get_json("/v1/operator/raft/configuration")
    voters = sum(1 for server in raft["Servers"] if server["Voter"])
    if voters != len(SERVERS):
        return f"{voters} servers vote"
    for name, agent in stage.agents.items():
        members = agent.get_json("/v1/agent/members")
        alive = {m["Name"] for m in members if m["Status"] == _ALIVE}
        lost = set(stage.agents) - alive
        if lost:
            # Left alone they hear of each other within half a minute.
            stage.rejoin(name, lost)
            return f"{name} misses {', '.join(sorted(lost))}"
    failing = stage.agents[SERVERS[0]].get_json("/v1/health/state/critical")
    hosts = [check["Node"] for check in failing if check["CheckID"] == "serfHealth"]
    return f"failing hosts: {', '.join(sorted(hosts))}" if hosts else None


async def _look_at_election(stage: Stage, consul_leader: str) -> Settled | str:
    consul = stage.consuls[consul_leader]
    entry = (await consul.kv_get(stage.paths.leader, consistency=_CONSISTENT)).value
    if entry is None or entry.session is None:
        return "nobody holds the leader key"
    try:
        record = LeaderRecord.decode(entry.value)
    except RecordError as error:
        return f"the leader's record cannot be read: {error}"
    others = set(CANDIDATES) - {record.node}
    if record.state is not LeaderState.HELD or set(record.successors) != others:
        return f"{record.node} names {', '.join(record.successors) or 'no'} successors"
    reply = await consul.health_service(stage.paths.leader_service, consistency=_CONSISTENT)
    leading = _passing(reply.value)
    if [instance.meta["term"] for instance in leading] != [str(record.term)]:
        return f"{len(leading)} leaders in discovery, of terms {[i.meta['term'] for i in leading]}"
    reply = await consul.health_service(POLLER_SERVICE, consistency=_CONSISTENT)
    pollers = {instance.meta["node"] for instance in _passing(reply.value)}
    if pollers != set(POLLERS):
        return f"the pollers that pass are {sorted(pollers)}"
    reply = await consul.health_service(stage.paths.candidate_service, consistency=_CONSISTENT)
    left = leaked(await consul.session_list(), _passing(reply.value), stage.paths.election)
    if left:
        return f"sessions of no living process: {', '.join(left)}"
    await stage.witness.work(term=record.term, node=record.node, timeout_s=5.0)
    return Settled(record.node, record.term, consul_leader)


def _passing(instances: tuple[ServiceInstance, ...]) -> list[ServiceInstance]:
    return [each for each in instances if each.status is CheckStatus.PASSING]


def leaked(
    sessions: tuple[Session, ...], candidates: list[ServiceInstance], election: str
) -> list[str]:
    """The election's sessions that hang on no check of a living candidate, or on one that has
    another session already."""
    living = {f"{instance.id}-alive" for instance in candidates}
    found = []
    for session in sessions:
        if not session.name.startswith(f"{election} candidate "):
            continue
        own = next((check for check in session.checks if check in living), None)
        if own is None:
            found.append(f"{session.name} ({session.id[:8]})")
        else:
            living.discard(own)
    return found
