"""What is wrong with a token that may not see all of an election, in words that say what to do.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from coord.consul import Denied
from coord.members import Seen
from coord.records import Paths, is_name
from coord.status.model import ClusterStatus, Condition, TermCondition

WORDS = {
    Denied.NO_TOKEN: "no token is set, and Consul denies what nobody is allowed without one: "
    "set CONSUL_HTTP_TOKEN_FILE or CONSUL_HTTP_TOKEN",
    Denied.UNREADABLE_FILE: "the token's file cannot be read: see CONSUL_HTTP_TOKEN_FILE",
    Denied.UNKNOWN_TOKEN: "Consul does not know this token: it was deleted, has expired, or is "
    "of another Consul",
    Denied.LACKS_RIGHTS: "this token lacks rights",
}
"""What is wrong with a token, and where to set it right."""


def denial(status: ClusterStatus) -> str | None:
    """Why this snapshot does not show all; None if nothing was denied."""
    if status.denied is None:
        return None
    lacking = ", ".join(lacks(status))
    if status.denied is Denied.LACKS_RIGHTS and lacking:
        return f"this token lacks {lacking}"
    return WORDS[status.denied]


def lacks(status: ClusterStatus) -> tuple[str, ...]:
    """The rights without which this snapshot does not show all: ``key:read on …``."""
    if not is_name(status.election):  # out of a recording that somebody made up
        return ()
    return tuple(_lacks(status, Paths(status.election)))


def _lacks(status: ClusterStatus, paths: Paths) -> Iterator[str]:
    if status.leader.condition is Condition.NOT_PERMITTED:
        yield f"key:read on {paths.leader}"
    if status.term.condition is TermCondition.NOT_PERMITTED:
        yield f"key:read on {paths.term}"
    if status.health.seen is Seen.NOT_PERMITTED:
        yield f"key:read on {paths.cluster_health}"
    if status.controls.seen is Seen.NOT_PERMITTED:
        yield f"key:list on {paths.control}"
    if status.candidates.seen is Seen.NOT_PERMITTED:
        yield f"service:read on {paths.candidate_service}"
        yield "node:read"
