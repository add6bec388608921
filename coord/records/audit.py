"""What operators did: one entry for each operation, with who, why and what came of it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from coord.records.base import Moment, Name, Record, Term
from coord.records.control import MAX_PAUSE_MS, Actor, Reason, RequestId
from coord.records.paths import Paths


class AuditRecord(Record):
    """One operation.

    operation: step_down, transfer, force_release, pause, resume, drain, undrain, purge; doctor_fix
        for what `coord doctor --fix` took away; schedule_add and others for `coord schedule add`.
    node: whom it concerns: who led, who is drained; "" for all else.
    to: whom a transfer names.
    expected_term: the term that it was decided on; 0 where it concerns none.
    outcome: "begun" until it is known; then a word of `coord.operations.Outcome`. Of schedules:
        done; asked, for a run; partly, or unknown, where Consul did not take all of it.
    detail: what came of it, in a sentence.
    at, finished_at: UTC, by the operator's clock.
    for_ms: for how long a pause was asked, in milliseconds; None for all else.
    new_leader, new_term, gap_ms: who leads since, and how long nobody worked, where known.
    """

    KIND: ClassVar[str] = "audit entry"

    operation: str = Field(min_length=1, max_length=64)
    node: Name = ""
    to: Name = ""
    actor: Actor
    reason: Reason
    request_id: RequestId
    at: Moment
    expected_term: Term = 0
    outcome: str = Field(default="begun", max_length=64)
    detail: str = Field(default="", max_length=1000)
    finished_at: Moment | None = None
    for_ms: Annotated[int, Field(ge=1, le=MAX_PAUSE_MS, strict=True)] | None = None
    new_leader: Name = ""
    new_term: Term = 0
    gap_ms: int | None = Field(default=None, ge=0, le=10**10)

    def key(self, paths: Paths) -> str:
        """Where it stands: names sort by time, and a later write of the same operation is its."""
        return f"{paths.audit}{round(self.at.timestamp() * 1000):013d}-{self.request_id}"
