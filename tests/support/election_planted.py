"""Faults planted into the machine, which a search that is worth its time must find.

Each is an `Election` with one of its safeguards taken out. No node ever runs one.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from election_store import ANY_INDEX

from coord.election import commands as cmd
from coord.election import events as ev
from coord.election.machine import Election
from coord.election.reasons import Cause
from coord.election.timing import Timing


class _Impatient(Timing):
    __slots__ = ()

    def quarantine(self, predecessor_fenced_within: float | None = None) -> float:
        return 0.0


class NoQuarantine(Election):
    """Takes any vacancy at once."""

    def __init__(self, node: str, timing: Timing, **more: Any) -> None:
        values = {each.name: getattr(timing, each.name) for each in fields(timing)}
        super().__init__(node, _Impatient(**values), **more)


class LeaseFromReply(Election):
    """Counts the lease from when the answer came."""

    def handle(self, event: ev.Event, now: float) -> list[cmd.Command]:
        if isinstance(event, ev.Observed | ev.Acquired):
            event = replace(event, sent_at=now)
        return super().handle(event, now)


class AnyVacancy(Election):
    """Acquires whatever vacancy there is, not the one that it waited for."""

    def handle(self, event: ev.Event, now: float) -> list[cmd.Command]:
        out = super().handle(event, now)
        return [
            replace(each, leader_index=ANY_INDEX) if isinstance(each, cmd.Acquire) else each
            for each in out
        ]


class ReleasesFirst(Election):
    """Gives the key back as soon as it is asked to, and stops its work besides."""

    def _on_step_down(self, event: ev.StepDown, now: float) -> None:
        super()._on_step_down(event, now)
        held = self.tenure
        assert held is not None
        asked = cmd.Release(held.session, held.term, held.term_index, Cause.STEPPED_DOWN)
        self._out.append(asked)


class _Trusted(ev.KeyView):
    __slots__ = ()

    @property
    def handed_over(self) -> bool:
        return self.session is None and self.readable and self.record_vacant


class TrustsAcrossDeletion(Election):
    """Believes that a key which was created vacant was handed over."""

    def handle(self, event: ev.Event, now: float) -> list[cmd.Command]:
        if isinstance(event, ev.Observed | ev.Watched):
            said = {each.name: getattr(event.view, each.name) for each in fields(event.view)}
            event = replace(event, view=_Trusted(**said))
        return super().handle(event, now)


class KeepsItsSession(Election):
    """Leads again under the session that led."""

    def handle(self, event: ev.Event, now: float) -> list[cmd.Command]:
        out = super().handle(event, now)
        kept = self._leaving
        if kept is None or self._shutting_down:
            return out
        out += super().handle(ev.SessionDestroyed(kept), now)
        self.sessions.current, self.sessions.asked = kept, False
        asked = cmd.DestroySession | cmd.CreateSession
        return [each for each in out if not isinstance(each, asked)]


PLANTED: dict[str, type[Election]] = {
    "no quarantine": NoQuarantine,
    "lease from the reply": LeaseFromReply,
    "any vacancy": AnyVacancy,
    "release before stop": ReleasesFirst,
    "trust across a deletion": TrustsAcrossDeletion,
    "a session for two terms": KeepsItsSession,
}
