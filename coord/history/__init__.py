"""Who led when, how it ended and who asked; what operators did; the events of the journal."""

from coord.history.assemble import tenures
from coord.history.model import (
    Asked,
    Gap,
    History,
    Note,
    Pause,
    PauseEnd,
    Suspension,
    Tenure,
    Until,
    Vacant,
)
from coord.history.read import Past, read_audit, read_history, read_past

__all__ = [
    "Asked",
    "Gap",
    "History",
    "Note",
    "Past",
    "Pause",
    "PauseEnd",
    "Suspension",
    "Tenure",
    "Until",
    "Vacant",
    "read_audit",
    "read_history",
    "read_past",
    "tenures",
]
