"""When the election was paused, by whom, and how that ended: from the audit and what stands. Pure.

Operators write by their clocks, and each node counts a pause by its own: all times are about so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coord.history.model import Pause, PauseEnd
from coord.history.operated import took_place
from coord.records import AuditRecord, PauseRecord
from coord.status.words import ms_of

_PAUSE, _RESUME = "pause", "resume"


def pauses(
    audit: Iterable[AuditRecord], stands: PauseRecord | None, now_ms: int, *, known: bool = True
) -> tuple[Pause, ...]:
    """All that is told of, the earliest first.

    stands: the pause that is asked for now; with `known` False that may not be seen.
    """
    told = sorted(
        (r for r in audit if r.operation in (_PAUSE, _RESUME) and took_place(r)),
        key=lambda record: ms_of(record.at),
    )
    found: list[Pause] = []
    for i, record in enumerate(told):
        if record.operation == _PAUSE:
            after = told[i + 1] if i + 1 < len(told) else None
            now = stands is not None and stands.request_id == record.request_id
            found.append(_pause(record, after, now if known else None, now_ms))
    if stands is not None and stands.request_id not in {each.request_id for each in found}:
        found.append(_standing(stands))
    return tuple(found)


def _pause(
    record: AuditRecord, after: AuditRecord | None, stands: bool | None, now_ms: int
) -> Pause:
    """stands: whether it is asked for now; None: not known."""
    from_ms = ms_of(record.at)
    over_ms = None if record.for_ms is None else from_ms + record.for_ms
    end, until_ms, ended_by, ended_why = PauseEnd.UNKNOWN, None, "", ""
    if after is not None and (over_ms is None or ms_of(after.at) < over_ms):
        end = PauseEnd.RESUMED if after.operation == _RESUME else PauseEnd.REPLACED
        until_ms, ended_by, ended_why = ms_of(after.at), after.actor, after.reason
    elif over_ms is not None and over_ms <= now_ms and not stands:
        end, until_ms = PauseEnd.RAN_OUT, over_ms
    elif stands is not False:
        end, until_ms = PauseEnd.STANDS, over_ms
    return Pause(
        actor=record.actor,
        reason=record.reason,
        request_id=record.request_id,
        from_ms=from_ms,
        until_ms=until_ms,
        end=end,
        ended_by=ended_by,
        ended_why=ended_why,
    )


def _standing(pause: PauseRecord) -> Pause:
    """One that the audit does not tell of, or may not be read for."""
    return Pause(
        actor=pause.actor,
        reason=pause.reason,
        request_id=pause.request_id,
        from_ms=ms_of(pause.at),
        until_ms=ms_of(pause.at) + pause.for_ms,
        end=PauseEnd.STANDS,
    )


def during(found: Sequence[Pause], from_ms: int, until_ms: int) -> tuple[Pause, ...]:
    """Those of which some part lies between two moments; where no end is told, the beginning."""
    return tuple(
        each
        for each in found
        if each.from_ms < until_ms and (each.from_ms >= from_ms or _lasts_beyond(each, from_ms))
    )


def _lasts_beyond(pause: Pause, moment_ms: int) -> bool:
    if pause.end is PauseEnd.STANDS:
        return True
    return pause.until_ms is not None and pause.until_ms > moment_ms
