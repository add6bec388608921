"""Reading runbooks: sections, steps, operations; and that the real ones are in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from runbook_text import acts_of, shown_as, shows

from coord.cli import COMMAND_NAMES, main
from coord.doctor import Code
from coord.doctor.findings import found
from coord.election.reasons import WhyNot
from coord.runbooks import (
    Operation,
    Runbook,
    RunbookError,
    Step,
    find,
    parse_runbook,
    read_runbook,
    runbook_names,
)

REPO = Path(__file__).resolve().parent.parent.parent
BOOKS = [read_runbook(name) for name in runbook_names()]

TEXT = """# A title

What it is about.

## Look at `it` first
<!-- stage: leading -->

```console
$ coord status
Election  coordinator
## no heading
$ for node in a b; do
>   echo $node
> done
a
b
```

```text
$ not a command
```

## no_session

```console
$ coord step-down --reason 'it is late' --yes
```
"""


def book(text: str = TEXT) -> Runbook:
    return parse_runbook("a", text)


def step(command: str) -> Step:
    return Step(command, "", 1)


def test_what_is_read_from_a_runbook() -> None:
    found = book()
    assert (found.title, found.intro) == ("A title", "What it is about.\n")
    assert [s.anchor for s in found.sections] == ["look-at-it-first", "no_session"]
    assert [s.title for s in found.sections] == ["Look at it first", "no_session"]
    assert "<!--" not in found.text
    assert found.section("no_session").text.startswith("## no_session\n")


def test_its_steps() -> None:
    first, second, third = book().steps
    assert first == Step("coord status", "Election  coordinator\n## no heading", 9)
    assert second == Step("for node in a b; do\n  echo $node\ndone", "a\nb", 12)
    assert third.words == ("coord", "step-down", "--reason", "it is late", "--yes")


def test_a_section_comes_in_pieces_with_their_steps() -> None:
    section = book().sections[0]
    first, rest = section.blocks
    assert first.steps == section.steps
    assert first.text.startswith("## Look at `it` first")
    assert first.text.endswith("b\n```")
    assert "$ not a command" in rest.text
    assert rest.steps == ()


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
def test_the_pieces_are_the_whole_and_each_step_stands_below_its_command(book: Runbook) -> None:
    for section in book.sections:
        assert "\n".join(block.text for block in section.blocks) == section.text.rstrip("\n")
        assert tuple(step for block in section.blocks for step in block.steps) == section.steps
        for block in section.blocks:
            for step in block.steps:
                assert f"$ {step.command.splitlines()[0]}" in block.text


@pytest.mark.parametrize(
    ("command", "operation"),
    [
        ("coord step-down --reason x --yes", Operation.STEP_DOWN),
        ("coord transfer core-2 --reason 'a b' --yes", Operation.TRANSFER),
        ("coord pause --for 30m --reason x --yes", Operation.PAUSE),
        ("coord drain core-2 --reason x --dry-run", None),
        ("coord status", None),
        ("coord", None),
        ("coord drain core-2 | tee log", None),
        ("coord drain $NODE", None),
        ("coord drain 'core-2", None),
        ("sudo coord drain core-2", None),
    ],
)
def test_which_steps_are_operations(command: str, operation: Operation | None) -> None:
    assert step(command).operation is operation


@pytest.mark.parametrize(
    ("command", "node"),
    [
        ("coord drain core-2 --reason x --yes", "core-2"),
        ("coord transfer --reason x", ""),
        ("coord step-down --reason x", ""),
        ("coord status core-2", ""),
    ],
)
def test_which_node_an_operation_names(command: str, node: str) -> None:
    assert step(command).example_node == node


@pytest.mark.parametrize(
    "text",
    ["no title", "## a section first\n# t", "# t\n## a\n## a\n", "# t\n```console\n$ ls\n"],
)
def test_what_is_no_runbook(text: str) -> None:
    with pytest.raises(ValueError, match=r"runbook|block"):
        book(text)


@pytest.mark.parametrize(
    "given", ["debug-election#no_session", "runbooks/debug-election.md#no_session"]
)
def test_a_section_is_found_by_name(given: str) -> None:
    found, section = find(given)
    assert found.name == "debug-election"
    assert section is not None
    assert section.title == "no_session"


@pytest.mark.parametrize(
    "given", ["CoordinatorNoLeader", "coordinatornoleader", "alerts#CoordinatorNoLeader"]
)
def test_an_alerts_name_is_enough(given: str) -> None:
    found, section = find(given)
    assert found.name == "alerts"
    assert section is not None
    assert section.title == "CoordinatorNoLeader"


@pytest.mark.parametrize("given", ["nothing", "debug-election#nothing", "", "../secret"])
def test_what_is_not_there_is_said_with_what_is(given: str) -> None:
    with pytest.raises(RunbookError) as caught:
        find(given)
    assert caught.value.known


# --- the real ones ---------------------------------------------------------------------------


def test_there_are_these() -> None:
    assert {"force-leader-change", "debug-election", "rolling-restart", "consul-outage"} <= set(
        runbook_names()
    )


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
def test_it_says_the_symptom_first_and_the_shortest_safe_path(book: Runbook) -> None:
    assert book.intro.startswith("**Symptom:**")
    assert "shortest safe path" in book.intro
    assert book.sections[-1].title == "Never"


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
def test_every_link_leads_somewhere(book: Runbook) -> None:
    links = re.findall(r"\]\(([^)]*)\)", book.text)
    assert links
    for link in links:
        name, _, anchor = link.partition("#")
        other = find(name)[0] if name else book
        if anchor:
            other.section(anchor)


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
def test_every_block_is_run(book: Runbook) -> None:
    """A command in any other place than a `console` block would be run by no test."""
    source = (REPO / "runbooks" / f"{book.name}.md").read_text()
    fences = re.findall(r"^(?:```|~~~)(.*)$", source, re.MULTILINE)
    assert set(fences) <= {"console", ""}
    blocks = re.findall(r"^```console\n(.*?)^```$", source, re.MULTILINE | re.DOTALL)
    assert all(block.startswith("$ ") for block in blocks)
    assert not re.search(
        r"^( {4}|\t)\s*(\$|coord|curl|ask) ", re.sub(r"(?ms)^```.*?^```$", "", source)
    )
    ran = [run.step for act in acts_of(book.name, source) for run in act.runs]
    assert ran == list(book.steps)
    assert sum(block.count("\n$ ") + 1 for block in blocks) == len(ran)


ALL_COMMANDS = [step.command for book in BOOKS for step in book.steps]


def without_blocks(text: str) -> str:
    return re.sub(r"(?ms)^```.*?^```$", "", text)


def spans(text: str) -> list[str]:
    """What is set as code within sentences."""
    return re.findall(r"`([^`\n]+)`", without_blocks(text).replace("\n", " "))


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
def test_a_command_that_is_named_is_one_that_is_run(book: Runbook) -> None:
    for span in spans(book.text):
        if span.startswith(("curl ", "ask ", "$ ")):
            raise AssertionError(f"{span!r} belongs into a block")
        if span.startswith("coord "):
            words = span.split()
            assert words[1] in COMMAND_NAMES, span
            if words[1] in NAMED_ONLY or span in TOLD_ELSEWHERE:
                continue
            assert any(command.startswith(span) for command in ALL_COMMANDS), span


NAMED_ONLY = {"node"}
"""Commands that are run by every stage, to have nodes at all."""

TOLD_ELSEWHERE = {"coord doctor --policy ROLE"}
"""Named only: no command, but a kind of it."""


def test_every_operation_is_a_step_somewhere() -> None:
    steps = [step for book in BOOKS for step in book.steps]
    assert {step.operation for step in steps} - {None} == set(Operation)
    for step in steps:
        if step.operation:
            assert "--reason" in step.words
            assert "--yes" in step.words


def test_what_operators_are_told_to_use_is_there() -> None:
    page = (REPO / "docs/operations.md").read_text()
    told = [span.split() for span in spans(page) if span.startswith("coord ")]
    assert len(told) > 10
    for _, name, *words in told:
        command = main.get_command(click.Context(main), name)
        assert command is not None, name
        known = {option for param in command.params for option in param.opts}
        assert {word for word in words if word.startswith("--")} <= known, (name, words)


def test_every_reason_and_every_finding_has_its_section() -> None:
    book = read_runbook("debug-election")
    words = {section.title for section in book.sections if re.fullmatch(r"[a-z_]+", section.title)}
    assert words == {why.value for why in WhyNot} | {code.value for code in Code}


@pytest.mark.parametrize("code", list(Code))
def test_what_the_doctor_finds_leads_to_its_section(code: Code) -> None:
    _, section = find(found(code, "it is so").runbook)
    assert section is not None
    assert section.title == code.value


def test_operations_are_the_commands_that_act() -> None:
    acting = {name for name in COMMAND_NAMES if _section_of(name) == "Act"} - {"purge", "schedule"}
    assert acting == {each.value for each in Operation}


def _section_of(name: str) -> str:
    from coord.cli import _COMMANDS

    return _COMMANDS[name].section


# --- what is shown ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Read      2026-11-25 03:10:50 UTC, just now", "Read  2026-11-26 13:10:50 UTC, 3 s ago"),
        ("core-1  127.0.0.1:44721    68342a47", "core-1  10.0.0.11:8610  10dce37d"),
        ("gap 41 ms (stop 3 ms)", "gap 1.2 s (stop 13 ms)"),
        ('"ModifyIndex": 32', '"ModifyIndex": 4711'),
        ("by root@host", "by you@desk"),
        ("  gap 13 ms (as the new leader measured: start 1 ms)", "  gap 1 s (as it was watched)"),
    ],
)
def test_what_differs_from_run_to_run_is_masked(one: str, other: str) -> None:
    assert shown_as(one) == shown_as(other)


@pytest.mark.parametrize(
    ("expected", "shown", "right"),
    [
        ("a\n…\nc", "a\nc", True),
        ("a\n…\nc", "a\nb\nb\nc", True),
        ("a\n…", "b", False),
        ("Leader core-1", "Leader core-2", False),
        ("Term 2", "Term 3", False),
        ("Leader …, passing", "Leader core-2, passing", True),
        ("", "", True),
        ("", "a", False),
        ("…", "", True),
        ("   0.1 s  asked: a\n   0.2 s  lock given back: a\nb", "   0.3 s  asked: a\nb", True),
        ("   0.1 s  asked: a\nb", "   0.1 s  answered: a\nb", False),
    ],
)
def test_what_counts_as_shown(expected: str, shown: str, right: bool) -> None:
    assert shows(expected, shown) is right


@pytest.mark.parametrize(
    "text",
    [
        "# t\n## s\n```console\n$ ls\n```\n",
        "# t\n## s\n<!-- do: stop -->\n",
        "# t\n## s\n<!-- stage: leading -->\n<!-- exit: 1 -->\n",
        "# t\n## s\n<!-- something -->\n",
    ],
)
def test_a_source_that_the_tests_cannot_follow_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="t"):
        acts_of("t", text)


# --- the command, and the wheel --------------------------------------------------------------


def coord(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["runbook", *args])
    return done.exit_code, done.output


def test_the_command_lists_and_shows_them() -> None:
    code, out = coord()
    assert code == 0
    assert "debug-election#no_session" in out
    code, out = coord("debug-election#no_session", "--raw")
    assert (code, out) == (0, read_runbook("debug-election").section("no_session").text)
    code, out = coord("consul-outage")
    assert code == 0
    assert "<!--" not in out
    assert "backup.snap" in out
    assert all(line == line.rstrip() for line in out.splitlines())
    assert coord("nothing")[0] == click.UsageError.exit_code


def test_they_are_read_from_an_installed_wheel(tmp_path: Path) -> None:
    """Built and installed as anybody would, but for the network: nothing has to be fetched."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    common = ["--no-deps", "--no-index"]
    run(*pip, "wheel", *common, "--no-build-isolation", "--wheel-dir", str(tmp_path), str(REPO))
    (wheel,) = tmp_path.glob("coord-*.whl")
    target = tmp_path / "site"
    run(*pip, "install", *common, "--target", str(target), str(wheel))
    look = (
        "import coord.runbooks as r; from pathlib import Path;"
        f"assert Path(r.__file__).is_relative_to({str(target)!r}), r.__file__;"
        "print(*r.runbook_names()); print(r.find('debug-election#no_session')[1].text)"
    )
    names, _, text = run(sys.executable, "-c", look, cwd=tmp_path, path=target).partition("\n")
    assert tuple(names.split()) == runbook_names()
    assert text.strip() == read_runbook("debug-election").section("no_session").text.strip()


def run(*command: str, cwd: Path = REPO, path: Path | None = None) -> str:

    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path:
        env["PYTHONPATH"] = str(path)
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
