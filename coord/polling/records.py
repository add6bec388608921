"""Schedules, jobs, results: what is kept in Consul, and what the leader and a poller exchange.

All are versioned JSON records: readers take what they know and ignore the rest. In records,
durations are written as in settings (`10s`, `500ms`, a bare number is milliseconds); in Python they
are seconds, like the settings' own. Constructors read what records hold: write `interval="10s"`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from coord.polling.check_records import (
    MAX_CHECKS,
    MAX_TIMEOUT_S,
    Checks,
    Duration,
    Timeout,
    Word,
)
from coord.polling.check_records import MAX_DETAIL as MAX_DETAIL
from coord.polling.check_records import Check as Check
from coord.polling.check_records import CheckError as CheckError
from coord.polling.check_records import CheckKind as CheckKind
from coord.polling.check_records import CheckResult as CheckResult
from coord.polling.check_records import HttpCheck as HttpCheck
from coord.polling.check_records import OtherCheck as OtherCheck
from coord.polling.check_records import TcpCheck as TcpCheck
from coord.polling.check_records import clip as clip
from coord.records import DEFAULT_PRIORITY, MAX_PRIORITY, Name, Record, Term
from coord.records.control import Actor, RequestId

MAX_SCHEDULE_BYTES = 32 * 1024
"""A larger schedule record is not read."""

MAX_RETRIES = 10
DEFAULT_RETRIES = 2
"""How often a run is tried again, if its schedule does not say."""

MAX_ASSIGNED = 20
"""How many names a schedule may be assigned to."""

MIN_INTERVAL_S = 0.5
MAX_INTERVAL_S = 7 * 86_400.0

_MAX_SCHEDULE_ID = 100  # a job's id adds a slot to it and must still be a name
_MAX_WALL_MS = 2**53

MAX_COUNT = 2**62

WallMs = Annotated[int, Field(ge=0, le=_MAX_WALL_MS, strict=True)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT, strict=True)]
SetName = Annotated[Name, Field(min_length=1)]
Attempt = Annotated[int, Field(ge=1, le=1000, strict=True)]


def _schedule_id(value: Any) -> Any:
    if isinstance(value, str) and not 1 <= len(value) <= _MAX_SCHEDULE_ID:
        raise ValueError(f"must have 1 to {_MAX_SCHEDULE_ID} characters")
    return value


ScheduleId = Annotated[Name, BeforeValidator(_schedule_id)]


class Assignment(StrEnum):
    """Which pollers may run a schedule's polls.

    ANY: all. SPECIFIC: the nodes that it names. PARTITION, DOMAIN: those that say of themselves
    that they are of a partition, or a domain, that it names.
    """

    ANY = "any"
    SPECIFIC = "specific"
    PARTITION = "partition"
    DOMAIN = "domain"


class ScheduleRecord(Record):
    """What to poll, and how often. Operators write it; the leader only reads it.

    id: also the last part of its key.
    name: for people; the id if left out.
    interval: seconds between runs.
    timeout: seconds that one attempt may take in all; None: as long as its checks.
    max_retries: how often a run whose attempt failed, or was not answered in time, is tried again.
    priority: of those that are due, the ones with the highest come first.
    assigned_to: the nodes, partitions or domains that `assignment` is about.
    since_ms: wall-clock milliseconds from which runs are due: none is missed before it. Set when
        the schedule is written.
    """

    KIND: ClassVar[str] = "schedule"

    id: ScheduleId
    name: str = Field(default="", max_length=128)
    enabled: Annotated[bool, Field(strict=True)] = True
    interval: Annotated[Duration, Field(ge=MIN_INTERVAL_S, le=MAX_INTERVAL_S)]
    checks: Checks
    timeout: Timeout | None = None
    max_retries: Annotated[int, Field(ge=0, le=MAX_RETRIES, strict=True)] = DEFAULT_RETRIES
    priority: Annotated[int, Field(ge=0, le=MAX_PRIORITY, strict=True)] = DEFAULT_PRIORITY
    assignment: Assignment = Assignment.ANY
    assigned_to: tuple[SetName, ...] = Field(
        default=(), max_length=MAX_ASSIGNED, validate_default=True
    )
    since_ms: WallMs = 0

    @field_validator("assigned_to")
    @classmethod
    def _goes_with_assignment(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        assignment = info.data.get("assignment")
        if assignment is Assignment.ANY and value:
            raise ValueError(
                "an assignment of any goes to no poller in particular; set assignment to specific, "
                "partition or domain, or leave this out"
            )
        if assignment not in (Assignment.ANY, None) and not value:
            raise ValueError(f"{assignment} needs a name; write what it is assigned to")
        return value

    @property
    def interval_ms(self) -> int:
        """The interval in whole milliseconds, as slots are counted."""
        return round(self.interval * 1000)

    @property
    def timeout_ms(self) -> int:
        """The longest that an attempt takes: its checks run at the same time."""
        longest = max(check.timeout for check in self.checks)
        return round(min(longest, self.timeout or longest) * 1000)

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of its checks: a poller must have them all."""
        return frozenset(str(check.kind) for check in self.checks)


