"""What may be found: each code has its words, its section in the runbook, and a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.console import Console

from coord.cli.doctor import CRITICAL, doctor_exit_code
from coord.cli.errors import ExitCode
from coord.doctor import Code, Report, Severity, Skipped, Subject, render_report
from coord.doctor.catalogue import CATALOGUE
from coord.doctor.findings import Finding, found, worst_first

REPO = Path(__file__).resolve().parents[3]
FINDINGS = REPO / "tests" / "integration" / "doctor"
RUNBOOK = REPO / "runbooks" / "debug-election.md"


def finding(code: Code, severity: Severity | None = None) -> Finding:
    return found(code, "it is so.", severity=severity)


def report(*findings: Finding, skipped: tuple[Skipped, ...] = ()) -> Report:
    return Report(
        election="e", at_ms=0, findings=worst_first(findings), skipped=skipped, fine=(Subject.KEYS,)
    )


def shown(what: Report, **options: bool) -> str:
    console = Console(width=100, highlight=False, **options)  # type: ignore[arg-type]
    with console.capture() as capture:
        console.print(render_report(what))
    return capture.get()


def test_every_code_has_its_words() -> None:
    assert set(CATALOGUE) == set(Code)
    for entry in CATALOGUE.values():
        assert entry.means.endswith(".")
        assert entry.do.endswith(".")


@pytest.mark.parametrize("code", Code)
def test_every_code_is_caused_by_a_test_on_a_real_consul(code: Code) -> None:
    named = re.compile(rf"\bCode\.{code.name}\b")
    assert any(named.search(path.read_text()) for path in FINDINGS.glob("test_*.py"))


@pytest.mark.skipif(not RUNBOOK.exists(), reason="there is no such runbook yet")
@pytest.mark.parametrize("code", Code)
def test_every_code_has_its_section_in_the_runbook(code: Code) -> None:
    sections = re.findall(r"^## (.+?) *$", RUNBOOK.read_text(), re.MULTILINE)
    path, _, section = finding(code).runbook.partition("#")
    assert (REPO / path).samefile(RUNBOOK)
    assert section in [title.strip("`") for title in sections]


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ((), ExitCode.OK),
        ((finding(Code.AGENT_IS_SERVER),), ExitCode.OK),
        ((finding(Code.SINGLE_CANDIDATE), finding(Code.AGENT_IS_SERVER)), ExitCode.NOT_GOOD),
        ((finding(Code.SINGLE_CANDIDATE), finding(Code.NOBODY_LEADS)), CRITICAL),
        ((finding(Code.CONSUL_NO_LEADER), finding(Code.NOBODY_LEADS)), ExitCode.CONSUL_UNREACHABLE),
        ((finding(Code.CONSUL_UNREACHABLE),), ExitCode.CONSUL_UNREACHABLE),
    ],
)
def test_exit_codes(findings: tuple[Finding, ...], code: int) -> None:
    assert doctor_exit_code(report(*findings)) == code


def test_exit_code_where_the_keys_are_kept_back() -> None:
    unseen = (Skipped(Subject.KEYS, "the token may not see it"),)
    assert doctor_exit_code(report(skipped=unseen)) == ExitCode.NOT_PERMITTED
    warned = report(finding(Code.RIGHTS_MISSING), skipped=unseen)
    assert doctor_exit_code(warned) == ExitCode.NOT_PERMITTED


def test_the_worst_comes_first_whatever_the_order_of_the_codes() -> None:
    mild = finding(Code.TWO_LEADERS, Severity.INFO)
    bad = finding(Code.CLOCK_SKEW, Severity.CRITICAL)
    assert worst_first([mild, bad]) == (bad, mild)


def test_severity_is_told_in_words_and_not_by_colour_alone() -> None:
    told = report(*(finding(code) for code in (Code.PAUSED, Code.ALL_DRAINED, Code.NO_CANDIDATES)))
    plain = shown(told)
    coloured = shown(told, force_terminal=True)
    assert "\x1b" not in plain
    assert "\x1b" in coloured
    for severity in Severity:
        assert severity.value.upper() in plain


def test_many_of_one_kind_are_told_once() -> None:
    many = [found(Code.ORPHANED_SESSION, f"Session {n}.", str(n)) for n in range(40)]
    text = shown(report(*many))
    assert text.count(CATALOGUE[Code.ORPHANED_SESSION].do) == 1
    assert "35 more" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_fits_where_it_is_shown(width: int) -> None:
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        console.print(render_report(report(*(finding(code) for code in Code))))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= width
