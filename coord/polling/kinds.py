"""Kinds of check that a user brings: found through entry points, as workloads are.

    [project.entry-points."coord.checks"]
    postgres = "acme.checks:Postgres"

The object is called once, when the poller starts, with a `CheckContext`, and gives an object with
a `kind`, as schedules name it, and an ``async def run(check)``: see `Kind`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from coord.clock import Clock
from coord.config import Settings
from coord.identity import Identity
from coord.plugins import Plugins
from coord.polling.check_failed import CheckFailed
from coord.polling.check_records import Word
from coord.polling.dialling import Dialler
from coord.polling.records import CheckError, CheckKind, OtherCheck

__all__ = [
    "GROUP",
    "CheckContext",
    "CheckError",
    "CheckFailed",
    "Kind",
    "OtherCheck",
    "load_kinds",
]

GROUP = "coord.checks"
"""The entry point group in which they are named."""

_PLUGINS = Plugins(GROUP, field="poller_checks", kind="check")
_WORD: TypeAdapter[str] = TypeAdapter(Word)


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What a kind of check is made with.

    settings: this poller's effective settings.
    identity: who this poller is.
    clock: the one clock to use.
    dialler: makes connections, but to no forbidden address: use it for every one.
    """

    settings: Settings
    identity: Identity
    clock: Clock
    dialler: Dialler


class Kind(Protocol):
    """A kind of check."""

    @property
    def kind(self) -> str:
        """What schedules call it."""
        ...

    async def run(self, check: OtherCheck) -> None:
        """Return if the target is up; raise `CheckFailed` if it is not.

        Cancelled when the check's time is over. Whatever else is raised is told as `internal`.
        What blocks belongs into a thread (`asyncio.to_thread`): a poller has one event loop.
        """
        ...


def load_kinds(names: Iterable[str], context: CheckContext) -> Mapping[str, Kind]:
    """The kinds of these names, by what schedules call them.

    Raises:
        PluginError: a name is unknown, or two packages offer it, or what it names cannot be
            loaded or made, or is no kind of check, or is called what another is.
    """
    kinds: dict[str, Kind] = {}
    for name in names:
        made, called = _PLUGINS.make(name, context)
        kind = _word(getattr(made, "kind", None))
        if kind is None or not inspect.iscoroutinefunction(getattr(made, "run", None)):
            what = type(made).__name__
            raise _PLUGINS.error(
                name,
                f"{called} gave a {what}: it must give an object with a `kind`, of small letters, "
                "digits and - _ . with a letter first, and an `async def run(check)`",
            )
        if kind in frozenset(CheckKind) or kind in kinds:
            raise _PLUGINS.error(name, f"the kind {kind} is there already; call it otherwise")
        kinds[kind] = made
    return MappingProxyType(kinds)


def _word(text: object) -> str | None:
    try:
        return _WORD.validate_python(text, strict=True)
    except ValidationError:
        return None
