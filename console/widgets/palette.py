"""Textual's command palette, which cannot turn pages before it was drawn."""

from __future__ import annotations

from textual.command import CommandList, CommandPalette


class Palette(CommandPalette):
    """Opened by ctrl+p."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A list that is not laid out has no pages: to turn them there fails in Textual."""
        turns = action == "command_list" and parameters in (("page_up",), ("page_down",))
        if turns and not self.query_one(CommandList).virtual_size.height:
            return False
        return super().check_action(action, parameters)
