"""What a preview says before anything is done: the cost, the risks, or why it is refused. Pure.

Codes are for programs and stay; sentences are for people and may change. Names in sentences are as
they stand in Consul: whoever prints them makes them fit for a terminal.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coord.operations.asks import Ask, Operation


class RefusalCode(StrEnum):
    """Why an operation is not begun. Nothing was changed."""

    NOBODY_LEADS = "nobody_leads"
    LEADER_UNREADABLE = "leader_unreadable"
    """Somebody leads, but the record does not say who, under which term."""
    TERM_MOVED_ON = "term_moved_on"
    """It was decided on another term than the one that is."""
    TARGET_LEADS = "target_leads"
    TARGET_CANNOT_LEAD = "target_cannot_lead"
    UNKNOWN_NODE = "unknown_node"
    NOT_A_CANDIDATE = "not_a_candidate"
    ASKED_ALREADY = "asked_already"
    """Another operator's request of the leader stands."""
    ALREADY_PAUSED = "already_paused"
    ALREADY_DRAINED = "already_drained"
    NOT_PAUSED = "not_paused"
    NOT_DRAINED = "not_drained"
    CHANGED_MEANWHILE = "changed_meanwhile"
    """What it was decided on was changed between the preview and the writing."""
    NOT_PERMITTED = "not_permitted"
    """The token may not see what it takes to decide."""
    NO_CONSUL_LEADER = "no_consul_leader"
    """Consul has no leader: what is shown may be of any age, and nothing can be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why the operation is not begun, and what to do instead.

    anyway: `Ask.anyway` would have it done all the same.
    """

    code: RefusalCode
    sentence: str
    hint: str = ""
    anyway: bool = False


class WarningCode(StrEnum):
    """What could go wrong."""

    NOBODY_ELSE = "nobody_else"
    """No other candidate can lead now."""
    ONLY_DRAINED = "only_drained"
    """All others are drained: one of them leads as a last resort, after a while."""
    ONLY_COOLING = "only_cooling"
    """All others stay back after having led."""
    PAUSED = "paused"
    """Nobody campaigns until the pause is over."""
    LEADER_ANSWERS = "leader_answers"
    """The leader seems to be well: asking it to step down costs less than forcing it."""
    LEADER_SILENT = "leader_silent"
    """The leader does not seem to be there to answer."""
    QUARANTINE = "quarantine"
    """Nobody may lead until what the leader may still do is certainly over."""
    NAMESAKES = "namesakes"
    """Several passing nodes have a name that counts here."""
    OLD_NODES = "old_nodes"
    """Some candidates do not tell what would be needed to know what they will do."""
    KEY_IS_ODD = "key_is_odd"
    """The leader key or the term key was tampered with, or Consul was restored."""
    REQUEST_STANDS = "request_stands"
    """Another operator's request stands, and is replaced."""
    UNREADABLE_CONTROL = "unreadable_control"
    """Something that operators asked cannot be read, and counts as not said."""
    MEMBERS_UNSEEN = "members_unseen"
    """The token may not see the candidates: who would follow is not known."""
    NOT_THERE = "not_there"
    """The node is not there at the moment."""
    POLLS_REPEATED = "polls_repeated"
    """Polls that are running are given up and run again."""
    PAUSE_ENDED = "pause_ended"
    """The pause that stands has run out; nobody has taken it away yet."""


@dataclass(frozen=True, slots=True)
class Caution:
    """One thing that could go wrong.

    serious: it may well leave the election without a leader, or do harm.
    """

    code: WarningCode
    sentence: str
    serious: bool = False


class Source(StrEnum):
    """Where a number in a preview comes from."""

    FLEET = "fleet"
    """What the leader's record and the candidates tell of themselves."""
    OWN_SETTINGS = "own_settings"
    """The operator's own settings, as the fleet does not tell."""
    ALLOWANCE = "allowance"
    """What it takes on a sound network."""


class PhaseName(StrEnum):
    """The parts of a gap, in their order; `leader_changed` in the journal has them too."""

    DETECT = "detect"
    QUARANTINE = "quarantine"
    ACQUIRE = "acquire"
    START = "start"


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of the expected gap, in milliseconds."""

    name: PhaseName
    ms: int
    source: Source


@dataclass(frozen=True, slots=True)
class Gap:
    """How long nobody is expected to work.

    phases: what it consists of; they are counted from when the leader's work has stopped.
    stop_ms: how long the leader may take to stop before that, at the most, doing no more harm
        than working on; None where it is not asked to.
    until_ms: None if the sum of the phases tells; else it may last this long, for the reason that
        the cautions give (nobody can lead before).
    """

    phases: tuple[Phase, ...]
    stop_ms: int | None = None
    until_ms: int | None = None

    @property
    def expected_ms(self) -> int:
        """The sum of the phases."""
        return sum(phase.ms for phase in self.phases)

    @property
    def guessed(self) -> bool:
        """Whether some of it is from the operator's own settings, as the fleet does not tell."""
        return any(phase.source is Source.OWN_SETTINGS for phase in self.phases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor:
    """A candidate that may follow, or why it may not now.

    why_not: a word of `WhyNot`, or as the node wrote it; "" if it can lead at once.
    """

    node: str
    priority: int
    why_not: str = ""
    address: str = ""

    @property
    def ready(self) -> bool:
        """Whether it can lead at once."""
        return not self.why_not


@dataclass(frozen=True, slots=True, kw_only=True)
class Leading:
    """Who leads. node "": the record does not say."""

    node: str
    node_type: str
    address: str
    term: int
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The versions of what was decided on; what is written only while they still stand.

    term: 0 if none is known. session: "" if nobody leads. Indices are ModifyIndexes, 0 for a key
    that does not exist.
    """

    term: int = 0
    session: str = ""
    leader_index: int = 0
    term_index: int = 0
    control_index: int = 0
    """Of the one key below `control/` that the operation writes or takes away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long the outcome is waited for, in seconds, each from the end of the one before.

    answer_s: for the leader to answer. stop_s: for its work to stop. takeover_s: for somebody to
    take over. start_s: for that one to work. told_s: for nodes to say that they have seen it.
    """

    answer_s: float
    stop_s: float
    takeover_s: float
    start_s: float
    told_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an operation would do, decided on one snapshot.

    leader: None if nobody leads.
    interrupts: whether the leader's work ends by it; then `workloads` and `polls_running` (None:
        not known) are what is interrupted.
    successors: likeliest first, those that cannot lead now last; without the leader, and as it is
        once a drain, or the end of one, stands.
    members_seen: the token may see the candidates; otherwise nothing is known of them.
    gap: None where nobody's work is interrupted.
    """

    election: str
    ask: Ask
    basis: Basis
    waits: Waits
    leader: Leading | None
    interrupts: bool
    workloads: tuple[str, ...] | None = ()
    polls_running: int | None = None
    successors: tuple[Successor, ...] = ()
    members_seen: bool = True
    gap: Gap | None = None
    cautions: tuple[Caution, ...] = ()

    @property
    def successor(self) -> Successor | None:
        """Who is likely to take over at once; None: nobody can."""
        heir = self.ask.node if self.ask.operation is Operation.TRANSFER else ""
        named = [s for s in self.successors if s.ready and s.node == heir]
        return next((s for s in (*named, *self.successors) if s.ready), None)

    @property
    def confirm_name(self) -> str:
        """What is to be typed to confirm, where typing yes is not enough; "" where it is."""
        if not self.ask.operation.of_leader or self.ask.operation.value != "force_release":
            return ""
        return (self.leader.node if self.leader else "") or self.election
