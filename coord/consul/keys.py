"""Names that may become part of a path, checked before any path is built."""

from __future__ import annotations


def check_key(key: str) -> str:
    """`key`, if it is fit for Consul's KV, a check's id, or any other part of a path.

    Raises ValueError saying what is wrong: an unescaped ``..`` would reach other keys, and an
    empty segment makes Consul answer with a redirect.
    """
    if not key:
        raise ValueError("key: must not be empty")
    return check_prefix(key)


def check_prefix(prefix: str) -> str:
    """Like `check_key`, but "" is fine: it stands for everything."""
    if any(not c.isprintable() for c in prefix):
        raise ValueError(f"key {prefix!r}: must not have control characters")
    if prefix.startswith("/"):
        raise ValueError(f"key {prefix!r}: must not start with a slash")
    segments = prefix.split("/")
    if any(s in (".", "..") for s in segments):
        raise ValueError(f"key {prefix!r}: must not have . or .. between slashes")
    if any(not s for s in segments[:-1]):
        raise ValueError(f"key {prefix!r}: must not have two slashes in a row")
    return prefix
