"""A node that may not lead: visible in the catalog, and it follows who does."""

from __future__ import annotations

from coord.election_loop import ElectionLoop


class Observer(ElectionLoop):
    """Follows the leader and makes no attempt: it has no session to make one with."""
