"""The sessions of an election's candidates, and how the checks fare that keep them alive.

Consul answers a list that the token may not see with an empty one, and tells of checks only who may
see their services and nodes: what is not to be seen is said to be, and never taken for none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from coord.consul import (
    CheckStatus,
    ConsulApi,
    ConsulError,
    ConsulNotPermitted,
    HealthCheck,
    Session,
)
from coord.members import Seen, cut, read_instances
from coord.records import Paths

MOST_NODES = 20
"""Of so many nodes at most checks are looked up that no candidate's service tells of."""


def session_name(election: str) -> str:
    """How the names of the sessions of an election's candidates begin; a node's name follows."""
    return f"{election} candidate "


def on_candidate(session: Session, election: str) -> bool:
    """Whether a session hangs on the check of some candidate of that election."""
    service = f"{Paths(election).candidate_service}-"
    return any(check.startswith(service) for check in session.checks)


@dataclass(frozen=True, slots=True)
class SessionCheck:
    """A check that a session hangs on. status None: it is not to be seen."""

    id: str
    status: CheckStatus | None
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatus:
    """One session.

    node: whose it is, by its name; "" if that does not say.
    consul_node: the Consul node that it is on.
    holds: it is on the leader key.
    """

    id: str
    name: str
    node: str
    consul_node: str
    checks: tuple[SessionCheck, ...]
    lock_delay_s: float
    ttl_s: float | None
    behavior: str
    create_index: int
    holds: bool

    @property
    def status(self) -> CheckStatus | None:
        """The worst of its checks; None: none is to be seen."""
        told = (check.status for check in self.checks if check.status is not None)
        return max(told, key=lambda status: status.severity, default=None)


@dataclass(frozen=True, slots=True)
class SessionListing:
    """The sessions; the one that holds the lock first, then by node. `seen` other than KNOWN: there
    may be others."""

    seen: Seen
    items: tuple[SessionStatus, ...] = ()


async def read_sessions(
    consul: ConsulApi, paths: Paths, *, holder: str = "", expected: bool = False
) -> SessionListing:
    """Read them.

    holder: the session on the leader key, "" for none.
    expected: there must be some, since somebody leads or stands by.

    Raises:
        ConsulError: Consul did not answer; a lack of rights is said by `seen`.
    """
    try:
        every = await consul.session_list()
    except ConsulNotPermitted:
        return SessionListing(Seen.NOT_PERMITTED)
    ours = [each for each in every if _is_ours(each, paths, holder)]
    checks = await _checks(consul, paths, ours)
    items = sorted(
        (_status(each, paths, holder, checks) for each in ours),
        key=lambda item: (not item.holds, item.node or item.name, item.create_index),
    )
    # Denied lists are empty, without a word.
    hidden = not every and (expected or bool(holder))
    return SessionListing(Seen.UNKNOWN if hidden else Seen.KNOWN, tuple(items))


def _is_ours(session: Session, paths: Paths, holder: str) -> bool:
    named = session.name.startswith(session_name(paths.election))
    return named or session.id == holder or on_candidate(session, paths.election)


def _status(
    session: Session,
    paths: Paths,
    holder: str,
    checks: Mapping[tuple[str, str], HealthCheck],
) -> SessionStatus:
    prefix = session_name(paths.election)
    ours = session.name.startswith(prefix)
    return SessionStatus(
        id=cut(session.id),
        name=cut(session.name),
        node=cut(session.name.removeprefix(prefix)) if ours else "",
        consul_node=cut(session.node),
        checks=tuple(_check(id_, checks.get((session.node, id_))) for id_ in session.checks),
        lock_delay_s=session.lock_delay_s,
        ttl_s=session.ttl_s,
        behavior=cut(session.behavior),
        create_index=session.create_index,
        holds=session.id == holder,
    )


def _check(id_: str, found: HealthCheck | None) -> SessionCheck:
    if found is None:
        return SessionCheck(cut(id_), None)
    return SessionCheck(cut(id_), found.status, cut(found.output))


async def _checks(
    consul: ConsulApi, paths: Paths, sessions: Iterable[Session]
) -> Mapping[tuple[str, str], HealthCheck]:
    """The checks that they hang on, by node and id.

    The candidates' services tell of nearly all; of the others their nodes are asked.
    """
    candidates = await read_instances(consul, paths.candidate_service)
    found = {
        (check.node, check.check_id): check for each in candidates.items for check in each.checks
    }
    wanted = {(each.node, check) for each in sessions for check in each.checks}
    nodes = sorted({node for node, check in wanted if (node, check) not in found})[:MOST_NODES]
    for more in await asyncio.gather(*(_of_node(consul, node) for node in nodes)):
        found |= {(check.node, check.check_id): check for check in more}
    return found


async def _of_node(consul: ConsulApi, node: str) -> tuple[HealthCheck, ...]:
    try:
        return (await consul.health_node(node)).value
    except (ConsulError, ValueError):  # ValueError: no node can be called that
        return ()
