"""What operators do to an election: seen beforehand, done, followed to its end, written down.

Through Consul alone: no way to a node's port is needed, and Consul's rights say who may.

    seen = await look(consul, paths, clock=clock)
    plan = preview(seen.status, seen.controls, ask, timing, polls_running=seen.polls_running)
    if isinstance(plan, Preview):
        async with aclosing(perform(consul, plan, clock=clock)) as items:
            async for item in items:  # Step, Step, …, Outcome

`preview` decides on one snapshot and changes nothing. `perform` writes only while the versions
that the preview was decided on still stand, in one transaction with the audit's entry, and waits
for what comes of it.
"""

from coord.operations.asks import DEFAULT_PAUSE_S, Ask, Operation, new_request_id
from coord.operations.audit import AuditEntry, read_audit
from coord.operations.look import Looked, look
from coord.operations.model import (
    Caution,
    Gap,
    Leading,
    Phase,
    PhaseName,
    Preview,
    RefusalCode,
    Refused,
    Source,
    Successor,
    Waits,
    WarningCode,
)
from coord.operations.outcomes import (
    GapSource,
    Outcome,
    OutcomeWord,
    Step,
    StepKind,
    to_dict,
)
from coord.operations.perform import perform
from coord.operations.preview import preview
from coord.operations.who import whoami

__all__ = [
    "DEFAULT_PAUSE_S",
    "Ask",
    "AuditEntry",
    "Caution",
    "Gap",
    "GapSource",
    "Leading",
    "Looked",
    "Operation",
    "Outcome",
    "OutcomeWord",
    "Phase",
    "PhaseName",
    "Preview",
    "RefusalCode",
    "Refused",
    "Source",
    "Step",
    "StepKind",
    "Successor",
    "Waits",
    "WarningCode",
    "look",
    "new_request_id",
    "perform",
    "preview",
    "read_audit",
    "to_dict",
    "whoami",
]
