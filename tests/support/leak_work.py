"""Work that blurts out what it must not, inside a real node: its tokens, in what it raises.

``COORDINATOR_WORKLOADS=leak_work:Blurts``. When the file LEAK_FILE appears, it raises once for
each line that stands in it.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from coord.leadership import Leadership
from coord.workloads import WorkContext
from demo.misbehaviour import OnFile

LEAK_FILE = "LEAK_FILE"


class Blurts:
    """Raises an error whose text has every token that the node was given."""

    name = "blurts"

    def __init__(self, context: WorkContext) -> None:
        settings = context.settings
        self._file = settings.consul_token_file
        self._given = [
            s.get_secret_value() for s in (settings.consul_token, settings.poller_token) if s
        ]

    async def run(self, leadership: Leadership) -> None:
        look = OnFile(Path(os.environ[LEAK_FILE]), self._blurt)
        while True:
            look()
            await asyncio.sleep(0.02)

    def _blurt(self) -> None:
        tokens = [*self._given]
        if self._file is not None:
            tokens.append(self._file.read_text().strip())
        raise RuntimeError(f"refused with {' and '.join(tokens)}") from ValueError(str(tokens))
