"""The course of an operation that ends a leadership: asked, released, taken over, at work. Pure."""

from __future__ import annotations

from types import MappingProxyType

from coord.members import Seen
from coord.operations.asks import Operation
from coord.operations.model import Preview
from coord.operations.outcomes import GapSource, OutcomeWord, Step, StepKind
from coord.operations.scene import Scene, why_not_by_node
from coord.operations.verdict import Verdict, superseded
from coord.telemetry import LeaderChanged, StepDownRequested
from coord.telemetry.journal import JournalEntry

TELLING_MS = 2000
"""How long the new leader may take to write the gap into the journal, once it works."""

_PHASES = ("detect", "quarantine", "acquire", "start")
_MAX_GAP_MS = 10**10
_ALONE_MS = 5000
"""How long to wait for a new leader while no candidate at all is there, in milliseconds."""

_FORCE = "`coord force-release` destroys its session, whether it answers or not"


class Change:
    """Watches the leader of one term go, and the next one come."""

    def __init__(self, plan: Preview, *, total_ms: int | None = None) -> None:
        self._plan = plan
        self._ask = plan.ask
        self._total_ms = total_ms
        self._requests = plan.ask.operation.of_leader
        self._former = plan.leader.node if plan.leader else ""
        self._answered_ms: int | None = None
        self._released_ms: int | None = None
        self._why = ""
        self._acquired_ms = 0
        self._session = ""
        self._node = ""
        self._term = 0
        self._works_ms: int | None = None
        self._told: JournalEntry | None = None
        self._waiting: dict[str, str] = {}
        self._alone = False
        self._superseded: str | None = None
        self._went_back = False

    @property
    def answered(self) -> bool:
        """The leader said so, or has gone."""
        return self._answered_ms is not None or self.past_recall

    @property
    def past_recall(self) -> bool:
        """The lock was given back, or taken away."""
        return self._released_ms is not None

    # -- what is seen ----------------------------------------------------------------------

    def see(self, scene: Scene, at_ms: int) -> list[Step]:
        """See `Course`."""
        steps: list[Step] = []
        self._waiting = why_not_by_node(scene.candidates)
        readable = scene.candidates.seen in (Seen.KNOWN, Seen.UNKNOWN) and self._plan.members_seen
        self._alone = readable and not any(m.passing for m in scene.candidates.items)
        self._see_answer(scene, at_ms, steps)
        self._see_release(scene, at_ms, steps)
        self._see_takeover(scene, at_ms, steps)
        if self._requests and not self.past_recall:
            mine = scene.asked_by == self._ask.request_id
            self._superseded = None if mine else scene.asked_by or ""
        return steps

    def _see_answer(self, scene: Scene, at_ms: int, steps: list[Step]) -> None:
        if self._answered_ms is not None or self._ask.operation is Operation.FORCE_RELEASE:
            return
        told = self._entry(scene, StepDownRequested.EVENT, self._plan.basis.term, self._former)
        # A leader answers one request; by its id we know whose.
        if told is not None and told.details.get("request_id") in (None, self._ask.request_id):
            self._answered_ms = at_ms
            why = str(told.details.get("reason") or "")
            steps.append(self._step(StepKind.ANSWERED, at_ms, self._former, why))

    def _see_release(self, scene: Scene, at_ms: int, steps: list[Step]) -> None:
        leader, basis = scene.leader, self._plan.basis
        holds = leader.locked and leader.session == basis.session
        if holds or self._released_ms is not None:
            return
        self._released_ms = at_ms
        self._why = leader.why if not leader.locked else ""
        detail = self._why or ("vanished" if leader.vanished else "")
        steps.append(self._step(StepKind.RELEASED, at_ms, self._former, detail))

    def _see_takeover(self, scene: Scene, at_ms: int, steps: list[Step]) -> None:
        leader = scene.leader
        term = leader.term or scene.term.value or 0
        if self._released_ms is None or not leader.locked:
            if self._session and not leader.locked:
                # Whoever had it lost it again: the wait for a leader begins anew.
                self._session, self._node, self._term = "", "", 0
                self._works_ms, self._told, self._released_ms = None, None, at_ms
            return
        self._went_back = term <= self._plan.basis.term
        self._node, self._term = leader.node, term
        if leader.session != self._session:
            self._session = leader.session
            self._acquired_ms, self._works_ms, self._told = at_ms, None, None
            steps.append(self._step(StepKind.ACQUIRED, at_ms, leader.node, term=term))
        if self._works_ms is None and (self._node, self._term) in scene.working:
            self._works_ms = at_ms
            steps.append(self._step(StepKind.WORKS, at_ms, leader.node, term=term))
        if self._told is None:
            self._told = self._entry(scene, LeaderChanged.EVENT, self._term, self._node)

    def _entry(self, scene: Scene, event: str, term: int, node: str) -> JournalEntry | None:
        found = (e for e in reversed(scene.journal) if e.event == event and e.term == term)
        return next((e for e in found if e.node == node), None)

    def _step(
        self, kind: StepKind, at_ms: int, node: str, detail: str = "", *, term: int | None = None
    ) -> Step:
        told = self._plan.basis.term if term is None else term
        return Step(kind=kind, at_ms=at_ms, node=node, term=told, detail=detail)

    # -- what is made of it ----------------------------------------------------------------

    def until_ms(self) -> int:
        """See `Course`."""
        waits = self._plan.waits
        if self._works_ms is not None:
            return self._works_ms + TELLING_MS
        if self._session:
            until = self._acquired_ms + round(waits.start_s * 1000)
        elif self._released_ms is not None:
            takeover_ms = round(waits.takeover_s * 1000)
            most_ms = _ALONE_MS if self._alone else takeover_ms
            until = self._released_ms + min(most_ms, takeover_ms)
        elif self._answered_ms is not None:
            until = self._answered_ms + round(waits.stop_s * 1000)
        else:
            until = round(waits.answer_s * 1000)
        return until if self._total_ms is None else min(until, self._total_ms)

    def verdict(self, at_ms: int) -> Verdict | None:
        """See `Course`."""
        if self._superseded is not None and not self.answered:
            return superseded(self._superseded)
        if self._works_ms is not None:
            told = self._told is not None
            return self._done() if told or at_ms >= self.until_ms() else None
        return self._too_late() if at_ms >= self.until_ms() else None

    def _done(self) -> Verdict:
        gap_ms, phases = self._gap()
        word, detail = OutcomeWord.DONE, f"{self._node} leads, under term {self._term}"
        if self._went_back:
            detail += ", which is not newer than the one before: was Consul restored?"
        elif self._node == self._former:
            word, detail = OutcomeWord.CAME_BACK, f"{self._node} leads again, term {self._term}"
        elif self._ask.operation is Operation.TRANSFER and self._node != self._ask.node:
            word = OutcomeWord.FELL_BACK
            detail = f"{self._ask.node} did not take over in time; {detail}"
        return Verdict(
            word=word,
            detail=detail + self._otherwise(),
            hint=f"`coord status {self._ask.node}` says why" if word.value == "fell_back" else "",
            new_leader=self._node,
            new_term=self._term,
            gap_ms=gap_ms,
            gap_source=GapSource.JOURNAL if phases else GapSource.WATCHED,
            phases=MappingProxyType(phases),
        )

    def _otherwise(self) -> str:
        """How the leadership ended, where it was not as asked."""
        asked = {"stepped_down", "transferred", "released_by_hand", ""}
        return "" if self._why in asked else f"; the leadership before ended otherwise: {self._why}"

    def _gap(self) -> tuple[int | None, dict[str, int]]:
        """As the new leader told it; else from the release to the work, as it was seen."""
        details = self._told.details if self._told is not None else {}
        phases = {name: _ms(details.get(f"{name}_ms")) for name in _PHASES}
        known = {name: ms for name, ms in phases.items() if ms is not None}
        told = _ms(details.get("gap_ms"))
        if told is not None and known:
            return told, known
        if self._works_ms is None or self._released_ms is None:
            return None, {}
        return self._works_ms - self._released_ms, {}

    def _too_late(self) -> Verdict:
        if self._session:
            return Verdict(
                word=OutcomeWord.NOT_WORKING,
                detail=f"{self._node or 'somebody'} holds the lock under term {self._term}, but "
                "was not seen to work",
                hint=f"`coord status {self._node}` and its log say more",
                late=True,
                new_leader=self._node,
                new_term=self._term,
            )
        if self._released_ms is not None:
            return Verdict(
                word=OutcomeWord.NO_SUCCESSOR,
                detail="the lock was given back, and nobody is there to take over"
                if self._alone
                else "the lock was given back, and nobody took over in time",
                hint="`coord status NODE` says what each candidate waits for",
                late=True,
                waiting=MappingProxyType(dict(self._waiting)),
            )
        if self._answered_ms is not None:
            return Verdict(
                word=OutcomeWord.STILL_STOPPING,
                detail=f"{self._former} answered, but its work has not stopped in time",
                hint=f"it may still come to it; {_FORCE}",
                late=True,
            )
        return self._not_answered()

    def _not_answered(self) -> Verdict:
        if not self._requests:
            now = "drained" if self._ask.operation is Operation.DRAIN else "no longer drained"
            return Verdict(
                word=OutcomeWord.NOT_ANSWERED,
                detail=f"{self._ask.node} is {now}, but {self._former} leads on: nobody is there "
                "to follow, or it has not seen it",
                hint="it makes way as soon as it has, and another is there; `coord status` shows "
                "who is",
                late=True,
            )
        if self._ask.operation is Operation.FORCE_RELEASE:
            return Verdict(
                word=OutcomeWord.NOT_ANSWERED,
                detail=f"the session of {self._former or 'the leader'} was not destroyed in time",
                hint="see that Consul answers, and ask again; what was sent may yet come there",
                late=True,
            )
        return Verdict(
            word=OutcomeWord.NOT_ANSWERED,
            detail=f"{self._former or 'the leader'} did nothing in time",
            hint=f"{_FORCE}; if it hangs and had taken up the request, it goes on as it wakes",
            late=True,
        )

    def so_far(self) -> str:
        """See `Course`."""
        if self._session:
            return f"{self._node} has taken over, under term {self._term}"
        if self._released_ms is not None:
            return "the lock was given back, and nobody has taken over yet"
        if self._answered_ms is not None:
            return f"{self._former} had answered"
        return f"{self._former or 'the leader'} had not answered"


def _ms(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_GAP_MS:
        return value
    return None
