"""What the doctor says: findings, what was looked at, what was mended. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from coord.doctor.catalogue import CATALOGUE
from coord.doctor.codes import Code, Severity, Subject
from coord.rights import Role

RUNBOOK = "runbooks/debug-election.md"


class FixKind(StrEnum):
    """What the doctor may do by itself."""

    DESTROY_SESSION = "destroy_session"
    DEREGISTER_SERVICE = "deregister_service"
    DELETE_RECORD = "delete_record"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """One thing that `--fix` does.

    target: the session's id, the service's id, or the key.
    name: of the session or the service, which it must still have.
    node: the Consul node of a service.
    index: the ModifyIndex that the key must still have.
    """

    kind: FixKind
    target: str
    name: str = ""
    node: str = ""
    index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    said: what it is, here and now, in a sentence. Texts in it come from Consul as they are.
    about: what it concerns, sorted: nodes, sessions, keys; the same thing found again has the same.
    advice: what to do about this very one, where that is more than what such a thing needs.
    fixes: what `--fix` does about it.
    """

    code: Code
    severity: Severity
    said: str
    about: tuple[str, ...] = ()
    advice: str = ""
    fixes: tuple[Fix, ...] = ()

    @property
    def subject(self) -> Subject:
        """What it is about."""
        return CATALOGUE[self.code].subject

    @property
    def means(self) -> str:
        """What it means, in a sentence or two."""
        return CATALOGUE[self.code].means

    @property
    def do(self) -> str:
        """What to do about it."""
        return self.advice or CATALOGUE[self.code].do

    @property
    def runbook(self) -> str:
        """The section of the runbook, which has the code as its heading: file#anchor."""
        return f"{RUNBOOK}#{self.code.value}"

    @property
    def momentary(self) -> bool:
        """It may be so for a moment where nothing is wrong: it counts if it stays."""
        return CATALOGUE[self.code].momentary

    def same_as(self, other: Finding) -> bool:
        """Whether it is the same thing found again."""
        return (self.code, self.about) == (other.code, other.about)


def found(
    code: Code,
    said: str,
    *about: str,
    severity: Severity | None = None,
    advice: str = "",
    fixes: Iterable[Fix] = (),
) -> Finding:
    """A finding, as severe as such a thing usually is unless told otherwise."""
    usual = CATALOGUE[code].severity
    return Finding(
        code=code,
        severity=severity or usual,
        said=said,
        about=tuple(sorted(about)),
        advice=advice,
        fixes=tuple(fixes),
    )


@dataclass(frozen=True, slots=True)
class Fixed:
    """What came of one fix. done False: it was not done, and `detail` says why."""

    fix: Fix
    done: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A subject that was not looked at, or not all of it, and why."""

    subject: Subject
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found, worst first.

    at_ms: when it was looked at, wall-clock milliseconds since 1970.
    fine: what was looked at and is in order.
    roles: what the token can be used as, as far as was tried.
    fixed: what `--fix` did; the findings are those after it.
    """

    election: str
    at_ms: int
    findings: tuple[Finding, ...] = ()
    fine: tuple[Subject, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    roles: tuple[Role, ...] = ()
    fixed: tuple[Fixed, ...] = ()

    @property
    def severity(self) -> Severity | None:
        """The worst of all; None if nothing was found."""
        return max((f.severity for f in self.findings), key=lambda s: s.rank, default=None)

    def has(self, code: Code) -> bool:
        """Whether that was found."""
        return any(finding.code is code for finding in self.findings)


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first; what is equally bad in the order of the codes."""
    order = list(Code)
    return tuple(sorted(findings, key=lambda f: (-f.severity.rank, order.index(f.code), f.about)))
