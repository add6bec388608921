"""A fault that lasts: told loudly once, then every 30 s, then once when it is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from coord.clock import Clock

REPEAT_S = 30.0
"""How often a fault that goes on is told again, in seconds."""


class FaultPhase(StrEnum):
    """Which of its notices one is."""

    BEGAN = "began"
    LASTING = "lasting"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultNotice:
    """What is worth telling about a fault.

    kind: which fault, e.g. ``consul_unreachable``.
    phase: whether it began, goes on, or is over.
    detail: what was said when it last happened; for people.
    duration_s: since it first happened, in seconds.
    count: how often it happened so far.
    """

    kind: str
    phase: FaultPhase
    detail: str
    duration_s: float
    count: int


@dataclass(slots=True)
class _Fault:
    began: float
    told: float
    detail: str
    count: int


class LastingFault:
    """Follows faults by kind and passes on the notices that are due.

    It has no timer: a fault is told again when it happens again. `emit` must not raise.
    """

    def __init__(
        self,
        clock: Clock,
        emit: Callable[[FaultNotice], None],
        *,
        repeat_s: float = REPEAT_S,
    ) -> None:
        self._clock = clock
        self._emit = emit
        self._repeat_s = repeat_s
        self._faults: dict[str, _Fault] = {}

    def happened(self, kind: str, detail: str = "") -> None:
        """The fault was met (again): tell, if it is new or was last told long enough ago."""
        now = self._clock.now()
        fault = self._faults.get(kind)
        if fault is None:
            fault = self._faults[kind] = _Fault(began=now, told=now, detail=detail, count=1)
            self._emit(_notice(kind, fault, FaultPhase.BEGAN, now))
            return
        fault.count += 1
        fault.detail = detail
        if now - fault.told >= self._repeat_s:
            fault.told = now
            self._emit(_notice(kind, fault, FaultPhase.LASTING, now))

    def over(self, kind: str) -> None:
        """What failed succeeds: tell, if it had been failing; else nothing happens."""
        fault = self._faults.pop(kind, None)
        if fault is not None:
            self._emit(_notice(kind, fault, FaultPhase.OVER, self._clock.now()))

    @property
    def lasting(self) -> Mapping[str, str]:
        """The faults that are not over: kind -> latest detail."""
        return {kind: fault.detail for kind, fault in self._faults.items()}


def _notice(kind: str, fault: _Fault, phase: FaultPhase, now: float) -> FaultNotice:
    return FaultNotice(
        kind=kind,
        phase=phase,
        detail=fault.detail,
        duration_s=now - fault.began,
        count=fault.count,
    )
