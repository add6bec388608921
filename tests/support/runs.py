"""A run of a poll that ended, as sinks get it."""

from __future__ import annotations

from typing import Any

from coord.polling.records import CheckResult, JobState
from coord.polling.sinks import FinishedRun

UP = CheckResult(kind="tcp", target="127.0.0.1:9", ok=True, latency_ms=1.5)


def finished_run(**changes: Any) -> FinishedRun:
    """One that says up."""
    fields: dict[str, Any] = {
        "election": "coordinator",
        "term": 7,
        "schedule": "web",
        "name": "The site",
        "job": "web.1",
        "attempt": 1,
        "outcome": "up",
        "state": JobState.COMPLETED,
        "poller": "poller-1",
        "asked": False,
        "due_ms": 1_000,
        "dispatched_ms": 1_005,
        "finished_ms": 1_045,
        "lag_ms": 5,
        "took_ms": 40,
        "missed": 0,
        "checks": (UP,),
    }
    return FinishedRun(**fields | changes)
