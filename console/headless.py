"""Recording where nobody looks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from console.recording.writing import Ended, Recorder
from console.snapshot import Snapshot
from console.source import Source


@dataclass(frozen=True, slots=True)
class Finished:
    """It was brought to its end: how many changes, and how large the file is."""

    changes: int
    size_bytes: int


async def record(source: Source, recorder: Recorder, stop: asyncio.Event) -> Finished | Ended:
    """Record until `stop`, or until nothing can be recorded any more; sessions, too.

    source: tells `recorder` each new snapshot.
    """

    def look(_: Snapshot) -> None:
        if recorder.ended is not None:
            stop.set()

    source.want_sessions(True)
    reading = asyncio.create_task(source.run(look), name="source")
    waiting = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait((reading, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (reading, waiting):
            task.cancel()
        ends = await asyncio.gather(reading, waiting, return_exceptions=True)
    ended = recorder.ended
    recorder.close()
    for error in ends:
        if isinstance(error, Exception):
            raise error
    return Finished(recorder.changes, recorder.size_bytes) if ended is None else ended
