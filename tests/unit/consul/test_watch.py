"""The watch's own decisions, on scripted answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress

import pytest

from coord.consul import ConsulUnavailable, Reply, WatchError, watch

DOWN = ConsulUnavailable("GET /v1/kv/a", "down")


class Script:
    """Answers in order; notes what it was asked and how long the watch paused.

    held_s: how long each answer to a blocking query takes.
    """

    def __init__(self, answers: Sequence[Reply[str] | Exception], held_s: float) -> None:
        self.answers = list(answers)
        self.held_s = held_s
        self.time = 1000.0
        self.asked: list[int | None] = []
        self.pauses: list[float] = []

    async def query(self, index: int | None) -> Reply[str]:
        if not self.answers:
            raise EndOfScript
        self.asked.append(index)
        self.time += self.held_s if index is not None else 0.0
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.pauses.append(seconds)


class EndOfScript(Exception):  # noqa: N818  # it is no error
    """Nothing is left to answer."""


async def run(
    answers: Sequence[Reply[str] | Exception],
    jitter: Callable[[], float] = lambda: 1.0,
    held_s: float = 60.0,
) -> tuple[list[str], Script]:
    """What the watch yields (errors as "!n"), and the script it ran through."""
    script = Script(answers, held_s)
    seen: list[str] = []
    watching = watch(script.query, jitter=jitter, sleep=script.sleep, now=script.now)
    with suppress(EndOfScript):
        async with aclosing(watching) as replies:
            async for reply in replies:
                seen.append(f"!{reply.attempt}" if isinstance(reply, WatchError) else reply.value)
    assert script.answers == []
    return seen, script


async def test_the_first_answer_and_each_change_are_yielded() -> None:
    seen, script = await run([Reply("a", 5), Reply("a", 5), Reply("b", 6), Reply("b", 6)])
    assert seen == ["a", "b"]
    assert script.asked == [None, 5, 5, 6]
    assert script.pauses == []


async def test_an_index_that_goes_back_starts_over() -> None:
    seen, script = await run([Reply("a", 50), Reply("b", 7), Reply("b", 7), Reply("c", 8)])
    assert seen == ["a", "b", "b", "c"]
    assert script.asked == [None, 50, None, 7]


async def test_without_an_index_it_polls_with_a_pause() -> None:
    seen, script = await run([Reply("a", 0), Reply("b", 0), Reply("c", 3)])
    assert seen == ["a", "b", "c"]
    assert script.asked == [None, None, None]
    assert script.pauses == [2.0, 2.0]


async def test_errors_are_yielded_and_the_answer_after_them_always() -> None:
    seen, script = await run([Reply("a", 5), DOWN, DOWN, Reply("a", 5), DOWN])
    assert seen == ["a", "!1", "!2", "a", "!1"]
    assert script.asked == [None, 5, None, None, 5]


async def test_the_pause_doubles_up_to_a_limit_and_starts_over() -> None:
    _, script = await run([DOWN] * 7 + [Reply("a", 1), DOWN])
    assert script.pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 0.1])


async def test_jitter_halves_the_pause_at_most() -> None:
    _, script = await run([DOWN], jitter=lambda: 0.0)
    assert script.pauses == [0.05]


async def test_who_answers_at_once_with_nothing_new_is_asked_ever_more_seldom() -> None:
    """As a proxy does that knows nothing of blocking queries."""
    seen, script = await run([Reply("a", 5)] * 10, held_s=0.002)
    assert seen == ["a"]
    assert script.pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0])


async def test_indexes_that_go_to_and_fro_at_once_are_asked_ever_more_seldom() -> None:
    """As they do behind a proxy to servers of which one is behind."""
    seen, script = await run([Reply("a", 9), Reply("b", 7)] * 4, held_s=0.002)
    assert seen == ["a", "b"] * 4
    assert script.pauses == pytest.approx([0.1, 0.2, 0.4])


async def test_a_query_that_ran_out_of_its_time_is_asked_anew_at_once() -> None:
    seen, script = await run([Reply("a", 5)] * 10, held_s=60.0)
    assert seen == ["a"]
    assert script.pauses == []


async def test_a_change_ends_the_pauses() -> None:
    answers = [Reply("a", 5)] * 4 + [Reply("b", 6)] * 3
    _, script = await run(answers, held_s=0.002)
    assert script.pauses == pytest.approx([0.1, 0.2, 0.1])


async def test_other_exceptions_are_not_swallowed() -> None:
    async def broken(index: int | None) -> Reply[str]:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        await anext(watch(broken, jitter=lambda: 0.0))
