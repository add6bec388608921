"""What is asked before something is done, and what is wrong with what was typed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from coord.operations import Ask, Operation, Preview
from coord.operations.confirming import asked_name, confirms, parse_for
from coord.records import MAX_PAUSE_MS, MAX_REASON, check_name

LONGEST_S = MAX_PAUSE_MS / 1000
"""How long a pause lasts for which no length is given: until somebody ends it, or this long."""


class Field(StrEnum):
    """What can be typed."""

    NODE = "node"
    FOR = "for"
    NAME = "name"
    REASON = "reason"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and with what."""

    field: Field
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What was typed so far. for_: how long to pause."""

    node: str = ""
    for_: str = ""
    name: str = ""
    reason: str = ""


HINTS = {
    Field.NODE: "its name, as in the list of nodes",
    Field.FOR: "90s, 30m, 2h; empty: until somebody resumes, 24 hours at most",
    Field.REASON: f"why: it stands in the audit; at most {MAX_REASON} characters",
}
"""What is said where nothing is typed yet."""


def fields_of(operation: Operation) -> tuple[Field, ...]:
    """What is asked once it is known what would be done."""
    if operation is Operation.PAUSE:
        return (Field.FOR, Field.REASON)
    if operation is Operation.FORCE_RELEASE:
        return (Field.NAME, Field.REASON)
    return (Field.REASON,)


def node_problem(typed: str) -> Problem | None:
    """Why no node can be called that."""
    try:
        check_name("node", typed)
    except ValueError as error:
        return Problem(Field.NODE, str(error))
    return None


def for_s(typed: str) -> float:
    """How long to pause, in seconds.

    Raises:
        ValueError: that is no length of a pause.
    """
    if not typed.strip():
        return LONGEST_S
    seconds = parse_for(typed)
    if not 0.001 <= seconds <= LONGEST_S:
        raise ValueError("it must be from 1 ms to 24 hours")
    return seconds


def for_problem(typed: str) -> Problem | None:
    """Why no pause can be that long."""
    try:
        for_s(typed)
    except ValueError as error:
        return Problem(Field.FOR, f"for: {error}")
    return None


def problem_of(plan: Preview, typed: Typed) -> Problem | None:
    """What is wrong with what was typed, from the top; None: it can be done."""
    operation = plan.ask.operation
    if operation is Operation.PAUSE and (wrong := for_problem(typed.for_)):
        return wrong
    if plan.confirm_name and not confirms(plan, typed.name):
        return Problem(Field.NAME, f"name: type {asked_name(plan)}, to show that it is meant")
    return reason_problem(plan.ask, typed.reason)


def reason_problem(ask: Ask, typed: str) -> Problem | None:
    """Why that is no reason to be kept."""
    try:
        replace(ask, reason=typed.strip())
    except ValueError as error:
        return Problem(Field.REASON, str(error))
    return None
