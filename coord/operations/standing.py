"""The course of an operation that lasts: a pause, a drain, and their ends. Pure.

It is done once every node that it concerns says that it has seen it, some seconds after it has; one
that is not there, or of a version that does not say so, is not waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from coord.election.reasons import WhyNot
from coord.members import Member, best_by_node
from coord.operations.asks import Operation
from coord.operations.model import Preview
from coord.operations.outcomes import OutcomeWord, Step, StepKind
from coord.operations.scene import Scene
from coord.operations.verdict import Verdict
from coord.status.words import duration

LEADS_ON_MS = 2000
"""How long a drained leader is watched before it is said that it leads on, in milliseconds: it
makes way within a fraction of that for one that has come since it was looked."""

TOO_OLD = "too_old_to_say"
NOT_THERE = "not_there"


class Standing:
    """Watches the nodes that it concerns say that they have seen it."""

    def __init__(self, plan: Preview, *, wait: bool, total_ms: int | None = None) -> None:
        self._plan = plan
        self._operation = plan.ask.operation
        self._wait = wait
        told_ms = round(plan.waits.told_s * 1000)
        self._until_ms = told_ms if total_ms is None else min(told_ms, total_ms)
        self._seen_once = False
        self._told: set[str] = set()
        self._open: dict[str, str] = {}
        self._silent: dict[str, str] = {}
        self._superseded = False
        self._over = False
        self._leader = ""

    @property
    def answered(self) -> bool:
        """What lasts is not taken back, answered or not."""
        return True

    @property
    def past_recall(self) -> bool:
        """It stands until somebody ends it; taking it away is another operation."""
        return True

    def see(self, scene: Scene, at_ms: int) -> list[Step]:
        """See `Course`."""
        self._seen_once = True
        pauses = self._operation is Operation.PAUSE
        self._over = pauses and at_ms >= self._plan.ask.for_s * 1000
        self._superseded = self._is_superseded(scene)
        self._leader = scene.leader.node if scene.leader.locked else ""
        found = best_by_node(scene.candidates.items)
        self._open, self._silent = {}, {}
        steps: list[Step] = []
        for node in self._concerned(found):
            member = found.get(node)
            if member is None or not member.passing:
                self._silent[node] = NOT_THERE
            elif self._too_old(member):
                self._silent[node] = TOO_OLD
            elif self._is_drained_leader(node):
                continue
            elif not self._says_so(member):
                self._open[node] = member.why_not or member.state
            elif node not in self._told:
                self._told.add(node)
                said = member.why_not or member.state
                steps.append(Step(kind=StepKind.TOLD, at_ms=at_ms, node=node, detail=said))
        return steps

    def _too_old(self, member: Member) -> bool:
        if self._operation in (Operation.PAUSE, Operation.RESUME):
            return member.pause is None
        return member.priority is None

    def _is_superseded(self, scene: Scene) -> bool:
        ends = self._operation in (Operation.RESUME, Operation.UNDRAIN)
        return scene.asked_by != ("" if ends else self._plan.ask.request_id)

    def _concerned(self, found: Mapping[str, Member]) -> list[str]:
        if self._plan.ask.node:
            return [self._plan.ask.node]
        return [
            node
            for node, member in found.items()
            if member.passing and member.eligible is not False
        ]

    def _is_drained_leader(self, node: str) -> bool:
        """Whether it leads: it has no way to say that it is drained, and makes way if it can."""
        return self._plan.ask.node == self._leader == node

    def _says_so(self, member: Member) -> bool:
        reason = WhyNot.parse(member.why_not)
        if self._operation is Operation.PAUSE:
            return member.pause == self._plan.ask.request_id
        if self._operation is Operation.RESUME:
            return member.pause == ""
        if self._operation is Operation.DRAIN:
            return reason is WhyNot.DRAINED
        return reason is not WhyNot.DRAINED

    def until_ms(self) -> int:
        """See `Course`."""
        if self._leads_on_ms and not self._open:
            return self._leads_on_ms
        return self._until_ms

    @property
    def _leads_on_ms(self) -> int:
        """From when on a drained leader is said to lead on; 0 for all else."""
        drains = self._operation is Operation.DRAIN
        leads = drains and self._plan.ask.node == self._leader
        return min(LEADS_ON_MS, self._until_ms) if leads else 0

    def verdict(self, at_ms: int) -> Verdict | None:
        """See `Course`."""
        if not self._wait:
            return Verdict(word=OutcomeWord.DONE, detail=f"{self._what()}; nobody was waited for")
        if self._over:
            return Verdict(word=OutcomeWord.DONE, detail=f"{self._what()}, which is over by now")
        if self._superseded:
            return Verdict(
                word=OutcomeWord.SUPERSEDED,
                detail="another operator changed it meanwhile",
                hint="`coord history --audit` says who",
            )
        if self._seen_once and not self._open:
            return self._done() if at_ms >= self._leads_on_ms else None
        if at_ms < self._until_ms:
            return None
        nodes = ", ".join(sorted(self._open)) or "nobody"
        return Verdict(
            word=OutcomeWord.NOT_ANSWERED,
            detail=f"{self._what()}, but {nodes} did not say so in time",
            hint="`coord status NODE` says what each of them does",
            late=True,
            waiting=MappingProxyType(self._open | self._silent),
        )

    def _done(self) -> Verdict:
        detail = self._what()
        if self._operation is Operation.DRAIN and self._plan.ask.node == self._leader:
            detail += "; it leads on, as nobody else was there to follow, until another comes"
        absent = sorted(n for n, why in self._silent.items() if why == NOT_THERE)
        old = sorted(n for n, why in self._silent.items() if why == TOO_OLD)
        if absent:
            detail += f"; not there now: {', '.join(absent)}"
        if old:
            detail += f"; too old to say so: {', '.join(old)}"
        return Verdict(
            word=OutcomeWord.DONE, detail=detail, waiting=MappingProxyType(dict(self._silent))
        )

    def _what(self) -> str:
        ask = self._plan.ask
        return {
            Operation.PAUSE: f"the election is paused for {duration(ask.for_s)}",
            Operation.RESUME: "the election is no longer paused",
            Operation.DRAIN: f"{ask.node} is drained",
            Operation.UNDRAIN: f"{ask.node} is no longer drained",
        }.get(ask.operation, ask.operation.value)

    def so_far(self) -> str:
        """See `Course`."""
        return self._what()
