"""What a class says of itself in its docstring: all of it, and each of its fields.

PURE. A docstring tells of its fields as in ``node: its name.`` or ``since_ms, until_ms: …``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping


def told(kind: type, names: Iterable[str]) -> tuple[str, Mapping[str, str]]:
    """What its docstring says before its fields, and what it says of those of them that it names.

    Of a field that is named twice, both are told.
    """
    text = " ".join(inspect.cleandoc(kind.__doc__ or "").split())
    name = "|".join(map(re.escape, names))
    if not name:
        return text, {}
    parts = re.split(rf"(?:^|(?<= ))((?:{name})(?:, (?:{name}))*): ", text)
    said: dict[str, str] = {}
    for several, part in zip(parts[1::2], parts[2::2], strict=True):
        for each in several.split(", "):
            said[each] = f"{said[each]} {part.strip()}" if each in said else part.strip()
    return parts[0].strip(), said
