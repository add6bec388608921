"""What is wrong with the settings: pydantic's findings and broken relations as `Problem`s."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coord.config.fields import TIMING_FIELDS
from coord.config.sources import Layers, Problem, Source, SourceKind, env_name, flag_name
from coord.config.values import InvalidValueError
from coord.election.timing import TimingError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class FieldError(InvalidValueError):
    """A relation between settings does not hold; `field` is the one to change first."""

    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(problem, fix)
        self.field = field


def problem_of(item: ErrorDetails, layers: Layers) -> Problem:
    """What pydantic found, as ours: its type, not its text, says which."""
    error = item.get("ctx", {}).get("error")
    field = str(item["loc"][0]) if item["loc"] else None
    if isinstance(error, TimingError):
        return _timing_problem(error, layers)
    if isinstance(error, FieldError):
        return Problem(error.field, set_source(error.field, layers), error.problem, error.fix)
    source = set_source(field, layers) if field else None
    if isinstance(error, InvalidValueError):
        return Problem(field, source, error.problem, error.fix)
    return Problem(field, source, item["msg"], "correct it")


def _timing_problem(error: TimingError, layers: Layers) -> Problem:
    """Names where each of the durations in the relation came from: any may be the wrong one."""
    text = str(error)
    changed = [
        f"{name} is from {layers.source(name)}"
        for name in TIMING_FIELDS
        if name != error.field
        and re.search(rf"\b{name}\b", text)
        and layers.source(name).kind != SourceKind.DEFAULT
    ]
    fix = f"change {env_name(error.field)} or {flag_name(error.field)}"
    return Problem(error.field, layers.source(error.field), "; ".join([text, *changed]), fix)


def set_source(field: str, layers: Layers) -> Source | None:
    source = layers.source(field)
    return None if source.kind is SourceKind.DEFAULT else source
