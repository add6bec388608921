"""Reads a recording. Nothing in it is trusted: whoever has the file may have written it."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, NoReturn, TypeGuard

from console.recording.form import Decoder, Tree
from console.recording.frame import Frame, Header
from console.recording.patch import patched
from console.recording.writing import FORMAT
from console.snapshot import Snapshot

MOST_BYTES = 2 * 1024**3
"""Longer recordings, once they are decompressed, are not read."""

LINE_BYTES = 64 * 1024**2
"""Nor are longer lines."""

LATEST_S, LATEST_MS, LARGEST = 1e12, 10**13 - 1, 2**63
"""No clock is later, in seconds since boot and in milliseconds since 1970; no other number larger.
Whatever Consul holds is cut down to that when it is read."""

_WALL = frozenset({"at_ms", "from_ms", "until_ms", "since_ms", "oldest_ms"})
_MAGIC = b"\x1f\x8b"
_TIMES = frozenset({"read_at", "contact", "sessions_at"})
"""What changes in a fleet at rest: it is no change to step to. Likewise"""

_TIMES_IN = {
    "status": frozenset({"at_ms", "age_ms"}),
    "polls": frozenset({"at_ms", "last_ms", "open_runs"}),
    "said": frozenset({"at"}),
}
"""what changes within these."""


class RecordingError(Exception):
    """The recording cannot be played; the message names file, line and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """All of it. torn: its last line was not written to its end, and is left out."""

    path: Path
    header: Header
    frames: tuple[Frame, ...]
    torn: bool = False
    _decoder: Decoder = field(default_factory=Decoder, repr=False, compare=False)

    def snapshot(self, index: int) -> Snapshot:
        """What was known from that frame on.

        Raises:
            RecordingError: it makes no sense.
        """
        frame = self.frames[index]
        return _decoded(self.path, frame, self._decoder)


