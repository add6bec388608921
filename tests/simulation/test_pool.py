"""A simulation that is killed leaves no process behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from consul_agents import eventually

from demo import REPO

PROGRAM = """
import os, time
from tests.simulation.pool import pool_of
if __name__ == "__main__":
    with pool_of(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(600)
"""


async def test_workers_end_with_a_parent_that_is_killed() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM), cwd=REPO, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    worker = int(await process.stdout.readline())
    os.kill(worker, 0)
    process.send_signal(signal.SIGKILL)
    await process.wait()

    async def gone() -> bool:
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return True
        return False

    await eventually(gone)
