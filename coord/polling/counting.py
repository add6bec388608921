"""The result of a run, and the counters of its schedule. PURE."""

from __future__ import annotations

from coord.polling.records import (
    MAX_COUNT,
    CheckResult,
    JobRecord,
    JobState,
    PollError,
    PollReply,
    ResultRecord,
)


def counted(
    job: JobRecord,
    outcome: PollReply | PollError | None,
    last: ResultRecord | None,
    *,
    wall_ms: int,
    due_ms: int,
    since_ms: int = 0,
) -> ResultRecord:
    """How a job ended, and its schedule's counters with it.

    outcome: what a poller found, or why none did; None: it was cancelled.
    last: the result before. due_ms: up to when all runs that were due are accounted for.
    since_ms: no run of the schedule was due before.
    """
    checks: tuple[CheckResult, ...] = ()
    error: PollError | None = None
    if isinstance(outcome, PollReply):
        checks = outcome.results
    else:
        error = outcome
    sent_ms = job.dispatched_ms
    result = ResultRecord(
        schedule=job.schedule,
        job=job.id,
        attempt=job.attempt,
        term=job.term,
        state=job.state,
        ok=all(check.ok for check in checks) if checks else None,
        error=error,
        poller=job.poller,
        due_ms=due_ms,
        finished_ms=wall_ms,
        lag_ms=max(0, sent_ms - max(job.due_ms, since_ms)) if sent_ms else 0,
        took_ms=max(0, wall_ms - sent_ms) if sent_ms else 0,
        checks=checks,
    )
    before = last or result
    more = {
        "runs": 1,
        "missed": job.missed,
        "retried": job.attempt - 1,
        "timed_out": int(job.state is JobState.TIMED_OUT),
        "failed": int(job.state is JobState.FAILED),
        "cancelled": int(job.state is JobState.CANCELLED),
        "asked_runs": int(job.asked is not None),
    }
    # No more than is read back, whatever somebody wrote into the result before.
    counts = {name: min(getattr(before, name) + by, MAX_COUNT) for name, by in more.items()}
    return result.model_copy(update={**counts, "asked": job.asked or before.asked})
