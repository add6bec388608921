"""promtool on the alerts: they are valid, and their tests tell an alert that is wrong from a right
one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_bench import OBSERVABILITY

from get_prometheus import Tools

RULES = (OBSERVABILITY / "rules.yml").read_text()
TESTS = ("rules_test.yml", "rules_slow_test.yml")
ALERTS = re.findall(r"^ +- alert: (\w+)$", RULES, re.MULTILINE)


def promtool(tools: Tools, *words: str, cwd: Path = OBSERVABILITY) -> tuple[int, str]:
    done = subprocess.run(
        [str(tools.promtool), *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_rules_and_the_configuration_are_valid(tools: Tools) -> None:
    for words in (("check", "rules", "rules.yml"), ("check", "config", "prometheus.yml")):
        status, said = promtool(tools, *words)
        assert status == 0, said
        assert "SUCCESS" in said


def test_each_alert_fires_and_does_not_fire_as_told(tools: Tools) -> None:
    status, said = promtool(tools, "test", "rules", *TESTS)
    assert status == 0, said


@pytest.mark.parametrize("expr", ["vector(0) > 1", "vector(1)"], ids=["never", "always"])
def test_the_tests_notice_each_alert_that_never_or_always_fires(
    tools: Tools, tmp_path: Path, expr: str
) -> None:
    rule = re.compile(r"(- alert: \w+\n)        expr: .*?(?=        labels:\n)", re.DOTALL)
    changed, found = rule.subn(rf"\1        expr: {expr}\n", RULES)
    assert found == len(ALERTS)
    (tmp_path / "rules.yml").write_text(changed)
    for name in TESTS:
        shutil.copy(OBSERVABILITY / name, tmp_path)
    status, said = promtool(tools, "test", "rules", *TESTS, cwd=tmp_path)
    assert status == 1
    assert set(re.findall(r"alertname: ?(\w+), time:", said)) == set(ALERTS)


def test_each_alert_is_tried_both_ways() -> None:
    """`always` alone would not show that there is a moment at which it must not fire."""
    tried = re.findall(
        r"alertname: (\w+)\n +eval_time: \w+\n +exp_alerts:( \[\])?",
        "".join((OBSERVABILITY / name).read_text() for name in TESTS),
    )
    assert {name for name, none in tried if none} == set(ALERTS)
    assert {name for name, none in tried if not none} == set(ALERTS)
