"""The demo's command line."""

from __future__ import annotations

import pytest

from demo.arguments import check_of, parse


@pytest.mark.parametrize(
    ("url", "kind", "target"),
    [
        ("http://localhost:80/x", "http", "http://localhost:80/x"),
        ("https://example.org/", "http", "https://example.org/"),
        ("tcp://127.0.0.1:22", "tcp", "127.0.0.1:22"),
        ("tcp://[::1]:22/", "tcp", "[::1]:22"),
    ],
)
def test_targets_become_checks(url: str, kind: str, target: str) -> None:
    check = check_of(url)
    assert (check.kind, check.target) == (kind, target)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "ftp://x/",
        "http://",
        "http://u:p@x/",
        "tcp://x",
        "tcp://x:0",
        "tcp://x:a",
    ],
)
def test_what_is_no_target_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is no target"):
        check_of(url)


def test_targets_may_be_given_more_than_once() -> None:
    given = parse(["--target", "tcp://a:1", "--keep", "--target", "http://b/"])
    assert [check.target for check in given.targets] == ["a:1", "http://b/"]
    assert given.keep
    assert not given.as_json


@pytest.mark.parametrize("wrong", [["--target", "nonsense"], ["--targets"], ["--dir", __file__]])
def test_a_bad_command_line_ends_with_2_and_the_reason(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(wrong)
    assert ended.value.code == 2
    assert wrong[-1] in capsys.readouterr().err
