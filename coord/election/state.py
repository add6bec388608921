"""Where a candidate stands: the names alone, apart from the table of what leads where.

Whoever only shows a state needs no more of the election than this.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a candidate stands."""

    JOINING = "joining"
    """No session yet."""
    STANDBY = "standby"
    """Has a session; somebody else leads, or it is not known who does."""
    WAITING = "waiting"
    """The key is vacant; its quarantine, or our turn, is waited for."""
    ACQUIRING = "acquiring"
    """An attempt is under way, or its unknown outcome is being found out."""
    LEADING = "leading"
    """Holds the lock and a lease; the work runs."""
    SUSPENDED = "suspended"
    """The lease ran out; the work stops or has stopped; the lock may still be ours."""
    STEPPING_DOWN = "stepping_down"
    """Giving back: stop, release, destroy."""
    COOLING = "cooling"
    """Stays back for a while after having led."""
    OBSERVER = "observer"
    """May not lead; follows who does."""
    STOPPED = "stopped"
    """Has given everything back."""
