"""The simulated network: directional links between named endpoints, with delays and faults.

A message is a callable that is called where it arrives. Without faults sending one costs one entry
of the scheduler; everything that a test wants to break is set on the link it is sent over.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from coord.testing.scheduler import Scheduler

Deliver = Callable[[], None]
Span = tuple[float, float]
"""From a least to a most, in seconds; what lies between is equally likely."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """What happens to messages on a link; probabilities from 0 to 1, times in seconds.

    delay_s: how long a message takes.
    loss: how likely it never arrives.
    double: how likely a copy of it arrives too, `double_after_s` after the first.
    late: how likely it is held back for `late_s`, as by a queue that nobody looks after.
    cut: nothing arrives. What is on its way at that moment still does.
    kept_s: how long what is sent over a cut waits for it to be healed, as TCP sends it again; what
        has waited longer is lost. 0: all of it is lost.
    """

    delay_s: Span = (0.0002, 0.0008)
    loss: float = 0.0
    double: float = 0.0
    double_after_s: Span = (0.05, 5.0)
    late: float = 0.0
    late_s: Span = (1.0, 20.0)
    cut: bool = False
    kept_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("delay_s", "double_after_s", "late_s"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} {low}, {high}: must be from a least to a most")
        for name in ("loss", "double", "late"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: must be a probability")


LOCAL: Final = LinkSettings(delay_s=(0.0001, 0.0004))
"""Within one machine: a process and its agent."""
LAN: Final = LinkSettings()
"""Between machines."""
CONNECTION: Final = LinkSettings(kept_s=40.0)
"""Between machines that keep a connection open, as Consul's agents do."""


_PRUNED_AT: Final = 256


class Link:
    """One direction between two endpoints."""

    __slots__ = (
        "_at",
        "_kept",
        "_low",
        "_now",
        "_plain",
        "_random",
        "_settings",
        "_span",
        "names",
    )

    def __init__(
        self,
        names: tuple[str, str],
        settings: LinkSettings,
        scheduler: Scheduler,
        rng: random.Random,
    ) -> None:
        self.names = names
        self._now = scheduler.now
        self._at = scheduler.at
        self._random = rng.random
        self._kept: list[tuple[float, Deliver]] = []
        self.settings = settings

    @property
    def settings(self) -> LinkSettings:
        """How it behaves; may be set at any moment."""
        return self._settings

    @settings.setter
    def settings(self, settings: LinkSettings) -> None:
        self._settings = settings
        self._low, high = settings.delay_s
        self._span = high - self._low
        self._plain = not (settings.loss or settings.double or settings.late or settings.cut)
        if self._kept and not settings.cut:
            self._send_kept()

    @property
    def cut(self) -> bool:
        """Whether nothing arrives."""
        return self._settings.cut

    def send(self, deliver: Deliver) -> None:
        """Let `deliver` be called at the other end, once, twice or never."""
        if self._plain:
            self._at(self._now() + self._low + self._span * self._random(), deliver)
            return
        settings = self._settings
        if settings.cut:
            self._keep(deliver)
            return
        if self._random() < settings.loss:
            return
        arrives = self._now() + self._low + self._span * self._random()
        if self._random() < settings.late:
            arrives += self._between(settings.late_s)
        self._at(arrives, deliver)
        if self._random() < settings.double:
            self._at(arrives + self._between(settings.double_after_s), deliver)

    def forget(self) -> None:
        """The connection broke: what waits for the cut to be healed is lost."""
        self._kept.clear()

    def _keep(self, deliver: Deliver) -> None:
        kept_s, now = self._settings.kept_s, self._now()
        if kept_s > 0:
            if len(self._kept) >= _PRUNED_AT:
                self._kept = [(at, call) for at, call in self._kept if at + kept_s > now]
            self._kept.append((now, deliver))

    def _send_kept(self) -> None:
        """In the order in which it was sent, as on one connection."""
        kept, self._kept = self._kept, []
        now, kept_s = self._now(), self._settings.kept_s
        when = now + self._low
        for at, deliver in kept:
            if at + kept_s > now:
                when += 1e-6
                self._at(when, deliver)

    def _between(self, span: Span) -> float:
        low, high = span
        return low + (high - low) * self._random()


class Network:
    """All links; each comes into being when it is first used, as `default` or as `kind` says."""

    def __init__(self, scheduler: Scheduler, rng: random.Random) -> None:
        self._scheduler = scheduler
        self._rng = rng
        self._links: dict[tuple[str, str], Link] = {}
        self._watchers: list[Callable[[], None]] = []
        self.default: LinkSettings = LAN
        self.kind: Callable[[str, str], LinkSettings | None] = lambda source, target: None
        """What a new link starts as; None for the default."""
        self._endpoints: set[str] | None = None

    def add(self, *endpoints: str) -> None:
        """Know these endpoints. From the first on, `set` and `cut` refuse names that nobody has."""
        self._endpoints = (self._endpoints or set()) | set(endpoints)

    def _known(self, *names: str) -> None:
        """Raises ValueError: nobody is called so, and nobody has sent anything there."""
        known = self._endpoints
        if known is None or known.issuperset(names):
            return
        known |= {name for link in self._links for name in link}
        for name in names:
            if name not in known:
                raise ValueError(f"no endpoint {name!r}; there are: {', '.join(sorted(known))}")

    def link(self, source: str, target: str) -> Link:
        """The link from `source` to `target`; the same object each time."""
        found = self._links.get((source, target))
        if found is None:
            settings = self.kind(source, target) or self.default
            found = Link((source, target), settings, self._scheduler, self._rng)
            self._links[source, target] = found
        return found

    def send(self, source: str, target: str, deliver: Deliver) -> None:
        """Let `deliver` be called at `target`: after the link's delay, twice, or never."""
        self.link(source, target).send(deliver)

    def set(self, source: str, target: str, **changes: Any) -> None:
        """Change some of a link's `LinkSettings`. Raises ValueError: no such endpoint."""
        self._known(source, target)
        link = self.link(source, target)
        link.settings = replace(link.settings, **changes)
        self._changed()

    def cut(self, source: str, target: str) -> None:
        """Let nothing that `source` sends reach `target`."""
        self.set(source, target, cut=True)

    def heal(self, source: str, target: str) -> None:
        """Undo `cut`."""
        self.set(source, target, cut=False)

    def cut_both(self, one: str, other: str) -> None:
        """Cut in both directions."""
        self.cut(one, other)
        self.cut(other, one)

    def heal_both(self, one: str, other: str) -> None:
        """Heal in both directions."""
        self.heal(one, other)
        self.heal(other, one)

    def heal_all(self) -> None:
        """Every link as it was when it came into being: whole, and without faults."""
        for (source, target), link in self._links.items():
            link.settings = self.kind(source, target) or self.default
        self._changed()

    def connected(self, source: str, target: str) -> bool:
        """Whether messages from `source` to `target` arrive: true for what was never cut."""
        found = self._links.get((source, target))
        return found is None or not found.cut

    def joined(self, one: str, other: str) -> bool:
        """Whether the two reach each other."""
        return self.connected(one, other) and self.connected(other, one)

    def cuts(self) -> list[tuple[str, str]]:
        """Every link that is cut, in the order in which they came into being."""
        return [names for names, link in self._links.items() if link.cut]

    def on_change(self, call: Callable[[], None]) -> None:
        """Call `call` whenever a link was changed through this object."""
        self._watchers.append(call)

    def _changed(self) -> None:
        for call in self._watchers:
            call()
