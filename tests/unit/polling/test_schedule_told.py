"""What `coord schedule` says of a change that was made in part, or perhaps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coord.cli.errors import ConsulUnreachable, ExitCode, NotPermitted
from coord.cli.schedule_edit import Telling
from coord.consul import ConsulError, ConsulNotPermitted, ConsulUnavailable, TxnOp
from coord.polling.editing import Change, Edit, Written

DONE = Edit("a", Change.ADDED, TxnOp.kv_cas("k", b"", 0))
LEFT = Edit("b", Change.REMOVED, TxnOp.kv_delete_cas("l", 3))
LOST = ConsulUnavailable("PUT /v1/txn", "no answer", outcome_unknown=True)
AWAY = ConsulUnavailable("PUT /v1/txn", "refused")
DENIED = ConsulNotPermitted("PUT /v1/txn", "denied", status=403)


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_part_is_told_with_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    written = Written((DONE,), (LEFT,), ("b",))
    assert Telling("e", as_json=True).outcome((DONE, LEFT), written) == ExitCode.REFUSED
    (said,) = told(capsys)
    assert (said["kind"], said["outcome"], said["election"]) == ("outcome", "partly", "e")
    assert said["changes"] == [{"id": "a", "change": "added"}]
    assert (said["left"], said["conflicts"]) == (["b"], ["b"])
    assert Telling("e", as_json=False).outcome((DONE, LEFT), written) == ExitCode.REFUSED
    assert "not done: b" in capsys.readouterr().out


def test_a_refusal_is_told_with_whose_change_stands(capsys: pytest.CaptureFixture[str]) -> None:
    written = Written((), (DONE, LEFT), ("b",))
    assert Telling("e", as_json=True).outcome((DONE, LEFT), written) == ExitCode.REFUSED
    (said,) = told(capsys)
    assert (said["kind"], said["code"], said["ids"]) == ("refused", "changed_meanwhile", ["b"])


@pytest.mark.parametrize(
    ("done", "error", "outcome", "kind"),
    [
        ((), LOST, "unknown", ConsulUnreachable),
        ((DONE,), LOST, "unknown", ConsulUnreachable),
        ((DONE,), AWAY, "partly", ConsulUnreachable),
        ((), AWAY, None, ConsulUnreachable),
        ((), DENIED, None, NotPermitted),
    ],
)
def test_what_consul_did_not_do_ends_in_its_error_after_what_it_did(
    capsys: pytest.CaptureFixture[str],
    done: tuple[Edit, ...],
    error: ConsulError,
    outcome: str | None,
    kind: type[Exception],
) -> None:
    written = Written(done, (LEFT,), error=error)
    with pytest.raises(kind):
        Telling("e", as_json=True).outcome((*done, LEFT), written)
    assert [said["outcome"] for said in told(capsys)] == ([] if outcome is None else [outcome])
