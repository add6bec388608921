"""What a term may be."""

from __future__ import annotations

MAX_TERM = 2**62
"""The highest term that there can be; nobody gets there but by editing a key."""
