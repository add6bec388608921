"""What the leader knows of schedules, open jobs and last results; decides what is due. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter

from coord.polling import schedules as slots
from coord.polling.counting import counted
from coord.polling.jobs import OPEN, JobEvent, advance, backoff_ms, may_retry, sweep
from coord.polling.records import (
    AskedRecord,
    JobRecord,
    JobState,
    PollError,
    PollReply,
    ResultRecord,
    ScheduleRecord,
)
from coord.polling.requests import ASKED_WITHIN_MS, Ask


@dataclass(frozen=True, slots=True)
class DueRun:
    """A run to start: a new job, or one that is tried again, rather not by those in `tried`.

    ask: what asks for it, if it still stands in Consul.
    """

    schedule: ScheduleRecord
    job: JobRecord
    tried: frozenset[str] = frozenset()
    ask: Ask | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that is to be tried again.

    last: as its last attempt ended, with that `error`, at the node `poller`.
    tried: the service ids of all pollers that were tried.
    from_ms: when it may be tried again.
    """

    job: JobRecord
    last: JobRecord
    error: PollError
    poller: str | None
    tried: frozenset[str]
    from_ms: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended. poller: the node that was asked last."""

    job: JobRecord
    result: ResultRecord
    poller: str | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """What is due of a schedule, found out once for its slot: most of the time it is the same.

    from_ms: when it was found out: a clock that was set back is before that. until_ms: the end.
    number: of the slot, in the id of its job. due: None: nothing.
    """

    from_ms: int
    until_ms: int
    number: int
    due: slots.Due | None


class Book:
    """The leader's memory under one term.

    Attributes:
        schedules: by id, as last read.
        unreadable: the ids of those that are there and cannot be read.
        results: last results by schedule.
        open: open jobs by schedule: at most one each.
        waiting: jobs that are to be tried again, by schedule and whether they were asked for.
        asked: requests for a run, by schedule.
        swept: how the runs ended that were given up at takeover.
    """

    def __init__(self, term: int) -> None:
        self._term = term
        self.schedules: dict[str, ScheduleRecord] = {}
        self.unreadable: frozenset[str] = frozenset()
        self.results: dict[str, ResultRecord] = {}
        self.open: dict[str, JobRecord] = {}
        self.waiting: dict[tuple[str, bool], Waiting] = {}
        self.asked: dict[str, Ask] = {}
        self.swept: list[Ended] = []
        self._taken: set[str] = set()
        """Requests that were taken up, as long as they are seen."""
        self._slots: dict[str, Slot] = {}

    def enter_schedules(
        self, schedules: dict[str, ScheduleRecord], unreadable: frozenset[str] = frozenset()
    ) -> None:
        """These are the schedules now, and the ids of those that cannot be read."""
        self.schedules, self.unreadable = schedules, unreadable
        self._slots.clear()

    def has(self, schedule_id: str) -> bool:
        """Whether there is such a schedule, readable or not."""
        return schedule_id in self.schedules or schedule_id in self.unreadable

    def forget_removed(self) -> list[str]:
        """Forget the results of schedules that are gone; gives the ids of these."""
        gone = [schedule_id for schedule_id in self.results if not self.has(schedule_id)]
        for schedule_id in gone:
            del self.results[schedule_id]
        return gone

    def slot_due_ms(self, schedule_id: str, wall_ms: int) -> int | None:
        """When the schedule's present run was due; None if it is gone or disabled."""
        schedule = self.schedules.get(schedule_id)
        if schedule is None or not schedule.enabled:
            return None
        phase = slots.phase_ms(schedule.id, schedule.interval_ms)
        return slots.slot_start_ms(wall_ms, schedule.interval_ms, phase)

    def _is_wanted(self, job: JobRecord) -> bool:
        schedule = self.schedules.get(job.schedule)
        return schedule is not None and (schedule.enabled or job.asked is not None)

    def _in_time(self, job: JobRecord, wall_ms: int) -> bool:
        if job.asked is not None:
            return self._is_wanted(job) and wall_ms - job.due_ms < ASKED_WITHIN_MS
        return job.due_ms == self.slot_due_ms(job.schedule, wall_ms)

    # --- what is asked for ---

    def enter_asked(self, found: Mapping[str, tuple[AskedRecord, int]], wall_ms: int) -> None:
        """These requests stand in Consul now, by schedule, with their ModifyIndex."""
        self._taken &= {record.request_id for record, _ in found.values()}
        before = {ask.record.request_id: ask.seen_ms for ask in self.asked.values()}
        self.asked = {
            schedule_id: Ask(record, index, before.get(record.request_id, wall_ms))
            for schedule_id, (record, index) in found.items()
            if record.request_id not in self._taken
        }

    def forget_late_asks(self, wall_ms: int) -> list[Ask]:
        """Forget what was asked too long ago, or of schedules that are not there; gives it."""
        late = [a for id_, a in self.asked.items() if a.is_late(wall_ms, known=self.has(id_))]
        for ask in late:
            del self.asked[ask.record.schedule]
        return late

    # --- what others left, and what is tried again ---

    def sweep(self, jobs: Iterable[JobRecord], wall_ms: int) -> list[JobRecord]:
        """Decide on the jobs found at takeover; gives those that are given up.

        The results of these are entered, and the others are due again, as another attempt.

        A job whose run is counted already is given up and not counted again: the request that
        wrote it was late, and landed once more after the run had its result, or was recorded as
        missed. A result accounts for every slot up to its own, an open job for every one before.
        """
        given_up: list[JobRecord] = []
        newer: set[str] = set()
        for job in sorted(jobs, key=lambda job: (job.asked is not None, -job.due_ms)):
            last = self.results.get(job.schedule)
            if job.asked is not None:
                counted = last is not None and last.asked == job.asked
            else:
                counted = job.schedule in newer or (last is not None and last.due_ms >= job.due_ms)
                newer.add(job.schedule)
            swept = sweep(job, term=self._term)
            tried = frozenset({job.poller} - {""})
            if not counted and self.retry(swept, PollError.LEADER_LOST, tried, wall_ms):
                continue
            given_up.append(swept)
            if not counted:
                result = self.end(swept, PollError.LEADER_LOST, wall_ms)
                self.swept.append(Ended(swept, result))
        return given_up

    def retry(
        self,
        last: JobRecord,
        error: PollError,
        tried: frozenset[str],
        wall_ms: int,
        *,
        poller: str | None = None,
        chance: float | None = None,
    ) -> bool:
        """Let a job whose attempt failed or timed out wait to be tried again.

        tried: the service ids of all pollers that were. poller: the node that was asked last.
        chance: from 0 to 1, spreads what waits; None: it need not wait.

        Returns:
            Whether it waits, and is open no more; False: nothing is changed.
        """
        schedule = self.schedules.get(last.schedule)
        if schedule is None or not may_retry(
            last, max_retries=schedule.max_retries, in_time=self._in_time(last, wall_ms)
        ):
            return False
        from_ms = wall_ms
        if chance is not None:
            interval_ms = schedule.interval_ms
            from_ms += backoff_ms(last.attempt, interval_ms=interval_ms, chance=chance)
        job = advance(last, JobEvent.RETRY, term=self._term)
        self.waiting[_line(job)] = Waiting(job, last, error, poller, tried, from_ms)
        self.close(last)
        return True

    def give_up(self, wall_ms: int) -> list[Ended]:
        """End what waits to be tried again and is not wanted any more.

        A run of a schedule that is removed or disabled is cancelled; one that found no room before
        its time was over ends as its last attempt did.
        """
        ended = []
        late = [w for w in self.waiting.values() if not self._in_time(w.job, wall_ms)]
        for waiting in late:
            job, last = waiting.job, waiting.last
            del self.waiting[_line(job)]
            outcome: PollError | None = waiting.error
            if not self._is_wanted(job):
                # The attempt that it would have been was not made.
                made = {"attempt": last.attempt, "poller": last.poller}
                last, outcome = advance(job, JobEvent.CANCEL, **made), None
            ended.append(Ended(last, self.end(last, outcome, wall_ms), waiting.poller))
        return ended

    # --- what is due ---

    def due(self, wall_ms: int) -> Iterator[DueRun]:
        """The runs to start now; what is open is not due.

        What was asked for comes first, then those of the highest priority, and of these the longest
        due. Made as they are taken: where there is room for few, there are few.
        """
        out_of_turn = {schedule_id for schedule_id, _ in self.waiting} | self.asked.keys()
        found: list[tuple[tuple[bool, int, int, str], DueRun | Slot]] = []
        for id_, schedule in self.schedules.items():
            if id_ in self.open:
                continue
            run = self._out_of_turn(schedule, wall_ms) if id_ in out_of_turn else None
            if run is not None:
                rank = (run.job.asked is None, -schedule.priority, run.job.due_ms, id_)
                found.append((rank, run))
            elif (slot := self.in_turn(schedule, wall_ms)) and slot.due is not None:
                found.append(((True, -schedule.priority, slot.due.due_ms, id_), slot))
        found.sort(key=itemgetter(0))
        for (_, _, _, id_), each in found:
            yield each if isinstance(each, DueRun) else self._run(self.schedules[id_], each)

    def _out_of_turn(self, schedule: ScheduleRecord, wall_ms: int) -> DueRun | None:
        for asked in (True, False):
            waiting = self.waiting.get((schedule.id, asked))
            if waiting is not None and waiting.from_ms <= wall_ms and self._is_wanted(waiting.job):
                return DueRun(schedule, waiting.job, waiting.tried)
        ask = self.asked.get(schedule.id)
        if ask is not None and (schedule.id, True) not in self.waiting:
            job = JobRecord(
                id=ask.record.job,
                schedule=schedule.id,
                term=self._term,
                due_ms=ask.seen_ms,
                asked=ask.record.request_id,
            )
            return DueRun(schedule, job, ask=ask)
        return None

    def in_turn(self, schedule: ScheduleRecord, wall_ms: int) -> Slot | None:
        """Its present slot; None: it is disabled, or a run of it waits to be tried again."""
        if not schedule.enabled or (schedule.id, False) in self.waiting:
            return None
        return self._slot(schedule, wall_ms)

    def _slot(self, schedule: ScheduleRecord, wall_ms: int) -> Slot:
        slot = self._slots.get(schedule.id)
        if slot is not None and slot.from_ms <= wall_ms < slot.until_ms:
            return slot
        interval_ms = schedule.interval_ms
        phase = slots.phase_ms(schedule.id, interval_ms)
        last = self.results.get(schedule.id)
        due = slots.due(
            wall_ms=wall_ms,
            interval_ms=interval_ms,
            phase=phase,
            last_due_ms=None if last is None else last.due_ms,
            since_ms=schedule.since_ms,
        )
        until_ms = slots.next_due_ms(wall_ms, interval_ms, phase)
        slot = Slot(wall_ms, until_ms, (until_ms - phase) // interval_ms - 1, due)
        self._slots[schedule.id] = slot
        return slot

    def _run(self, schedule: ScheduleRecord, slot: Slot) -> DueRun:
        assert slot.due is not None
        life = f"{schedule.since_ms:x}-" if schedule.since_ms else ""
        job = JobRecord(
            id=f"{schedule.id}.{life}{slot.number}",
            schedule=schedule.id,
            term=self._term,
            due_ms=slot.due.due_ms,
            missed=slot.due.missed,
        )
        return DueRun(schedule, job)

    def next_due_ms(self, wall_ms: int) -> int | None:
        """When the next slot of any schedule begins, or one that waits may be tried again.

        None: there is none.
        """
        slots_begin = (
            self._slot(schedule, wall_ms).until_ms
            for schedule in self.schedules.values()
            if schedule.enabled
        )
        waits = (w.from_ms for w in self.waiting.values() if w.from_ms > wall_ms)
        return min(chain(slots_begin, waits), default=None)

    # --- told ---

    def count_jobs(self, wall_ms: int) -> dict[JobState, int]:
        """How many jobs there are in each state of `OPEN`; pending also: due, and not started."""
        counts = dict.fromkeys(sorted(OPEN), 0)
        for job in self.open.values():
            counts[job.state] += 1
        idle = (each for id_, each in self.schedules.items() if id_ not in self.open)
        slots_now = (self.in_turn(each, wall_ms) for each in idle)
        due = sum(slot is not None and slot.due is not None for slot in slots_now)
        counts[JobState.PENDING] += len(self.waiting) + len(self.asked) + due
        return counts

    # --- one run ---

    def start(self, run: DueRun) -> None:
        """This run is being made."""
        self.waiting.pop(_line(run.job), None)
        if run.ask is not None:
            self._taken.add(run.ask.record.request_id)
            del self.asked[run.schedule.id]
        self.open[run.schedule.id] = run.job

    def close(self, job: JobRecord) -> None:
        """This job is open no more."""
        self.open.pop(job.schedule, None)

    def end(
        self, job: JobRecord, outcome: PollReply | PollError | None, wall_ms: int
    ) -> ResultRecord:
        """Count how a job ended; it is its schedule's last result, if there still is one.

        outcome: None: it was cancelled.
        """
        last = self.results.get(job.schedule)
        due_ms = self._settled_ms(job, wall_ms)
        since_ms = s.since_ms if (s := self.schedules.get(job.schedule)) else 0
        how = {"wall_ms": wall_ms, "due_ms": due_ms, "since_ms": since_ms}
        result = counted(job, outcome, last, **how)
        if self.has(job.schedule):
            self.results[job.schedule] = result
            self._slots.pop(job.schedule, None)
        return result

    def _settled_ms(self, job: JobRecord, wall_ms: int) -> int:
        """Up to when a job accounts for all runs; one that was asked for does for none."""
        schedule, last = self.schedules.get(job.schedule), self.results.get(job.schedule)
        if job.asked is None or schedule is None:
            return job.due_ms
        if last is not None:
            return last.due_ms
        interval_ms = schedule.interval_ms
        return slots.settled_ms(
            wall_ms=wall_ms,
            interval_ms=interval_ms,
            phase=slots.phase_ms(schedule.id, interval_ms),
            since_ms=schedule.since_ms,
        )


def _line(job: JobRecord) -> tuple[str, bool]:
    return job.schedule, job.asked is not None
