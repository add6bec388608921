"""Writes a recording: a line for each change, on its way to the disk as soon as it is made."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from console.recording.form import Encoder, Tree
from console.recording.patch import difference
from console.snapshot import Snapshot
from coord.clock import Clock
from coord.telemetry.secrecy import Secrets

FORMAT = 4
"""The version of the format; that and older ones can be read. 2: with polls; 3: each of them; 4:
what nodes say themselves."""

LIMIT_BYTES = 512 * 1024 * 1024
"""A recording ends when its file, or what was written before compression, is so large."""

GZIP = ".gz"


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing is recorded any more, and why."""

    path: Path
    why: str


class Recorder:
    """Records what it is given. Its file is its own: one that is there already is left alone.

    secrets: what must not stand in it, wherever it would come from.
    on_end: is told when nothing can be recorded any more.

    Raises:
        OSError: the file cannot be made; FileExistsError: there is one.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        secrets: Iterable[str] = (),
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self.path = path
        self.changes = 0
        self.ended: Ended | None = None
        self.on_end: Callable[[Ended], object] = lambda _: None
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._secrets = Secrets()
        for secret in secrets:
            self.hide(secret)
        self._encoder = Encoder()
        self._last: Tree | None = None
        self._written = 0
        # Names and addresses of a fleet are nobody else's business.
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        self._file: BinaryIO = os.fdopen(number, "wb")
        self._out: BinaryIO | gzip.GzipFile = self._file
        if path.name.endswith(GZIP):
            self._out = gzip.GzipFile(fileobj=self._file, mode="wb", mtime=0)

    def hide(self, secret: str) -> None:
        """Put a mask in its place from now on: a token file may have another token by now."""
        self._secrets.add(secret)
        self._secrets.add(json.dumps(secret)[1:-1])

    def record(self, snapshot: Snapshot) -> None:
        """Write down what is new. What cannot be written ends the recording, and nothing else."""
        if self.ended is not None or not snapshot.election:
            return
        try:
            self._record(snapshot)
        except OSError as error:
            self._end(error.strerror or str(error))

    def _record(self, snapshot: Snapshot) -> None:
        tree = self._encoder.tree(snapshot)
        if self._last is None:
            self._write(self._header(snapshot))
        patch = {"=": tree} if self._last is None else difference(self._last, tree)
        if patch is None:
            return
        self._last = tree
        self._write({"at": round(self._clock.now(), 3), "new": patch})
        self.changes += 1
        if self._written > self._limit_bytes:
            self._end(f"it has reached {self._limit_bytes // 1024**2} MiB")

    def _header(self, snapshot: Snapshot) -> dict[str, Any]:
        return {
            "coord_recording": FORMAT,
            "election": snapshot.election,
            "consul": snapshot.address,
            "began_ms": self._clock.wall_ms(),
            "by": f"coord {version('coord')}",
        }

    def _write(self, line: dict[str, Any]) -> None:
        text = self._secrets.masked(json.dumps(line, separators=(",", ":"), ensure_ascii=True))
        said = text.encode() + b"\n"
        self._out.write(said)
        # After a crash all but the line that was being written can be read.
        if isinstance(self._out, gzip.GzipFile):
            self._out.flush(zlib.Z_SYNC_FLUSH)
        self._file.flush()
        self._written += len(said)

    def _end(self, why: str) -> None:
        self.ended = Ended(self.path, why)
        self.close()
        self.on_end(self.ended)

    @property
    def size_bytes(self) -> int:
        """How large its file is."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def close(self) -> None:
        """End the file; nothing more is written."""
        self.ended = self.ended or Ended(self.path, "closed")
        with suppress(OSError, ValueError):
            self._out.close()
        with suppress(OSError, ValueError):
            self._file.close()