class JobState(StrEnum):
    """Where one run of a schedule is; the transitions are in `coord.polling.jobs`.

    PENDING: due, not given to a poller. DISPATCHING: a poller is chosen and this is written down;
    it may or may not have been asked. RUNNING: the poller is asked. COMPLETED: it answered, with
    whatever the checks found. FAILED: no answer could be had. TIMED_OUT: nothing was heard in time.
    CANCELLED: called off.
    """

    PENDING = "pending"
    DISPATCHING = "dispatching"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class PollError(StrEnum):
    """Why a run had no answer from a poller.

    NO_POLLER: none is passing. NOT_ASSIGNED: none of those that the schedule is assigned to is.
    NO_KIND: none of these has all its kinds of check. UNREACHABLE: no connection, or it broke.
    BUSY: it shed the poll. OLDER_TERM: it has seen a newer term than ours. NOT_PERMITTED: it did
    not accept our token. REFUSED: it did not accept the request. BAD_REPLY: what came is no answer.
    DEADLINE: nothing came in time. LEADER_LOST: its leader ended, and it was too late to try again.
    """

    NO_POLLER = "no_poller"
    NOT_ASSIGNED = "no_assigned_poller"
    NO_KIND = "no_poller_of_kind"
    UNREACHABLE = "poller_unreachable"
    BUSY = "poller_busy"
    OLDER_TERM = "older_term"
    NOT_PERMITTED = "not_permitted"
    REFUSED = "poller_refused"
    BAD_REPLY = "bad_reply"
    DEADLINE = "deadline"
    LEADER_LOST = "leader_lost"


POLL_OUTCOMES = ("up", "down", JobState.CANCELLED.value, *(error.value for error in PollError))
"""What `ResultRecord.outcome` may be: what the checks found, or why there was no answer."""


class JobRecord(Record):
    """One run of a schedule, in Consul from before a poller is asked until its result is written.

    id: ``<schedule>.<slot>``, or of the request: the same run has the same id under every leader.
        Before the slot stands since when the schedule is as it is, in hexadecimal and with a dash:
        what was removed and added again has no run in common with what it was.
    attempt: from 1; the same attempt is never sent twice.
    term: under which this attempt is made.
    poller: the service id of the poller chosen.
    due_ms: when it was due, in wall-clock milliseconds; likewise
    dispatched_ms: when this attempt was written down.
    missed: how many runs of the schedule were left out just before this one.
    asked: the request that this run was asked for by, out of turn; None: it was due.
    """

    KIND: ClassVar[str] = "job"

    id: SetName
    schedule: ScheduleId
    state: JobState = JobState.PENDING
    attempt: Attempt = 1
    term: Term
    poller: str = Field(default="", max_length=256)
    due_ms: WallMs
    dispatched_ms: WallMs = 0
    missed: Count = 0
    asked: RequestId | None = None


