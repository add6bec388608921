"""Advice that names commands names keys here, as far as there are any."""

from __future__ import annotations

import pytest

from console.view.by_key import by_key


@pytest.mark.parametrize(
    ("said", "here"),
    [
        ("the end of the pause, or `coord resume`", "the end of the pause, or Resume (a r)"),
        ("It is to lead: coord transfer web.1.", "It is to lead: Transfer web.1 (a t)."),
        ("`coord undrain NODE` for one of them.", "Undrain (a u) for one of them."),
        ("`coord history --audit` says who", "the audit (5) says who"),
        ("`coord status core-2` says why", "the dashboard (1, then enter) says why"),
        ("look with `coord status`", "look with the dashboard (1)"),
        ("with --anyway it is done", 'with "Do it anyway" it is done'),
        ("`coord doctor --fix` does it now.", "`coord doctor --fix` does it now."),
        ("With: coord doctor --policy candidate.", "With: coord doctor --policy candidate."),
    ],
)
def test_what_has_a_key_is_said_with_it(said: str, here: str) -> None:
    assert by_key(said) == here
