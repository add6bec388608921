"""Pictures of the console as SVG that stays the same while what it shows does."""

from __future__ import annotations

import re

_FONT_FACE = re.compile(r"\s*@font-face\s*\{.*?\}", re.S)
_COMMENT = re.compile(r"<!--.*?-->\s*", re.S)
_ID = re.compile(r"terminal-[0-9]+|[a-z-]*-[0-9]+(?=-(?:matrix|title|r[0-9]+|line-[0-9]+|clip))")
_CLIP = re.compile(r'\s*<clipPath id="[^"]*-line-[0-9]+">.*?</clipPath>', re.S)
_CLIPPED = re.compile(r' clip-path="url\(#[^"]*-line-[0-9]+\)"')
_ENDS = re.compile(r"(?<=>)(?=<(?:text|rect|g|/g|circle))")


def normalised(svg: str) -> str:
    """The picture without what differs from one export to the next, an element a line.

    The fonts that the export names are on other machines, and are left out: any monospaced one
    will do, since every text says how long it is.
    """
    for pattern, instead in (
        (_FONT_FACE, ""),
        (_COMMENT, ""),
        (_CLIP, ""),
        (_CLIPPED, ""),
        (_ID, "t"),
        (_ENDS, "\n"),
    ):
        svg = pattern.sub(instead, svg)
    lines = (line.strip() for line in svg.splitlines())
    return "\n".join(line for line in lines if line) + "\n"
