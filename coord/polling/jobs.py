"""The life of a job: all transitions in one table, and the sweep at takeover. PURE.

Theory of operation. A job is one run of a schedule. It is written to Consul as `dispatching`,
fenced, *before* the poller is asked: whoever leads next then knows of every attempt that may have
reached a poller. `running` is known to the leader alone: to a successor the two are the same (the
poller may have been asked), and not writing it saves a raft entry for each run. When the job ends,
its result is written and its key is deleted in one transaction, so what is under ``jobs/`` is what
is open.

A job that failed or timed out may be retried: it is pending again with the next attempt number,
and waits for a moment and for a poller. Its key still tells of the attempt before: that is all a
successor has to know. An attempt number is never used twice, so that a poller can answer a repeated
one from memory.

    pending -> dispatching -> running -> completed
       |            |            |
       +------------+------------+-> failed | timed_out -> (retry) pending
       +------------+------------+-> cancelled

A run whose schedule is removed or disabled is cancelled while it is pending; once a poller was
asked, it ends as it would.

After a change of leader nobody hears what the old leader's pollers find. The sweep times every open
attempt out; it is retried as any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from coord.polling.records import JobRecord, JobState

FIRST_BACKOFF_MS = 500
MAX_BACKOFF_MS = 30_000


class JobEvent(StrEnum):
    """What happens to a job.

    ASSIGN: a poller is chosen. SEND: it is asked. COMPLETE: it answered. FAIL: there is no answer
    to be had. TIME_OUT: none came in time. CANCEL: it is called off. RETRY: try once more.
    """

    ASSIGN = "assign"
    SEND = "send"
    COMPLETE = "complete"
    FAIL = "fail"
    TIME_OUT = "time_out"
    CANCEL = "cancel"
    RETRY = "retry"


TRANSITIONS: Mapping[tuple[JobState, JobEvent], JobState] = MappingProxyType(
    {
        (JobState.PENDING, JobEvent.ASSIGN): JobState.DISPATCHING,
        (JobState.PENDING, JobEvent.FAIL): JobState.FAILED,
        (JobState.PENDING, JobEvent.TIME_OUT): JobState.TIMED_OUT,
        (JobState.PENDING, JobEvent.CANCEL): JobState.CANCELLED,
        (JobState.DISPATCHING, JobEvent.SEND): JobState.RUNNING,
        (JobState.DISPATCHING, JobEvent.FAIL): JobState.FAILED,
        (JobState.DISPATCHING, JobEvent.TIME_OUT): JobState.TIMED_OUT,
        (JobState.DISPATCHING, JobEvent.CANCEL): JobState.CANCELLED,
        (JobState.RUNNING, JobEvent.COMPLETE): JobState.COMPLETED,
        (JobState.RUNNING, JobEvent.FAIL): JobState.FAILED,
        (JobState.RUNNING, JobEvent.TIME_OUT): JobState.TIMED_OUT,
        (JobState.RUNNING, JobEvent.CANCEL): JobState.CANCELLED,
        (JobState.FAILED, JobEvent.RETRY): JobState.PENDING,
        (JobState.TIMED_OUT, JobEvent.RETRY): JobState.PENDING,
    }
)
"""Every transition there is. What is not here must not happen."""

OPEN = frozenset({JobState.PENDING, JobState.DISPATCHING, JobState.RUNNING})
"""The states in which something is still to come."""


class JobTransitionError(Exception):
    """An event that the table does not allow in that state: a mistake in the caller."""

    def __init__(self, job: str, state: JobState, event: JobEvent) -> None:
        super().__init__(f"job {job}: {event.value} is not allowed while {state.value}")
        self.job = job
        self.state = state
        self.event = event


def advance(job: JobRecord, event: JobEvent, **changes: Any) -> JobRecord:
    """The job after `event`, with `changes` to other fields. A retry counts the attempt up.

    Raises:
        JobTransitionError: the table has no such transition.
    """
    state = TRANSITIONS.get((job.state, event))
    if state is None:
        raise JobTransitionError(job.id, job.state, event)
    if event is JobEvent.RETRY:
        changes = {"attempt": job.attempt + 1, "poller": "", **changes}
    return job.model_copy(update={"state": state, **changes})


def may_retry(job: JobRecord, *, max_retries: int, in_time: bool) -> bool:
    """Whether another attempt makes sense.

    in_time: the run is still wanted: its schedule is there and enabled, and the next run is not
        due, which is worth more.
    """
    return in_time and job.attempt <= max_retries


def backoff_ms(attempt: int, *, interval_ms: int, chance: float) -> int:
    """How long a run waits after that attempt before it is tried again, in milliseconds.

    Twice as long each time, up to `MAX_BACKOFF_MS` and a tenth of the interval; of that, by
    `chance` (0 to 1), from a half to the whole, so that what failed together is not retried
    together.
    """
    doubled = FIRST_BACKOFF_MS << (attempt - 1)
    longest = min(doubled, MAX_BACKOFF_MS, interval_ms // 10)
    return round(longest * (1 + chance) / 2)


def sweep(job: JobRecord, *, term: int) -> JobRecord:
    """A job found in Consul at takeover by the leader of `term`: timed out, whatever it was."""
    if job.state in OPEN:
        return advance(job, JobEvent.TIME_OUT, term=term)
    # Finished jobs leave Consul together with writing their result: one found here was edited in.
    return job.model_copy(update={"state": JobState.TIMED_OUT, "term": term})
