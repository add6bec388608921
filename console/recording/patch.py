"""What differs between two values of JSON, and how to apply it. Pure.

A patch is itself JSON:

- ``{"=": value}``: another value;
- ``{"~": {key: patch}, "+": {key: value}, "-": [key]}``: an object, changed there;
- ``{"@": [[index, patch]], "#": [[from, to, [item]]]}``: a list, whose items are changed there, and
  then replaced between these places; all places are of the list before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

Patch = dict[str, Any]


def difference(old: Any, new: Any) -> Patch | None:
    """What makes `new` of `old`; None: they are the same."""
    if old is new or (type(old) is type(new) and old == new):
        return None
    if isinstance(old, dict) and isinstance(new, dict):
        return _of_objects(old, new)
    if isinstance(old, list) and isinstance(new, list):
        return _of_lists(old, new)
    return {"=": new}


def _of_objects(old: dict[str, Any], new: dict[str, Any]) -> Patch | None:
    changed = {k: difference(old[k], new[k]) for k in new if k in old}
    parts = {
        "~": {k: patch for k, patch in changed.items() if patch is not None},
        "+": {k: value for k, value in new.items() if k not in old},
        "-": [k for k in old if k not in new],
    }
    return {name: part for name, part in parts.items() if part} or None


def _of_lists(old: list[Any], new: list[Any]) -> Patch | None:
    changed: list[list[Any]] = []
    spliced: list[list[Any]] = []
    for i, j, k, end in _stretches(old, new):
        if j - i == end - k:
            pairs = zip(range(i, j), range(k, end), strict=True)
            found = ((at, difference(old[at], new[other])) for at, other in pairs)
            changed += [[at, patch] for at, patch in found if patch is not None]
        else:
            spliced.append([i, j, new[k:end]])
    parts = {"@": changed, "#": spliced}
    return {name: part for name, part in parts.items() if part} or None


def _stretches(old: list[Any], new: list[Any]) -> list[tuple[int, int, int, int]]:
    """Where they differ: from and to in the one, from and to in the other."""
    most = min(len(old), len(new))
    head = next((i for i in range(most) if old[i] != new[i]), most)
    tail = next((i for i in range(most - head) if old[-1 - i] != new[-1 - i]), most - head)
    within_old, within_new = (_keys(each[head : len(each) - tail]) for each in (old, new))
    codes = SequenceMatcher(None, within_old, within_new, autojunk=False).get_opcodes()
    return [
        (i + head, j + head, k + head, end + head) for tag, i, j, k, end in codes if tag != "equal"
    ]


def _keys(items: Sequence[Any]) -> list[str]:
    return [json.dumps(item) for item in items]


def patched(old: Any, patch: Any) -> Any:
    """`old` with the patch; what does not change is shared with it.

    Raises:
        ValueError: it is no patch of that value; says where.
    """
    if not isinstance(patch, dict) or not patch:
        raise ValueError("there is no change where one must be")
    kinds = set(patch)
    if kinds == {"="}:
        return patch["="]
    if kinds <= {"~", "+", "-"}:
        return _object(old, patch)
    if kinds <= {"@", "#"}:
        return _list(old, patch)
    raise ValueError(f"{sorted(kinds)[0][:20]!r} is no kind of change")


def _object(old: Any, patch: Patch) -> dict[str, Any]:
    changed, added, gone = patch.get("~", {}), patch.get("+", {}), patch.get("-", [])
    if not (isinstance(old, dict) and isinstance(changed, dict) and isinstance(added, dict)):
        raise ValueError("a change of an object where there is none")
    if not isinstance(gone, list) or not all(isinstance(key, str) and key in old for key in gone):
        raise ValueError("a field is taken away that is not there")
    new = {key: value for key, value in old.items() if key not in gone}
    for key, inner in changed.items():
        if key not in new:
            raise ValueError(f"the field {key[:40]!r} is changed, but it is not there")
        try:
            new[key] = patched(new[key], inner)
        except ValueError as error:
            raise ValueError(f"{key[:40]}: {error}") from None
    return new | added


def _list(old: Any, patch: Patch) -> list[Any]:
    changed, spliced = patch.get("@", []), patch.get("#", [])
    if not isinstance(old, list):
        raise ValueError("a change of a list where there is none")
    new = list(old)
    for at, inner in _rows(changed, 2):
        if not _place(at, len(old) - 1):
            raise ValueError("an item is changed that is not there")
        new[at] = patched(new[at], inner)
    before = len(old)
    for begin, end, items in reversed(_rows(spliced, 3)):
        fits = _place(begin, len(old)) and _place(end, before) and begin <= end
        if not fits or not isinstance(items, list):
            raise ValueError("items are replaced that are not there")
        new[begin:end] = items
        before = begin
    return new


def _rows(found: Any, length: int) -> list[list[Any]]:
    if not isinstance(found, list) or not all(
        isinstance(row, list) and len(row) == length for row in found
    ):
        raise ValueError("a change of a list that is none")
    return found


def _place(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
