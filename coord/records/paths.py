"""What things may be called, and the key paths: where everything of an election lives in Consul."""

from __future__ import annotations

import re
from dataclasses import dataclass

NAME_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""What elections, nodes and schedules may be called. An unescaped `..` would reach other keys."""

ROOT = "service/"
"""Below it every election has its keys, under its name; other programs keep theirs there too."""

LEADER_SERVICE = "coordinator"
CANDIDATE_SERVICE = "coordinator-candidate"
OBSERVER_SERVICE = "coordinator-observer"
POLLER_SERVICE = "poller"

MAX_PRIORITY = 1000
DEFAULT_PRIORITY = 100
"""How much a candidate is wanted as a successor, from 0: of several, the highest comes first."""


def is_name(name: str) -> bool:
    """Whether an election, a node or a schedule may be called that."""
    return NAME_PATTERN.fullmatch(name) is not None and name not in (".", "..")


def check_name(field: str, name: str) -> str:
    """`name` itself if it may stand in a path.

    Raises:
        ValueError: it may not; the message names `field` and what is allowed.
    """
    if not is_name(name):
        raise ValueError(
            f"{field} {name!r} is not usable in a key: use 1 to 128 of the characters "
            "A-Z a-z 0-9 . _ - and not '.' or '..'"
        )
    return name


@dataclass(frozen=True, slots=True)
class Paths:
    """Where everything of one election lives in Consul's KV store."""

    election: str

    def __post_init__(self) -> None:
        check_name("election", self.election)

    @property
    def root(self) -> str:
        return f"{ROOT}{self.election}/"

    @property
    def leader(self) -> str:
        return self.root + "leader"

    @property
    def term(self) -> str:
        return self.root + "term"

    @property
    def journal(self) -> str:
        return self.root + "journal/"

    @property
    def cluster_health(self) -> str:
        return self.root + "cluster/health"

    @property
    def polls(self) -> str:
        return self.root + "polls/"

    @property
    def control(self) -> str:
        """What operators ask: everything below."""
        return self.root + "control/"

    @property
    def keep(self) -> str:
        """Always there while somebody leads, so that a watch on `control` sleeps: one on a prefix
        without any key wakes on every write of the whole store."""
        return self.control + "keep"

    @property
    def pause(self) -> str:
        return self.control + "pause"

    @property
    def drains(self) -> str:
        """One key below for each drained node, by its name."""
        return self.control + "drain/"

    @property
    def request(self) -> str:
        return self.control + "request"

    def drain(self, node: str) -> str:
        """Where it is said that `node` is drained."""
        return self.drains + check_name("node", node)

    @property
    def audit(self) -> str:
        """What operators did, apart from the journal so that flapping cannot wipe it."""
        return self.root + "audit/"

    @property
    def leader_service(self) -> str:
        return self._service(LEADER_SERVICE)

    @property
    def candidate_service(self) -> str:
        return self._service(CANDIDATE_SERVICE)

    @property
    def observer_service(self) -> str:
        return self._service(OBSERVER_SERVICE)

    def _service(self, name: str) -> str:
        """The default election owns the plain names; others stand beside it with their own.

        The election comes first: no two elections, whatever their names, share a service.
        """
        return name if self.election == "coordinator" else f"{self.election}-{name}"
