"""The screens that there are, in the order of their keys."""

from __future__ import annotations

from enum import StrEnum


class Where(StrEnum):
    """A screen, by its name."""

    DASHBOARD = "dashboard"
    EVENTS = "events"
    SESSIONS = "sessions"
    HEALTH = "health"
    AUDIT = "audit"
    RUNBOOKS = "runbooks"
    POLLS = "polls"

    @property
    def key(self) -> str:
        """The key that goes there."""
        return str(list(Where).index(self) + 1)

    @property
    def label(self) -> str:
        """What it is called."""
        return self.value.capitalize()


def sentence(text: str) -> str:
    """The text with its first letter large, and the others as they are."""
    return text[:1].upper() + text[1:]


SHOWS = {
    Where.DASHBOARD: "who leads, what is wrong, every node",
    Where.EVENTS: "what the nodes tell, as it happens",
    Where.SESSIONS: "the lock, sessions and services as Consul holds them",
    Where.HEALTH: "what ClusterHealth says, and what the doctor finds",
    Where.AUDIT: "what operators did, and why",
    Where.RUNBOOKS: "what to do, step by step",
    Where.POLLS: "what is polled, what was found last, who runs it",
}
"""What each is for."""
