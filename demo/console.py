"""``python -m demo.console``, `make console`: the demo's fleet, and the console open on it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from agents import AgentConfig, AgentError, ConsulAgent
from coord.consul import ConsulError
from demo.__main__ import FAILED, INTERRUPTED, SIGNALS, Interrupted, interruptible, run_directory
from demo.fleet import Fleet, NodeError
from demo.story import NODES
from get_consul import ObtainError

WORKLOADS = "cluster-health,poll-orchestrator"
NO_TERMINAL = (
    "console: there is no terminal to draw on. What needs none: `make demo`, and, on a Consul of "
    "yours, `coord-console --once`, `--json` or `--record FILE`"
)
USAGE = 2


@contextlib.asynccontextmanager
async def running_fleet(
    directory: Path, nodes: Sequence[str] = NODES
) -> AsyncIterator[tuple[ConsulAgent, Fleet]]:
    """A Consul of its own, and a fleet on it of which one node leads; all of it ends afterwards.

    Raises:
        AgentError, NodeError, ObtainError, TimeoutError: it does not come to that.
    """
    agent = ConsulAgent(AgentConfig(name="demo", directory=directory / "consul"))
    try:
        await asyncio.to_thread(agent.start)
        await asyncio.to_thread(agent.wait_ready)
        async with Fleet(agent.http_addr, directory, workloads=WORKLOADS) as fleet:
            await fleet.start(*nodes)
            await fleet.leader()
            yield agent, fleet
    finally:
        agent.stop()


async def _opened(directory: Path, words: Sequence[str]) -> int:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)
    async with running_fleet(directory) as (agent, _):
        # Its own settings, whatever else is set here for another Consul.
        ours = {
            k: v for k, v in os.environ.items() if not k.startswith(("CONSUL_", "COORDINATOR_"))
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "console", *words),
            env=ours | {"CONSUL_HTTP_ADDR": agent.http_addr},
        )
        left = asyncio.create_task(process.wait(), name="console")
        stopping = asyncio.create_task(stop.wait(), name="signal")
        await asyncio.wait((left, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not left.done():
            process.send_signal(signal.SIGTERM)
            await left
            return INTERRUPTED
        print("console: ending the fleet", file=sys.stderr, flush=True)
        return await left


def main() -> int:
    """Open it; words go to `coord-console`. Gives its exit status."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print(NO_TERMINAL, file=sys.stderr)
        return USAGE
    try:
        with interruptible(), run_directory(None) as (directory, _):
            print("console: starting Consul and five nodes", file=sys.stderr, flush=True)
            return asyncio.run(_opened(directory, sys.argv[1:]))
    except (Interrupted, KeyboardInterrupt):
        return INTERRUPTED
    except (AgentError, NodeError, ObtainError, ConsulError, TimeoutError, OSError) as error:
        print(f"console: {error}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
