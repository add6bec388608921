"""How an operation is judged while it is watched. Pure: times are arguments.

A course is told of each scene and gives the steps that it sees in it; asked at any time, it gives
its verdict once there is one, and says until when it waits for what comes next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from coord.operations.outcomes import GapSource, OutcomeWord, Step
from coord.operations.scene import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of it, as far as the watching tells. Fields as in `Outcome`.

    late: nothing more is known than that something did not happen in time.
    """

    word: OutcomeWord
    detail: str
    hint: str = ""
    late: bool = False
    new_leader: str = ""
    new_term: int = 0
    gap_ms: int | None = None
    gap_source: GapSource | None = None
    phases: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    waiting: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def superseded(asked_by: str | None) -> Verdict:
    """A request that stands no longer; `asked_by`: of what stands there now, as in `Scene`."""
    return Verdict(
        word=OutcomeWord.SUPERSEDED,
        detail="somebody took it away"
        if asked_by == ""
        else "another operator's request took its place",
        hint="`coord history --audit` says who",
    )


class Course(Protocol):
    """One operation on its way."""

    @property
    def answered(self) -> bool:
        """Whether who was asked has taken it up."""
        ...

    @property
    def past_recall(self) -> bool:
        """Whether taking away what was asked would change nothing any more."""
        ...

    def see(self, scene: Scene, at_ms: int) -> list[Step]:
        """What has happened since the last scene; `at_ms` counts from the request."""
        ...

    def verdict(self, at_ms: int) -> Verdict | None:
        """What came of it, once that is known or was waited for long enough."""
        ...

    def until_ms(self) -> int:
        """When the present wait ends, if nothing happens before."""
        ...

    def so_far(self) -> str:
        """What has been seen to happen, in a few words."""
        ...