class ResultRecord(Record):
    """The last result of a schedule, and its counters since it was first run.

    state: how the run ended. ok: all checks say up; None where there was no answer, and `error`
    says why; a word that is no `PollError` is a newer leader's. lag_ms: how much after it was due
    its last attempt was dispatched. took_ms: from then to its result. due_ms, finished_ms:
    wall-clock milliseconds.

    Counters: runs that ended, by whatever outcome; missed: left out; retried: attempts after the
    first; timed_out, failed, cancelled: runs that ended so; asked_runs: that somebody asked for.

    asked: the last request for a run that was answered. The result of such a run has the `due_ms`
    of the last run that was due: it counts for no slot.
    """

    KIND: ClassVar[str] = "result"

    schedule: ScheduleId
    job: SetName
    attempt: Attempt
    term: Term
    state: JobState
    ok: bool | None = None
    error: PollError | Word | None = Field(default=None, union_mode="left_to_right")
    poller: str = Field(default="", max_length=256)
    due_ms: WallMs
    finished_ms: WallMs
    lag_ms: Count = 0
    took_ms: Count = 0
    checks: tuple[CheckResult, ...] = Field(default=(), max_length=MAX_CHECKS)
    runs: Count = 0
    missed: Count = 0
    retried: Count = 0
    timed_out: Count = 0
    failed: Count = 0
    cancelled: Count = 0
    asked: RequestId | None = None
    asked_runs: Count = 0

    def is_of(self, schedule: ScheduleRecord) -> bool:
        """Whether what its checks found is about the checks that the schedule has now."""
        return not self.checks or (
            len(self.checks) == len(schedule.checks)
            and all(map(CheckResult.is_of, self.checks, schedule.checks))
        )

    @property
    def outcome(self) -> str:
        """Up or down, as its checks say; or why there was no answer."""
        if self.ok is None:
            return str(self.error or self.state)
        return "up" if self.ok else "down"


class AskedRecord(Record):
    """An operator's request for a run of a schedule now.

    schedule: also the last part of its key. actor: who asks. request_id: new for each request.
    at_ms: when, by the asker's clock: one of long ago is not obeyed.
    """

    KIND: ClassVar[str] = "asked"

    schedule: ScheduleId
    actor: Actor
    request_id: RequestId
    at_ms: WallMs

    @property
    def job(self) -> str:
        """The id of the job that runs it; no slot has such a one: it has 16 digits."""
        return f"{self.schedule}.{self.request_id}"


class UnreadableRecord(BaseModel):
    """A record that is skipped: its key, the field that is wrong, and what is wrong with it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    field: str
    detail: str


class PollStateRecord(Record):
    """What the present leader found: written at takeover and when the unreadable ones change.

    swept_retried, swept_timed_out: what became of the runs that the last leader left open.
    schedules: how many can be read. unreadable: the first of those that cannot.
    """

    KIND: ClassVar[str] = "poll state"

    term: Term
    node: Name
    since_ms: WallMs
    swept_retried: Count = 0
    swept_timed_out: Count = 0
    schedules: Count = 0
    unreadable: tuple[UnreadableRecord, ...] = Field(default=(), max_length=20)


class PollRequest(Record):
    """What the leader asks of a poller. timeout_ms: for all checks together, in milliseconds."""

    KIND: ClassVar[str] = "poll request"

    term: Annotated[Term, Field(ge=1)]
    election: SetName
    job: SetName
    attempt: Attempt
    timeout_ms: Annotated[int, Field(ge=50, le=round(MAX_TIMEOUT_S * 1000), strict=True)]
    checks: Checks


class PollReply(Record):
    """A poller's answer: the results in the order of the request's checks."""

    KIND: ClassVar[str] = "poll reply"

    job: SetName
    attempt: Attempt
    term: Term
    poller: str = Field(max_length=256)
    took_ms: float = Field(ge=0, allow_inf_nan=False)
    results: tuple[CheckResult, ...] = Field(max_length=MAX_CHECKS)

    @model_validator(mode="after")
    def _has_results(self) -> Self:
        if not self.results:
            raise ValueError("results: there are none")
        return self
