"""What a class says of itself in its docstring: all of it, and each of its fields.

PURE. A docstring tells of its fields as in ``node: its name.`` or ``since_ms, until_ms: …``.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Mapping
from enum import Enum


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


def members_told(kind: type[Enum]) -> Mapping[str, str]:
    """What stands below each member of an enum, by its value; "" where nothing does."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    said = {member.value: "" for member in kind}
    for each, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
            member = kind.__members__.get(each.targets[0].id)
            text = after.value if isinstance(after, ast.Expr) else None
            if member is not None and isinstance(text, ast.Constant):
                said[member.value] = " ".join(str(text.value).split())
    return said
