"""Who led when, how it ended and who asked; what operators did; the events of the journal."""

from coord.history.assemble import tenures
from coord.history.model import (
    BEGUN,
    Asked,
    AuditEntry,
    Gap,
    History,
    Note,
    Tenure,
    Until,
)
from coord.history.read import audit_entries, read_audit, read_history

__all__ = [
    "BEGUN",
    "Asked",
    "AuditEntry",
    "Gap",
    "History",
    "Note",
    "Tenure",
    "Until",
    "audit_entries",
    "read_audit",
    "read_history",
    "tenures",
]
