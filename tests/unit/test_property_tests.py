"""Property tests do not depend on how fast the machine is."""

from __future__ import annotations

import time

from hypothesis import Phase, given, settings
from hypothesis import strategies as st


@settings(max_examples=2, database=None, phases=[Phase.generate])
@given(st.integers(), st.data())
def test_examples_that_take_long_to_make_and_to_run_are_no_failure(
    number: int, data: st.DataObject
) -> None:
    data.draw(st.integers().map(_slowly))
    time.sleep(0.3)  # longer than the deadline that hypothesis has of its own


def _slowly(number: int) -> int:
    time.sleep(0.6)  # in two examples: longer than it lets the making of the first ones take
    return number
