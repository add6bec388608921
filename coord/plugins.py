"""What installed packages offer by entry points: workloads, event handlers, sinks of results.

Each is named in a setting by the name of its entry point, or by reference, as
`package.module:object`: for what no installed package offers.
"""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint, entry_points
from typing import Any

_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class PluginError(ValueError):
    """Something that a setting names cannot be used.

    field: the setting to look at. kind: what it was to be, for people. name: as it was named.
    """

    def __init__(self, field: str, kind: str, name: str, message: str) -> None:
        super().__init__(f"{kind} {name!r}: {message}")
        self.field = field
        self.kind = kind
        self.name = name


class Plugins:
    """One group of entry points, named in one setting.

    group: of the entry points. field: the setting. kind: what they are, for people.
    """

    def __init__(self, group: str, *, field: str, kind: str) -> None:
        self.group = group
        self._field = field
        self._kind = kind

    def known(self) -> tuple[str, ...]:
        """The names of all that the installed packages offer, sorted."""
        return tuple(sorted({entry.name for entry in entry_points(group=self.group)}))

    def error(self, name: str, message: str) -> PluginError:
        """Why `name` cannot be used."""
        return PluginError(self._field, self._kind, name, message)

    def make(self, name: str, context: object) -> tuple[Any, str]:
        """What the object of that name gives when it is called with `context`, and what it is
        called in messages.

        Raises:
            PluginError: the name is unknown, or two packages offer it, or it cannot be loaded or
                made.
        """
        entry = self._find(name)
        try:
            factory = entry.load()
        except Exception as error:
            raise self.error(name, f"{entry.value} cannot be loaded: {_tell(error)}") from error
        return self.call(name, factory, context, called=entry.value), entry.value

    def call(self, name: str, factory: Any, context: object, *, called: str) -> Any:
        """What `factory` gives for `context`.

        Raises:
            PluginError: it cannot be called so, or fails.
        """
        if not callable(factory):
            what = type(context).__name__
            raise self.error(name, f"{called} is not callable with a {what}")
        try:
            return factory(context)
        except Exception as error:
            raise self.error(name, f"{called} cannot be made: {_tell(error)}") from error

    def _find(self, name: str) -> EntryPoint:
        if ":" in name:
            if _REFERENCE.fullmatch(name) is None:
                written = "by reference is written `package.module:object`"
                raise self.error(name, f"what is named {written}")
            return EntryPoint(name=name, value=name, group=self.group)
        found = {entry.value: entry for entry in entry_points(group=self.group, name=name)}
        if not found:
            known = ", ".join(self.known()) or "none: is the package installed?"
            raise self.error(name, f"no installed package offers it; known are: {known}")
        if len(found) > 1:
            raise self.error(name, f"offered more than once: {', '.join(sorted(found))}")
        return next(iter(found.values()))


def _tell(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
