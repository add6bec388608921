"""Silence: what simulated nodes log is no use to a test that has their events."""

from __future__ import annotations

import structlog


def be_quiet() -> None:
    """Drop what the nodes of this process log, but what is critical.

    It replaces structlog's configuration; `structlog.reset_defaults` undoes it.
    """
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("critical"),
        cache_logger_on_first_use=False,
    )
