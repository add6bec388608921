"""Advice that names a command of `coord`, with the key that does the same here. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from console.controls.actions import ACTIONS
from console.view.line import Line, Span
from console.view.rooms import Where

_ACTIONS = {action.operation.value.replace("_", "-"): action for action in ACTIONS}
_ROOMS: Mapping[str, str] = MappingProxyType(
    {
        "history --audit": f"the audit ({Where.AUDIT.key})",
        "history": f"the events ({Where.EVENTS.key})",
        "status": f"the dashboard ({Where.DASHBOARD.key})",
        "schedule list": f"the polls ({Where.POLLS.key})",
        "schedule show ID": f"the polls ({Where.POLLS.key}, then enter)",
        "status NODE": f"the dashboard ({Where.DASHBOARD.key}, then enter)",
    }
)
_COMMAND = "coord "
_FLAG, _BUTTON = "--anyway", '"Do it anyway"'
_ANY_NODE = "NODE"
_VERBS = "|".join(_ACTIONS)
_QUOTED = re.compile(rf"`coord (?:(?P<verb>{_VERBS})(?: (?P<node>[^` ]+))?|(?P<look>[^`]+))`")
_BARE = re.compile(rf"\bcoord (?P<verb>{_VERBS})(?: (?P<node>[\w.-]*\w))?")


def by_key(text: str) -> str:
    """The text with the keys in place of the commands; what has no key here stays a command."""
    said = text.replace(_FLAG, _BUTTON)
    if _COMMAND not in said:
        return said
    return _BARE.sub(_action, _QUOTED.sub(_action_or_room, said))


def lines_by_key(lines: Iterable[Line]) -> tuple[Line, ...]:
    """The same of lines."""
    return tuple(tuple(Span(by_key(span.text), span.tone) for span in line) for line in lines)


def _action(found: re.Match[str]) -> str:
    action, node = _ACTIONS[found["verb"]], found["node"]
    named = f" {node}" if node and node != _ANY_NODE else ""
    return f"{action.title}{named} (a {action.key})"


def _action_or_room(found: re.Match[str]) -> str:
    if found["verb"]:
        return _action(found)
    look = found["look"]
    name, _, node = look.partition(" ")
    if name == "status" and node:
        look = f"{name} {_ANY_NODE}"
    return _ROOMS.get(look, found[0])
