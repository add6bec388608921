"""The simulated network: what becomes of a message."""

from __future__ import annotations

import random
from functools import partial

import pytest
from stepped import SteppedScheduler

from coord.testing import SimulatedConsul, World
from coord.testing.consul.network import LAN, LOCAL, LinkSettings, Network


class Post:
    """A network, and when each message sent over it arrived."""

    def __init__(self, seed: int = 1) -> None:
        self.scheduler = SteppedScheduler()
        self.network = Network(self.scheduler, random.Random(seed))
        self.arrived: list[tuple[int, float]] = []

    def send(self, count: int, source: str = "a", target: str = "b") -> None:
        """Send numbered messages, all now."""
        for number in range(count):
            self.network.send(source, target, partial(self._arrive, number))

    def _arrive(self, number: int) -> None:
        self.arrived.append((number, self.scheduler.now()))

    async def numbers(self, seconds: float) -> list[int]:
        """Those that arrive within so many seconds."""
        self.arrived.clear()
        await self.scheduler.pass_time(seconds)
        return [number for number, _ in self.arrived]


async def test_messages_arrive_once_within_the_links_delay() -> None:
    post = Post()
    post.send(200)
    assert sorted(await post.numbers(1.0)) == list(range(200))
    low, high = LAN.delay_s
    assert all(low <= when <= high for _, when in post.arrived)
    assert len({when for _, when in post.arrived}) > 100


async def test_a_kind_of_link_is_chosen_by_its_ends() -> None:
    post = Post()
    post.network.kind = lambda source, target: LOCAL if "/" in source else None
    assert post.network.link("a/process", "a").settings == LOCAL
    assert post.network.link("a", "b").settings == LAN


async def test_a_lossy_link_loses_some() -> None:
    post = Post()
    post.network.set("a", "b", loss=0.5)
    post.send(400)
    assert 120 < len(await post.numbers(1.0)) < 280


async def test_a_doubling_link_delivers_some_again_later() -> None:
    post = Post()
    post.network.set("a", "b", double=0.5, double_after_s=(2.0, 3.0))
    post.send(400)
    assert len(await post.numbers(1.0)) == 400
    assert 120 < len(await post.numbers(3.0)) < 280


async def test_a_late_link_holds_some_back() -> None:
    post = Post()
    post.network.set("a", "b", late=0.5, late_s=(10.0, 20.0))
    post.send(400)
    soon = await post.numbers(9.0)
    late = await post.numbers(15.0)
    assert sorted(soon + late) == list(range(400))
    assert 120 < len(late) < 280


async def test_a_cut_has_a_direction_and_spares_what_is_on_its_way() -> None:
    post = Post()
    post.send(1)
    post.network.cut("a", "b")
    assert await post.numbers(1.0) == [0]
    assert not post.network.connected("a", "b")
    assert post.network.connected("b", "a")
    assert not post.network.joined("a", "b")
    post.send(1)
    post.send(1, "b", "a")
    assert await post.numbers(1.0) == [0]
    post.network.heal("a", "b")
    post.send(1)
    assert await post.numbers(1.0) == [0]


async def test_what_is_sent_over_a_cut_may_wait_for_it_to_heal() -> None:
    """As on a TCP connection: in order, and lost once the connection would have broken."""
    post = Post()
    post.network.set("a", "b", kept_s=10.0, cut=True)
    post.send(3)
    await post.numbers(6.0)
    post.send(20)
    assert await post.numbers(6.0) == []
    post.network.heal("a", "b")
    assert await post.numbers(1.0) == list(range(20))
    post.network.cut("a", "b")
    post.send(3)
    post.network.link("a", "b").forget()
    post.network.heal("a", "b")
    assert await post.numbers(1.0) == []


async def test_healing_all_takes_every_fault_away() -> None:
    post = Post()
    post.network.cut_both("a", "b")
    post.network.set("a", "c", loss=1.0, double=1.0)
    assert post.network.cuts() == [("a", "b"), ("b", "a")]
    changes: list[int] = []
    post.network.on_change(lambda: changes.append(1))
    post.network.heal_all()
    assert changes == [1]
    assert post.network.cuts() == []
    assert post.network.link("a", "c").settings == LAN


@pytest.mark.parametrize(
    "wrong", [{"delay_s": (2.0, 1.0)}, {"loss": 1.5}, {"late_s": (-1.0, 1.0)}, {"double": -0.1}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LinkSettings(**wrong)  # type: ignore[arg-type]


def test_an_endpoint_that_nobody_is_cannot_be_cut() -> None:
    with World() as world:
        consul = SimulatedConsul(world, rng=random.Random(1), servers=1)
        consul.agent("node-1")
        consul.network.cut_both("node-1", "server-1")
        consul.network.cut("node-1/process", "node-1")
        with pytest.raises(ValueError, match="no endpoint 'nod-1'"):
            consul.network.cut_both("nod-1", "server-1")
        assert len(consul.network.cuts()) == 3
        # Whoever was sent something is there.
        consul.network.send("server-1", "receiver", lambda: None)
        consul.network.cut("node-1", "receiver")