def read_recording(path: Path) -> Recording:
    """Read all of it, and look whether it makes sense.

    Raises:
        RecordingError: it is no recording, or is damaged in its midst, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            compressed = file.read(len(_MAGIC)) == _MAGIC
            file.seek(0)
            return _Reading(path).read(gzip.GzipFile(fileobj=file) if compressed else file)
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from None


def _wrong(path: Path, number: int, what: str) -> NoReturn:
    fix = (
        f"what stands before it can be kept: head -n {number - 1}"
        if number > 2
        else "name a file that coord-console --record has written"
    )
    raise RecordingError(f"{path}, line {number}: {what}; {fix}")


def _decoded(path: Path, frame: Frame, decoder: Decoder) -> Snapshot:
    try:
        return decoder.snapshot(frame.tree)
    except ValueError as error:
        _wrong(path, frame.line, str(error))


class _Reading:
    """One file being read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = False
        self._decoder = Decoder()

    def read(self, file: IO[bytes] | gzip.GzipFile) -> Recording:
        """The whole recording."""
        lines = self._lines(file)
        header = self._header(next(lines, None))
        frames: list[Frame] = []
        last: Frame | None = None
        for number, said in lines:
            last = self._frame(number, said, last)
            frames.append(last)
        if not frames:
            raise RecordingError(f"{self._path}: nothing was recorded in it; record for longer")
        return Recording(path=self._path, header=header, frames=tuple(frames), torn=self._torn)

    def _lines(self, file: IO[bytes] | gzip.GzipFile) -> Iterator[tuple[int, Any]]:
        """Each whole line, by its number, as JSON."""
        number, size = 0, 0
        for number, line in enumerate(self._raw(file), start=1):
            size += len(line)
            if len(line) > LINE_BYTES or size > MOST_BYTES:
                _wrong(self._path, number, "it is larger than any recording gets")
            if not line.endswith(b"\n"):
                self._torn = True
                return
            yield number, self._json(number, line)

    def _raw(self, file: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
        number = 0
        while True:
            try:
                line = file.readline(LINE_BYTES + 1)
            except EOFError:  # the compressed stream was not brought to its end
                self._torn = True
                return
            except (zlib.error, gzip.BadGzipFile):
                _wrong(self._path, number + 1, "from here on the compressed file is damaged")
            if not line:
                return
            number += 1
            yield line

    def _json(self, number: int, line: bytes) -> Any:
        try:
            return json.loads(line, parse_constant=_no_number)
        except RecursionError:
            _wrong(self._path, number, "it is nested too deep")
        except ValueError:
            _wrong(self._path, number, "it is no JSON")

    def _header(self, found: tuple[int, Any] | None) -> Header:
        said = found[1] if found is not None else None
        if not isinstance(said, dict) or "coord_recording" not in said:
            _wrong(self._path, 1, "it is not how a recording begins")
        if said["coord_recording"] not in range(1, FORMAT + 1):
            told = repr(said["coord_recording"])[:20]
            raise RecordingError(
                f"{self._path}, line 1: the format is {told}, and only 1 to {FORMAT} are known; "
                "play it with the version of coord that recorded it"
            )
        try:
            texts = {name: said[name] for name in ("election", "consul", "by")}
            began_ms = said["began_ms"]
        except KeyError as error:
            _wrong(self._path, 1, f"{error.args[0]} is missing")
        if not all(isinstance(text, str) for text in texts.values()) or type(began_ms) is not int:
            _wrong(self._path, 1, "election, consul and by are texts, began_ms is a number")
        return Header(began_ms=began_ms, **texts)

    def _frame(self, number: int, said: Any, last: Frame | None) -> Frame:
        at = said.get("at") if isinstance(said, dict) else None
        if not _is_number(at) or not 0 <= at <= LATEST_S:
            _wrong(self._path, number, "at: it is no number of seconds")
        if last is not None and at < last.at:
            _wrong(self._path, number, "at: it is earlier than the line before")
        before: Tree = {} if last is None else last.tree
        try:
            tree = patched(before, said.get("new"))
            _check_numbers(said["new"])
        except (ValueError, RecursionError) as error:
            _wrong(self._path, number, f"new: {error}")
        if not isinstance(tree, dict):
            _wrong(self._path, number, "new: it is no snapshot")
        told = last is None or not _only_time(said["new"])
        frame = Frame(line=number, at=float(at), tree=tree, told=told)
        snapshot = _decoded(self._path, frame, self._decoder)
        status = snapshot.status
        held = status is not None and status.leader.locked
        leads = (status.leader.node, status.leader.term or 0) if status and held else None
        known = last is not None and last.wall_ms > 0
        return replace(
            frame,
            wall_ms=0 if status is None else status.at_ms,
            leads=leads,
            changed=known and last is not None and last.leads != leads,
        )


def _only_time(patch: Any) -> bool:
    """Whether nothing has changed but when it was read, and how fast Consul answers."""
    if not isinstance(patch, dict) or set(patch) != {"~"}:
        return False
    changed = patch["~"]
    for name, inner in changed.items():
        if name in _TIMES_IN:
            if set(inner) != {"~"} or set(inner["~"]) - _TIMES_IN[name]:
                return False
        elif name == "past":
            if set(inner) != {"~"} or set(inner["~"]) != {"history"}:
                return False
            history = inner["~"]["history"]
            if set(history) != {"~"} or set(history["~"]) - {"at_ms"}:
                return False
        elif name not in _TIMES:
            return False
    return True


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_numbers(value: Any, name: str = "") -> None:
    """Raises ValueError where a number is larger than any that is written."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key != "details":  # an event may say what it likes
                _check_numbers(inner, name if key in "=~+-@#" else key)
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(inner, name)
    elif _is_number(value):
        most = LATEST_MS if name in _WALL else LATEST_S if isinstance(value, float) else LARGEST
        if abs(value) > most:
            raise ValueError(f"{name[:40]}: a number that is too large")


def _no_number(word: str) -> NoReturn:
    raise ValueError(word)
