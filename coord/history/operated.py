"""What operators did, by the audit, to end a leadership. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coord.election.reasons import Cause
from coord.operations import AuditEntry
from coord.records import AuditRecord
from coord.status.words import ms_of

FORCED_ENDS = (Cause.RELEASED_BY_HAND, Cause.SESSION_INVALIDATED)
"""How the end of a leadership looks to the candidates that an operator ended by force."""

FORCE = "force_release"
"""The operation that ends a leadership by force, as the audit calls it."""

_CHANGES_LEADER = ("step_down", "transfer", FORCE)
_ENDS_A_TENURE = (*_CHANGES_LEADER, "drain")
_NEVER_BEGUN = ("refused", "not_permitted", "unreachable")
_CAME_TO_SOMETHING = ("done", "fell_back", "came_back", "no_successor", "not_working")


def operations_of(audit: Sequence[AuditEntry]) -> list[AuditRecord]:
    """What can be read of the audit, each once, the earliest first."""
    once = {entry.key: entry.record for entry in audit if entry.record is not None}
    return sorted(once.values(), key=lambda record: ms_of(record.at))


def took_place(record: AuditRecord) -> bool:
    """Whether an operation changed anything, as far as the audit tells."""
    return record.outcome not in _NEVER_BEGUN


def concerns(record: AuditRecord, term: int, node: str) -> bool:
    """Whether an operator meant to end the leadership of that node under that term."""
    meant = record.expected_term == term and record.node in ("", node)
    return meant and record.operation in _ENDS_A_TENURE


def forces(record: AuditRecord, term: int, node: str, cause: Cause | None) -> bool:
    """Whether an operator ended it by force, given how its end looked.

    Who saw that force was asked for as the session went says RELEASED_BY_HAND. With any other
    word the operation itself must have seen the leader go.
    """
    if record.operation != FORCE or not concerns(record, term, node):
        return False
    if cause is Cause.RELEASED_BY_HAND:
        return took_place(record)
    return record.outcome in _CAME_TO_SOMETHING


def asked_for(
    audit: Iterable[AuditRecord], term: int, *, before: tuple[int, str], cause: Cause | None
) -> AuditRecord | None:
    """The operation by which the leader of that term came; None: no operator had a part in it.

    before: the term and the node that led before. cause: how that ended, as candidates tell.
    """
    for record in audit:
        changes = record.operation in _CHANGES_LEADER and record.outcome in _CAME_TO_SOMETHING
        if (changes and record.new_term == term) or forces(record, *before, cause):
            return record
    return None
