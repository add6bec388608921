"""The events of polling, besides `PollFinished`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from coord.telemetry import Event

POLLS = "serviceradar.polls."


@dataclass(frozen=True, slots=True, kw_only=True)
class PollsSwept(Event):
    """A new leader took over polling, and decided on what the last one had left open.

    retried: runs that are tried again, as another attempt.
    timed_out: runs that were given up.
    unreadable: jobs whose records could not be read; their keys are deleted.
    """

    NAME: ClassVar[str] = "polls_swept"
    EVENT: ClassVar[str] = POLLS + "swept"

    retried: int
    timed_out: int
    unreadable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsMissed(Event):
    """Runs of a schedule were left out: nobody led, or there was no room for them.

    schedule: its id.
    runs: how many in a row.
    """

    NAME: ClassVar[str] = "runs_missed"
    EVENT: ClassVar[str] = POLLS + "missed"
    LEVEL: ClassVar[str] = "debug"
    PERIODIC: ClassVar[bool] = True

    schedule: str
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptBegun(Event):
    """A poller begins with the checks of an attempt; one that is asked for again is not run again.

    job: whose attempt it is. attempt: from 1.
    """

    NAME: ClassVar[str] = "attempt_begun"
    EVENT: ClassVar[str] = POLLS + NAME
    LEVEL: ClassVar[str] = "debug"
    PERIODIC: ClassVar[bool] = True

    job: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordUnreadable(Event):
    """A record of polling cannot be read and is skipped; told once for each version of it.

    key: where it is. field: what in it is wrong, "" for all of it. detail: what is wrong.
    """

    NAME: ClassVar[str] = "poll_record_unreadable"
    EVENT: ClassVar[str] = POLLS + "record_unreadable"
    LEVEL: ClassVar[str] = "warning"

    key: str
    field: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsDropped(Event):
    """A sink of results is too slow or fails: it lost some. Told every 30 s at most.

    sink: which one, as the setting names it.
    dropped: how many results it was too slow for, since this was last told.
    failed: at how many it failed, since then.
    """

    NAME: ClassVar[str] = "poll_results_dropped"
    EVENT: ClassVar[str] = POLLS + "results_dropped"
    LEVEL: ClassVar[str] = "warning"

    sink: str
    dropped: int
    failed: int
