"""What came of the demo: one frozen record for each act, and the verdict over them. PURE."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from demo.judge import WitnessReport
from demo.ledger import WentBack


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One act. Times in seconds.

    fault: what was done to the leader; None in the first election.
    fault_to_work_s: from the fault (in the first election: from when the nodes were up) to the
        new leader's first unit of work, by the witness's clock.
    work_to_work_s: from the old leader's last unit of work to it; None in the first election.
    budget_s: the worst that the design expects. limit_s: the most that is let pass.
    phases: what the new leader says of where the time went, in milliseconds.
    polls_before, polls_during, polls_after: runs that ended before the fault, until the new
        leader's first unit of work, and until the act's end; polls_missed: were left out.
    overlaps: messages that show two at work at once.
    """

    title: str
    fault: str | None
    old_leader: str | None
    new_leader: str
    term: int
    fault_to_work_s: float
    work_to_work_s: float | None
    budget_s: float
    limit_s: float
    phases: dict[str, int]
    polls_before: int
    polls_during: int
    polls_after: int
    polls_missed: int
    overlaps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All of it. `problems` says what did not hold; empty: all of it held."""

    acts: tuple[Act, ...]
    witness: WitnessReport | None
    writes_seen: int
    writes_gone_back: tuple[WentBack, ...]
    polls: dict[str, int]
    took_s: float
    problems: tuple[str, ...]

    @property
    def held(self) -> bool:
        """Whether the whole story was told and nothing was wrong with it."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        data = asdict(self)
        data["witness"] = self.witness.to_dict() if self.witness else None
        return {"held": self.held} | data


def problems_of_act(act: Act) -> list[str]:
    """What is wrong with what was measured in one act."""
    found: list[str] = []
    if act.fault_to_work_s > act.limit_s:
        found.append(
            f"{act.title}: {act.fault_to_work_s:.2f} s until {act.new_leader} worked, more than "
            f"{act.limit_s:g} s"
        )
    if act.overlaps:
        found.append(f"{act.title}: two worked at once, {act.overlaps} messages show it")
    if not act.polls_after:
        found.append(f"{act.title}: no poll ran under {act.new_leader}")
    return found


def problems_of_witness(report: WitnessReport, went_back: tuple[WentBack, ...]) -> list[str]:
    """What is wrong with what was heard and written over the whole story."""
    found: list[str] = []
    for stale in report.stale[:3]:
        found.append(
            f"{stale.node} still worked in term {stale.term} after {stale.newer_node} worked in "
            f"term {stale.newer_term}"
        )
    for double in report.doubles[:3]:
        found.append(
            f"term {double.term} had two workers: {double.first_node} (pid {double.first_pid}) "
            f"and {double.node} (pid {double.pid})"
        )
    for back in went_back[:3]:
        found.append(
            f"a write of term {back.term} landed after one of term {back.newer_term} "
            f"(index {back.modify_index})"
        )
    if report.lost:
        found.append(f"{report.lost} messages never reached the witness: it cannot vouch for them")
    if report.unreadable:
        found.append(f"{report.unreadable} messages that the witness could not read")
    return found
