"""What can go wrong between this process and Consul: four kinds, mapped once.

Refused, unavailable, not permitted and not found are different answers to different questions;
whoever catches one decides by its type and its fields, never by its text.
"""

# The names say which answer it is; an "Error" at the end of each would only add length.
# ruff: noqa: N818

from __future__ import annotations

from enum import StrEnum


class Denied(StrEnum):
    """What is wrong with the token where something is not permitted."""

    NO_TOKEN = "no_token"
    """None was sent."""
    UNREADABLE_FILE = "unreadable_file"
    """The file that holds it cannot be read."""
    UNKNOWN_TOKEN = "unknown_token"
    """Consul knows no such token: it was deleted, has expired, or never was one here."""
    LACKS_RIGHTS = "lacks_rights"
    """Consul knows it, and it may not do this."""


class ConsulError(Exception):
    """Base of everything that a call to Consul raises (besides cancellation).

    operation: method and path, e.g. ``GET /v1/kv/service/x/leader``; never a query or a token.
    detail: what Consul, or the transport, said; for people, not for decisions.
    """

    def __init__(self, operation: str, detail: str) -> None:
        super().__init__(operation, detail)
        self.operation = operation
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.operation}: {self.detail}"


class ConsulRefused(ConsulError):
    """Consul understood the request and says no for good: repeating it changes nothing.

    status: the HTTP status.
    """

    def __init__(self, operation: str, detail: str, *, status: int) -> None:
        super().__init__(operation, detail)
        self.status = status


class ConsulUnavailable(ConsulError):
    """No usable answer: not reached, too late, broken reply, or no Consul leader.

    no_leader: the agent answered, and said that the Consul cluster has no leader.
    outcome_unknown: the request may have been carried out. Always False for a read, and for a
        write that certainly never reached a Consul server.
    status: the HTTP status where there was a reply, else None.
    """

    def __init__(
        self,
        operation: str,
        detail: str,
        *,
        no_leader: bool = False,
        outcome_unknown: bool = False,
        status: int | None = None,
    ) -> None:
        super().__init__(operation, detail)
        self.no_leader = no_leader
        self.outcome_unknown = outcome_unknown
        self.status = status


class ConsulNotPermitted(ConsulError):
    """The token (or its absence) does not allow this. Consul says so with 401, 403 or a 500.

    status: the HTTP status.
    denied: what is wrong with the token.
    """

    def __init__(
        self,
        operation: str,
        detail: str,
        *,
        status: int,
        denied: Denied = Denied.LACKS_RIGHTS,
    ) -> None:
        super().__init__(operation, detail)
        self.status = status
        self.denied = denied


class ConsulNotFound(ConsulError):
    """What the request names does not exist, where absence is not itself an answer."""
