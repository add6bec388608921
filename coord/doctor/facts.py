"""What was found in Consul, for the doctor to judge: frozen, and of one look. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from coord.consul import AgentInfo, Session
from coord.controls import Controls
from coord.election.timing import Timing
from coord.members import Seen
from coord.records import AuditRecord
from coord.rights import Role, Rule
from coord.status import ClusterStatus
from coord.telemetry.journal import JournalEntry

SERF_CHECK = "serfHealth"
"""The check of a Consul node itself: whether gossip finds it alive."""


class Contact(StrEnum):
    """How far Consul was reached."""

    GOOD = "good"
    NO_LEADER = "no_leader"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """The settings of whoever asks.

    takes_part: they are those of a node, or were set on purpose: they are held against the
        others'. Defaults of somebody's own machine tell nothing.
    """

    node: str
    timing: Timing
    takes_part: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """The sessions that the token may see.

    seen: UNKNOWN if none was seen although there must be one.
    named: those that candidates of this election made, by their name.
    holder: the one on the leader key; None if there is none, or none to be seen.
    holding: of the sessions, those that hold a key of this election.
    hung_on: the ids of all checks that any session hangs on.
    """

    seen: Seen = Seen.KNOWN
    named: tuple[Session, ...] = ()
    holder: Session | None = None
    holding: frozenset[str] = frozenset()
    hung_on: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class JournalKey:
    """One entry of the journal, and when Consul got it: `index` is its CreateIndex."""

    entry: JournalEntry
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The journal. `entries` are the newest, in the order in which Consul got them."""

    seen: Seen = Seen.KNOWN
    count: int = 0
    entries: tuple[JournalKey, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The audit. unreadable: what is wrong with an entry, by its key."""

    seen: Seen = Seen.KNOWN
    entries: tuple[AuditRecord, ...] = ()
    unreadable: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What the token may do, as far as it was tried.

    allowed: for each rule of each role whether the token may; None: not tried, or not to be told.
    needs: the rules of each role.
    role: the role that the token is to have, if one was named.
    tried: writing was tried as well; else `why_not` says why it was not.
    broken: what went wrong although it is allowed.
    """

    allowed: Mapping[Rule, bool | None]
    needs: Mapping[Role, tuple[Rule, ...]]
    role: Role | None = None
    tried: bool = False
    why_not: str = ""
    broken: tuple[str, ...] = ()

    def lacks(self, role: Role) -> tuple[Rule, ...]:
        """What a token of that role needs and this one was refused."""
        return tuple(rule for rule in self.needs[role] if self.allowed.get(rule) is False)

    @property
    def roles(self) -> tuple[Role, ...]:
        """What it can be a token of, as far as was tried; roles that write only if that was."""
        fit = (role for role in self.needs if not self.lacks(role))
        return tuple(role for role in fit if self.tried or role is Role.VIEWER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that one look showed.

    contact: other than GOOD: `detail` says more, and nothing else here can be relied on.
    read_ms: how long a consistent read of the leader key took, in milliseconds.
    check_ids: the ids of a candidate's own checks, by its service's id.
    lost_nodes: the Consul nodes whose serfHealth fails: their agents are gone.
    servers: the names of the Consul nodes that are servers.
    versions: of Consul's servers and of the agent here, as far as they tell.
    local_services: what is registered on the agent here.
    never_was: nothing stands below the election's root, and nothing there may be kept from view.
    elections: where it never was: those of which the token sees the keys, by name.
    """

    at_ms: int
    election: str
    here: Here
    contact: Contact = Contact.GOOD
    detail: str = ""
    status: ClusterStatus | None = None
    read_ms: int = 0
    agent: AgentInfo | None = None
    servers: frozenset[str] = frozenset()
    versions: frozenset[str] = frozenset()
    check_ids: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    lost_nodes: frozenset[str] = frozenset()
    local_services: frozenset[str] = frozenset()
    sessions: Sessions = Sessions()
    controls_seen: Seen = Seen.KNOWN
    controls: Controls = field(default_factory=Controls)
    journal: Journal = Journal()
    audit: Audit = Audit()
    never_was: bool = False
    elections: tuple[str, ...] = ()
    rights: Rights | None = None
