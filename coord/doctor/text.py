"""A report for people, as rich renderables: the worst first, never by colour alone; and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from coord.doctor.codes import Severity
from coord.doctor.findings import Finding, Fix, Fixed, FixKind, Report
from coord.status.words import plain

_STYLES = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_MOST = 5
"""So many findings of one code are shown in full."""
_SAID = 600


def render_report(report: Report) -> RenderableType:
    """The report: what was done, what was found, what is fine, what could not be looked at."""
    parts: list[RenderableType] = [_head(report)]
    parts += [_fixed(each) for each in report.fixed]
    alike: dict[tuple[Severity, str, str], list[Finding]] = {}
    for finding in report.findings:
        alike.setdefault((finding.severity, finding.code.value, finding.do), []).append(finding)
    for findings in alike.values():
        parts += ["", *_findings(findings)]
    parts += ["", *_foot(report)]
    return Group(*parts)


def _head(report: Report) -> Text:
    counts = {severity: 0 for severity in reversed(Severity)}
    for finding in report.findings:
        counts[finding.severity] += 1
    words = {Severity.INFO: "note", Severity.WARNING: "warning", Severity.CRITICAL: "critical"}
    told = [
        f"{count} {words[severity]}{'s' if count > 1 and severity is not Severity.CRITICAL else ''}"
        for severity, count in counts.items()
        if count
    ]
    worst = report.severity
    said = ", ".join(told) or "nothing is wrong"
    return Text.assemble(
        "Election ", (plain(report.election), "bold"), ": ", (said, _STYLES[worst] if worst else "")
    )


def _findings(findings: list[Finding]) -> Iterator[RenderableType]:
    """Those that are alike: each is told, what it means and what to do once."""
    first = findings[0]
    style = _STYLES[first.severity]
    yield Text.assemble((f"{first.severity.value.upper():<9}", style), (first.code.value, "bold"))
    lines = [Text(plain(finding.said, _SAID)) for finding in findings[:_MOST]]
    if len(findings) > _MOST:
        lines.append(Text(f"And {len(findings) - _MOST} more of these (--json shows all)."))
    lines.append(Text(first.means, style="dim"))
    lines.append(Text.assemble(("Do: ", "bold"), plain(first.do, _SAID)))
    section = f"debug-election#{first.code.value}"
    lines.append(Text.assemble(("See: ", "bold"), f"coord runbook {section}"))
    yield Padding(Group(*lines), (0, 0, 0, 2))


_FIXES = {
    FixKind.DESTROY_SESSION: "destroy session",
    FixKind.DEREGISTER_SERVICE: "deregister service",
    FixKind.DELETE_RECORD: "delete",
}


def _fixed(fixed: Fixed) -> Text:
    what = f"{_FIXES[fixed.fix.kind]} {plain(fixed.fix.target, 200)}"
    if fixed.done:
        return Text.assemble(("FIXED    ", "green"), what)
    return Text.assemble(("NOT DONE ", "yellow"), f"{what}: {plain(fixed.detail, 200)}")


def _foot(report: Report) -> Iterator[RenderableType]:
    if report.fine:
        yield Text.assemble("Looked at and fine: ", ", ".join(report.fine), style="dim")
    if report.roles:
        yield Text(f"The token is fit for: {', '.join(report.roles)}", style="dim")
    by_why: dict[str, list[str]] = {}
    for skipped in report.skipped:
        by_why.setdefault(skipped.why, []).append(skipped.subject.value)
    for why, subjects in by_why.items():
        yield Text(f"Not looked at, or not at all of it: {', '.join(subjects)} ({plain(why, 200)})")
    if any(finding.fixes for finding in report.findings):
        yield Text("Some of it `coord doctor --fix` does.")


# --- JSON ---


def to_dict(report: Report) -> dict[str, Any]:
    """As JSON has it; texts from Consul as they are."""
    return {
        "election": report.election,
        "at_ms": report.at_ms,
        "severity": report.severity.value if report.severity else None,
        "findings": [_finding(each) for each in report.findings],
        "fine": [subject.value for subject in report.fine],
        "skipped": [{"subject": s.subject.value, "why": s.why} for s in report.skipped],
        "roles": [role.value for role in report.roles],
        "fixed": [
            {**_fix(each.fix), "done": each.done, "detail": each.detail} for each in report.fixed
        ],
    }


def to_json(report: Report, *, indent: int | None = 2) -> str:
    """The same as text: plain ASCII, so that nothing in it can reach a terminal's controls."""
    return json.dumps(to_dict(report), indent=indent, ensure_ascii=True)


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code.value,
        "severity": finding.severity.value,
        "subject": finding.subject.value,
        "said": finding.said,
        "means": finding.means,
        "do": finding.do,
        "runbook": finding.runbook,
        "about": list(finding.about),
        "fixes": _fixes(finding.fixes),
    }


def _fixes(fixes: Iterable[Fix]) -> list[dict[str, Any]]:
    return [_fix(fix) for fix in fixes]


def _fix(fix: Fix) -> dict[str, Any]:
    return {"kind": fix.kind.value, "target": fix.target, "node": fix.node}
