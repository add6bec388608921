"""What the leader knows of schedules, open jobs and last results; decides what is due. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coord.polling import schedules as slots
from coord.polling.jobs import JobEvent, advance, sweep
from coord.polling.records import (
    CheckResult,
    JobRecord,
    JobState,
    PollError,
    PollReply,
    ResultRecord,
    ScheduleRecord,
)


@dataclass(frozen=True, slots=True)
class DueRun:
    """A run to start: a new job, or one that is tried again."""

    schedule: ScheduleRecord
    job: JobRecord


class Book:
    """The leader's memory under one term.

    Attributes:
        schedules: by id, as last read.
        results: last results by schedule.
        open: open jobs by schedule: at most one each.
        retries: jobs of the last leader that are tried again, by schedule.
    """

    def __init__(self, term: int) -> None:
        self._term = term
        self.schedules: dict[str, ScheduleRecord] = {}
        self.results: dict[str, ResultRecord] = {}
        self.open: dict[str, JobRecord] = {}
        self.retries: dict[str, JobRecord] = {}

    def slot_due_ms(self, schedule_id: str, wall_ms: int) -> int | None:
        """When the schedule's present run was due; None if it is gone or disabled."""
        schedule = self.schedules.get(schedule_id)
        if schedule is None or not schedule.enabled:
            return None
        phase = slots.phase_ms(schedule.id, schedule.interval_ms)
        return slots.slot_start_ms(wall_ms, schedule.interval_ms, phase)

    def sweep(self, jobs: Iterable[JobRecord], wall_ms: int) -> list[JobRecord]:
        """Decide on the jobs found at takeover; gives those that are given up.

        The results of these are entered, and the others are due again.

        A job whose run is counted already is given up and not counted again: the request that
        wrote it was late, and landed once more after the run had its result, or was recorded as
        missed. A result accounts for every slot up to its own, an open job for every one before.
        """
        given_up: list[JobRecord] = []
        newer: set[str] = set()
        for job in sorted(jobs, key=lambda job: job.due_ms, reverse=True):
            last = self.results.get(job.schedule)
            counted = job.schedule in newer or (last is not None and last.due_ms >= job.due_ms)
            newer.add(job.schedule)
            slot = None if counted else self.slot_due_ms(job.schedule, wall_ms)
            swept = sweep(job, term=self._term, slot_due_ms=slot)
            if swept.retried:
                self.retries[job.schedule] = swept.job
                continue
            given_up.append(swept.job)
            if not counted:
                self.end(swept.job, PollError.LEADER_LOST, wall_ms)
        return given_up

    def expire(self, wall_ms: int) -> list[JobRecord]:
        """Give up what was to be tried again and found no room before its slot was over."""
        late = [
            job
            for job in self.retries.values()
            if job.due_ms != self.slot_due_ms(job.schedule, wall_ms)
        ]
        expired = []
        for job in late:
            del self.retries[job.schedule]
            # The attempt that it would have been was not made.
            ended = advance(job, JobEvent.TIME_OUT, attempt=max(1, job.attempt - 1))
            self.end(ended, PollError.LEADER_LOST, wall_ms)
            expired.append(ended)
        return expired

    def due(self, wall_ms: int) -> list[DueRun]:
        """The runs to start now, the longest due first; what is open is not due."""
        runs = [run for s in self.schedules.values() if (run := self._due(s, wall_ms))]
        runs.sort(key=lambda run: (run.job.due_ms, run.job.id))
        return runs

    def _due(self, schedule: ScheduleRecord, wall_ms: int) -> DueRun | None:
        if not schedule.enabled or schedule.id in self.open:
            return None
        interval_ms = schedule.interval_ms
        phase = slots.phase_ms(schedule.id, interval_ms)
        retry = self.retries.get(schedule.id)
        if retry is not None:
            return DueRun(schedule, retry)
        last = self.results.get(schedule.id)
        due = slots.due(
            wall_ms=wall_ms,
            interval_ms=interval_ms,
            phase=phase,
            last_due_ms=None if last is None else last.due_ms,
            since_ms=schedule.since_ms,
        )
        if due is None:
            return None
        slot = (due.due_ms - phase) // interval_ms
        job = JobRecord(
            id=f"{schedule.id}.{slot}",
            schedule=schedule.id,
            term=self._term,
            due_ms=due.due_ms,
            missed=due.missed,
        )
        return DueRun(schedule, job)

    def next_due_ms(self, wall_ms: int) -> int | None:
        """When the next slot of any schedule begins; None if none is enabled."""
        return min(
            (
                slots.next_due_ms(wall_ms, s.interval_ms, slots.phase_ms(s.id, s.interval_ms))
                for s in self.schedules.values()
                if s.enabled
            ),
            default=None,
        )

    def start(self, run: DueRun) -> None:
        """This run is being made."""
        self.retries.pop(run.schedule.id, None)
        self.open[run.schedule.id] = run.job

    def close(self, job: JobRecord) -> None:
        """This job is open no more."""
        self.open.pop(job.schedule, None)

    def end(self, job: JobRecord, outcome: PollReply | PollError, wall_ms: int) -> ResultRecord:
        """Enter how a job ended as its schedule's last result, and count it."""
        last = self.results.get(job.schedule)
        result = _result(job, outcome, wall_ms)
        before = last or result
        result = result.model_copy(
            update={
                "runs": before.runs + 1,
                "missed": before.missed + job.missed,
                "retried": before.retried + job.attempt - 1,
                "timed_out": before.timed_out + (job.state is JobState.TIMED_OUT),
                "failed": before.failed + (job.state is JobState.FAILED),
            }
        )
        self.results[job.schedule] = result
        return result


def _result(job: JobRecord, outcome: PollReply | PollError, wall_ms: int) -> ResultRecord:
    checks: tuple[CheckResult, ...] = ()
    error: PollError | None = None
    if isinstance(outcome, PollReply):
        checks = outcome.results
    else:
        error = outcome
    sent_ms = job.dispatched_ms
    return ResultRecord(
        schedule=job.schedule,
        job=job.id,
        attempt=job.attempt,
        term=job.term,
        state=job.state,
        ok=all(check.ok for check in checks) if checks else None,
        error=error,
        poller=job.poller,
        due_ms=job.due_ms,
        finished_ms=wall_ms,
        lag_ms=max(0, sent_ms - job.due_ms) if sent_ms else 0,
        took_ms=max(0, wall_ms - sent_ms) if sent_ms else 0,
        checks=checks,
    )
