"""What must never be shown is masked wherever an event carries it, whenever it became known."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from coord.clock import SystemClock
from coord.telemetry import ChildRestarted, Telemetry, to_dict
from coord.telemetry.secrecy import KEPT, MASK, SHORTEST_PART, Secrets

SECRET = "0123abcd-4567-89ef-0123-456789abcdef"


@dataclass(frozen=True)
class Who:
    node: str = "core-1"
    node_type: str = "core"
    election: str = "coordinator"


def test_each_secret_is_masked_and_the_rest_stays() -> None:
    secrets = Secrets([SECRET, "other-secret", "abc", ""])
    text = f"GET /?token={SECRET}&also=other-secret, abc"
    assert secrets.masked(text) == f"GET /?token={MASK}&also={MASK}, abc"
    assert Secrets().masked(text) == text


def test_one_that_becomes_known_later_is_masked_from_then_on() -> None:
    secrets = Secrets()
    assert secrets.masked(SECRET) == SECRET
    secrets.add(SECRET)
    assert secrets.masked(f"a {SECRET} b") == f"a {MASK} b"


def test_of_two_the_longer_one_is_masked_whole() -> None:
    assert Secrets(["secret", "secret-and-more"]).masked("secret-and-more") == MASK


@pytest.mark.parametrize("length", [SHORTEST_PART, 20, len(SECRET) - 1])
def test_one_that_was_cut_off_at_the_end_is_masked(length: int) -> None:
    secrets = Secrets([SECRET])
    assert secrets.masked(f"refused with {SECRET[:length]}") == f"refused with {MASK}"
    assert secrets.masked(f"refused with {SECRET[:3]}") == f"refused with {SECRET[:3]}"


def test_only_so_many_are_kept_the_newest() -> None:
    secrets = Secrets([SECRET])
    for number in range(KEPT):
        secrets.add(f"secret-number-{number}-")
    assert secrets.masked(SECRET) == SECRET
    assert secrets.masked(f"secret-number-{KEPT - 1}-") == MASK


def test_no_event_carries_one_to_anybody() -> None:
    secrets = Secrets()
    telemetry = Telemetry(Who(), SystemClock(), secrets=secrets)
    heard: list[str] = []
    telemetry.attach_inline(lambda event: heard.append(str(to_dict(event))))
    secrets.add(SECRET)
    telemetry.emit(ChildRestarted, child="work", error=f"denied to {SECRET}", restarts=1)
    (event,) = telemetry.recent
    assert isinstance(event, ChildRestarted)
    assert event.error == f"denied to {MASK}"
    assert SECRET not in heard[0]
    assert MASK in heard[0]
