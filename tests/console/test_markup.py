"""What Textual reads as markup elsewhere is plain text here, wherever it comes from."""

from __future__ import annotations

from dataclasses import replace

import pytest
from console_bench import seated
from console_scenes import LEADER, fleet, of
from snapshots import candidate, snapshot
from textual.command import CommandList
from textual.content import Content

from console.widgets.details import Details
from console.widgets.markup import as_markup

NAMES = (
    "bad[/x]name",
    "[/]",
    "[core-1]",
    "[red]evil[/red]",
    "[@click=app.quit]x[/]",
    "[$primary]a",
    "back\\[slash]",
)


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_is_text_in_titles_and_in_the_palette(name: str) -> None:
    leads = candidate(name, state="leading", why_not="not_applicable")
    scene = of(snapshot(leads, *fleet()[1:], leader=replace(LEADER, node=name)))
    async with seated(scene, (200, 60)) as seat:
        await seat.press("home", "enter")
        title = seat.board.query_one(Details)._border_title
        assert isinstance(title, Content)
        assert title.plain == name
        assert not title.spans
        await seat.press("escape", "ctrl+p")
        await seat.app.workers.wait_for_complete(
            [worker for worker in seat.app.workers if worker.node is seat.app.screen]
        )
        await seat.pilot.pause()
        assert f"Drain {name}" in shown(seat.app.screen.query_one(CommandList))
        await seat.press("escape")


def shown(listed: CommandList) -> list[str]:
    prompts = (listed.get_option_at_index(number).prompt for number in range(listed.option_count))
    return [str(each).splitlines()[0] for each in prompts]


@pytest.mark.parametrize("words", NAMES)
async def test_words_to_filter_by_are_text_in_the_title(words: str) -> None:
    async with seated(of(snapshot(*fleet(), leader=LEADER)), (200, 60)) as seat:
        await seat.press("slash")
        await seat.type(words)
        title = seat.board.query_one("#nodes-room")._border_title
        assert isinstance(title, Content)
        assert f"0 of 5 with '{words}'" in title.plain


@pytest.mark.parametrize("text", NAMES)
def test_as_markup_it_is_the_same_text(text: str) -> None:
    assert Content.from_markup(as_markup(text)).plain == text
