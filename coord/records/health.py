"""What the leader last found of the cluster's health: the record that `ClusterHealth` publishes."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from coord.records.base import Name, Record, Term

MAX_NODES = 2000
"""The most nodes that the record names; counts go on. Keeps it well under Consul's 512 kB."""


class Verdict(StrEnum):
    """What the leader thinks of the cluster."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"


class HealthReason(StrEnum):
    """Why the cluster is degraded."""

    TOO_FEW_NODES = "too_few_nodes"
    """Fewer nodes are up than the setting min_nodes asks for."""
    LEADER_NOT_LISTED = "leader_not_listed"
    """Discovery does not show the leader: no passing instance of the leader's service is its."""
    SEVERAL_LEADERS_LISTED = "several_leaders_listed"
    """Discovery shows more than one passing leader."""
    NOT_PERMITTED = "not_permitted"
    """The token may not see the members: nothing is said about nodes."""


class HealthModel(BaseModel):
    """A part of the record; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


_MOST = 10**9


class Counts(HealthModel):
    """How many, by the state of their checks in Consul.

    passing: those all of whose checks pass.
    warning: those whose worst check warns.
    critical: those with a check that fails.
    """

    passing: int = Field(default=0, ge=0, le=_MOST)
    warning: int = Field(default=0, ge=0, le=_MOST)
    critical: int = Field(default=0, ge=0, le=_MOST)

    @property
    def up(self) -> int:
        """Those all of whose checks pass."""
        return self.passing

    @property
    def down(self) -> int:
        """The others."""
        return self.warning + self.critical


class ClusterHealthRecord(Record):
    """What the leader last found, and when.

    verdict: healthy or degraded.
    reasons: why it is degraded.
    leader: who found it.
    term: the term of that leader.
    at: when, in UTC by the leader's clock; None where it does not say.
    nodes, candidates, pollers: each node counts once in each, by its instance that does best.
    up: the names of the nodes that are up, sorted; with those that are down `MAX_NODES` at most.
    down: the names of the others, sorted.
    """

    KIND: ClassVar[str] = "cluster health record"

    verdict: str = Field(max_length=32)
    reasons: tuple[str, ...] = Field(default=(), max_length=16)
    leader: Name = ""
    term: Term = 0
    at: datetime | None = None
    nodes: Counts = Counts()
    candidates: Counts = Counts()
    pollers: Counts = Counts()
    up: tuple[Name, ...] = Field(default=(), max_length=MAX_NODES)
    down: tuple[Name, ...] = Field(default=(), max_length=MAX_NODES)
