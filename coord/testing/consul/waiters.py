"""Blocking queries that wait at a simulated Consul server for something to change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Waiter(Protocol):
    """A query that waits."""

    def look_again(self) -> None:
        """Something that it asked about has changed."""
        ...

    def abandoned(self) -> None:
        """The state it waits on is gone: Consul was restored."""
        ...


class Waiters:
    """Who waits for which key, prefix or service. Woken once, each then waits anew if it must."""

    __slots__ = ("_keys", "_prefixes", "_services", "any")

    def __init__(self) -> None:
        self._keys: dict[str, dict[Waiter, None]] = {}
        self._prefixes: dict[Waiter, str] = {}
        self._services: dict[str, dict[Waiter, None]] = {}
        self.any = False

    def on_key(self, key: str, waiter: Waiter) -> None:
        """Wake it at the next write of that key."""
        self._keys.setdefault(key, {})[waiter] = None
        self.any = True

    def on_prefix(self, prefix: str, waiter: Waiter) -> None:
        """Wake it at the next write of any key that starts so."""
        self._prefixes[waiter] = prefix
        self.any = True

    def on_service(self, name: str, waiter: Waiter) -> None:
        """Wake it at the next change of that service's health."""
        self._services.setdefault(name, {})[waiter] = None
        self.any = True

    def drop(self, waiter: Waiter) -> None:
        """It waits no more."""
        self._prefixes.pop(waiter, None)
        for table in (self._keys, self._services):
            for name in [name for name, waiting in table.items() if waiter in waiting]:
                del table[name][waiter]
                if not table[name]:
                    del table[name]
        self._look()

    def wake(self, keys: Iterable[str], services: Iterable[str]) -> None:
        """Those were written."""
        woken: dict[Waiter, None] = {}
        for key in keys:
            woken.update(self._keys.pop(key, {}))
            for waiter, prefix in self._prefixes.items():
                if key.startswith(prefix):
                    woken[waiter] = None
        for name in services:
            woken.update(self._services.pop(name, {}))
        for waiter in woken:
            self._prefixes.pop(waiter, None)
        self._look()
        for waiter in woken:
            waiter.look_again()

    def abandon(self) -> None:
        """Nothing that anybody waits for can happen here any more."""
        waiting: dict[Waiter, None] = dict.fromkeys(self._prefixes)
        for table in (*self._keys.values(), *self._services.values()):
            waiting.update(table)
        for waiter in waiting:
            waiter.abandoned()
        self.forget()

    def forget(self) -> None:
        """The server is gone, and all who waited at it."""
        self._keys, self._prefixes, self._services = {}, {}, {}
        self.any = False

    def _look(self) -> None:
        self.any = bool(self._keys or self._prefixes or self._services)
