"""What is shown of a recording when: a tape with a position, a speed, and a head. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from console.recording.frame import Frame

SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""How many seconds of the recording pass in one of those who look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """A tape from `begin` to `end`, in seconds by the clock of who recorded.

    position: where it stood at `since`, in seconds by the clock of who looks.
    """

    begin: float
    end: float
    position: float
    since: float = 0.0
    speed: float = 1.0
    playing: bool = False

    @classmethod
    def of(cls, frames: Sequence[Frame]) -> Player:
        """At its beginning, not playing yet."""
        begin, end = frames[0].at, frames[-1].at
        return cls(begin=begin, end=end, position=begin)

    def at(self, now: float) -> float:
        """Where it is, when it is `now` for who looks."""
        if not self.playing:
            return self.position
        return min(self.end, self.position + max(0.0, now - self.since) * self.speed)

    def plays(self, now: float) -> bool:
        """Whether it moves: not at its end."""
        return self.playing and self.at(now) < self.end

    def toggled(self, now: float) -> Player:
        """Play, or stand still; at its end, begin again."""
        if self.plays(now):
            return self._from(self.at(now), now, playing=False)
        here = self.at(now)
        return self._from(self.begin if here >= self.end else here, now, playing=True)

    def faster(self, now: float) -> Player:
        """The next speed."""
        more = (speed for speed in SPEEDS if speed > self.speed)
        return replace(self._from(self.at(now), now), speed=next(more, self.speed))

    def slower(self, now: float) -> Player:
        """The speed before."""
        less = (speed for speed in reversed(SPEEDS) if speed < self.speed)
        return replace(self._from(self.at(now), now), speed=next(less, self.speed))

    def moved(self, to: float, now: float) -> Player:
        """Somewhere else, as near as there is tape."""
        return self._from(min(self.end, max(self.begin, to)), now)

    def _from(self, position: float, now: float, *, playing: bool | None = None) -> Player:
        goes_on = self.playing if playing is None else playing
        return replace(self, position=position, since=now, playing=goes_on)


def index_at(frames: Sequence[Frame], at: float) -> int:
    """The frame that is shown there: the last one that was written by then."""
    return max(0, bisect_right(frames, at, key=lambda frame: frame.at) - 1)


def next_at(frames: Sequence[Frame], at: float, *, leader: bool) -> float | None:
    """When the next change comes, or the next of the leader; None: none does."""
    for frame in frames[bisect_right(frames, at, key=lambda frame: frame.at) :]:
        if frame.changed if leader else frame.told:
            return frame.at
    return None


def previous_at(frames: Sequence[Frame], at: float, *, leader: bool) -> float | None:
    """When the change before came, or that of the leader; None: there was none."""
    for frame in reversed(frames[: index_at(frames, at) + 1]):
        if frame.at < at and (frame.changed if leader else frame.told):
            return frame.at
    return None
