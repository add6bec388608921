"""The line that names the screens and says which of them this is."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Static

from console.view.rooms import Where


class Tab(Static):
    """One screen; a click goes there."""

    class Chosen(Message):
        """Somebody wants to go there."""

        def __init__(self, where: Where) -> None:
            super().__init__()
            self.where = where

    def __init__(self, where: Where, *, here: bool) -> None:
        name = f"{where.key} {where.label}"
        # In brackets, so that it does not take a colour to see it.
        super().__init__(f"[{name}]" if here else f" {name} ", markup=False)
        self._where = where
        self.set_class(here, "-here")

    def on_click(self) -> None:
        """Go there."""
        self.post_message(self.Chosen(self._where))


class Tabs(Horizontal):
    """All of them."""

    def __init__(self, here: Where, *, id: str) -> None:
        super().__init__(id=id)
        self._here = here

    def compose(self) -> ComposeResult:
        """In the order of their keys."""
        for where in Where:
            yield Tab(where, here=where is self._here)
