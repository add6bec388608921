"""Recordings made by hand, for tests of how they are written, read and played."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from console_bench import StoppedClock
from console_polls import evil, polled, unpolled
from console_rooms import examined, with_audit, with_sessions
from console_said import otherwise
from console_scenes import SCENES, disconnected, leaderless, leading, never_read

from console.recording.writing import Recorder
from console.snapshot import Snapshot

NIGHT = (never_read, leading, with_audit, leaderless, leading, disconnected)
"""What happens, half a minute after each other: read, told, vanished, back, cut off."""
STEP_S = 30.0


def every_kind() -> tuple[Snapshot, ...]:
    """Snapshots that between them have everything that there is to be recorded."""
    scenes = (scene() for scene in SCENES.values())
    return (
        *scenes,
        with_audit(),
        with_sessions(),
        examined(),
        polled(),
        unpolled(),
        evil(),
        otherwise(),
    )


def recorded(
    path: Path, shots: Sequence[Snapshot], *, step_s: float = STEP_S, begin: float = 0.0
) -> Path:
    """A recording of these, one after the other. begin: how late the clock is at first."""
    clock = StoppedClock()
    clock.at += begin
    recorder = Recorder(path, clock=clock)
    for shot in shots:
        recorder.record(shot)
        clock.at += step_s
    recorder.close()
    assert recorder.ended is not None
    assert recorder.ended.why == "closed"
    return path


def a_night(path: Path) -> Path:
    """The recording of `NIGHT`."""
    return recorded(path, [shot() for shot in NIGHT])
