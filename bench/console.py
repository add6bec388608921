"""What the console costs, and how soon it shows what has changed: in a terminal, on a real Consul.

The fleet is registered by hand, as its nodes would do it, so that nothing else takes the machine's
time; its journal is full.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agents import AgentConfig, AgentError, ConsulAgent
from bench.idle import TELEMETRY, count, cpu_s, is_request, rates, rss_mb
from bench.stats import Summary, summarise
from coord.clock import SystemClock
from coord.consul import (
    CheckStatus,
    ConsulAddress,
    ConsulClient,
    ServiceRegistration,
    TtlCheck,
    TxnOp,
)
from coord.records import LeaderRecord, LeaderState, Paths, encode_term
from coord.telemetry import BecameLeader, to_dict
from coord.telemetry.journal import KEPT_ENTRIES
from demo import REPO

SMALL, LARGE = 5, 1000
CHANGES = 30
PAUSE_S = 1.0
"""Between two changes, so that each is read alone."""
SETTLE_S = 10.0
PICTURE_WAIT_S = 120.0

_CONTROLS = re.compile(r"\x1b\[[0-9;?>=]*[A-Za-z]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleCost:
    """What it costs before a fleet of that size, with a full journal.

    first_s: from the start of its process to the first whole picture, in seconds.
    shown_ms: from a change in Consul to the picture that has it, in milliseconds.
    cpu_percent: of one core, while nothing changes; None where the system does not tell. Likewise
    rss_mb: its resident memory, in MB.
    requests_per_s: what it asks Consul while nothing changes; requests: one by one.
    recorded_per_h: what --record adds to a file in an hour of that, in bytes; plain, and in .gz.
    """

    nodes: int
    first_s: float
    shown_ms: Summary
    cpu_percent: float | None
    rss_mb: float | None
    requests_per_s: float
    requests: dict[str, float] = field(default_factory=dict)
    recorded_per_h: tuple[float, float] = (0.0, 0.0)


# --- the election, made by hand ------------------------------------------------------------------


class ByHand:
    """An election on a Consul, whose nodes stand by and whose leader is whoever is put there."""

    def __init__(self, consul: ConsulClient, paths: Paths) -> None:
        self._consul = consul
        self._paths = paths
        self._session = ""
        self._term = 0

    async def fill(self, nodes: int) -> None:
        """So many candidates, a leader, and a journal that is full."""
        consul, paths = self._consul, self._paths
        some = asyncio.Semaphore(16)

        async def one(i: int) -> None:
            async with some:
                await consul.service_register(_candidate(paths, i))

        await asyncio.gather(*(one(i) for i in range(nodes)))
        self._session = await consul.session_create(
            name=f"{paths.election} candidate n-0", checks=["serfHealth"], lock_delay_s=2.0
        )
        await consul.kv_put(paths.leader, b"", cas=0)
        await self.lead("n-0000")
        now_ms = SystemClock().wall_ms()
        for i in range(KEPT_ENTRIES):
            key, value = _entry(paths, i, now_ms - (KEPT_ENTRIES - i) * 60_000)
            await consul.kv_put(key, value)

    async def lead(self, node: str) -> None:
        """That node leads from now on."""
        self._term += 1
        record = LeaderRecord(
            state=LeaderState.HELD, node=node, node_type="core", term=self._term,
            since=datetime.now(UTC),
        )  # fmt: skip
        paths = self._paths
        done = await self._consul.txn(
            [
                TxnOp.kv_lock(paths.leader, record.encode(), self._session),
                TxnOp.kv_set(paths.term, encode_term(self._term), flags=2500),
            ]
        )
        if not done.ok:
            raise AgentError(f"Consul does not let {node} lead: {done.errors}")


def _candidate(paths: Paths, i: int) -> ServiceRegistration:
    node = f"n-{i:04d}"
    id_ = f"{paths.candidate_service}-{node}"
    meta = {
        "node": node, "node_type": "core", "eligible": "true", "boot_id": f"b{i}",
        "state": "standby", "why_not": "held_by_other", "version": "0.1.0",
        "workloads": "cluster-health,poll-orchestrator", "api": f"10.0.{i // 250}.{i % 250}:8610",
        "priority": "100", "fenced_within_ms": "2500", "lease_ms": "2000",
    }  # fmt: skip
    check = TtlCheck(id=id_, name=id_, ttl_s=86_400, status=CheckStatus.PASSING)
    return ServiceRegistration(
        id=id_, name=paths.candidate_service, port=8610, meta=meta, checks=(check,)
    )


def _entry(paths: Paths, i: int, at_ms: int) -> tuple[str, bytes]:
    """The journal's entry of a leader that has begun."""
    node = f"n-{i % SMALL:04d}"
    event = BecameLeader(
        node=node, node_type="core", election=paths.election, at_ms=at_ms, term=i + 1
    )
    body = {k: v for k, v in to_dict(event).items() if v is not None}
    key = f"{paths.journal}{at_ms:013d}-{node}-00000000-{i:08d}"
    return key, json.dumps({"v": 1, **body}).encode()


# --- the console, in a terminal ------------------------------------------------------------------


class Screen:
    """`coord-console` in a terminal of its own; what it draws is read as it comes."""

    def __init__(self, address: str, election: str) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._fd = ours
        self._drawn = ""
        self._news = asyncio.Event()
        self.began = time.monotonic()
        env = {k: v for k, v in os.environ.items() if not k.startswith(("CONSUL_", "COORDINATOR_"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "console", "--election", election],
            env=env | {"CONSUL_HTTP_ADDR": address, "TERM": "xterm-256color"},
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=REPO, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        asyncio.get_running_loop().add_reader(ours, self._read)

    def _read(self) -> None:
        try:
            self._drawn += os.read(self._fd, 1 << 20).decode(errors="replace")
        except OSError:
            asyncio.get_running_loop().remove_reader(self._fd)
        self._news.set()

    async def until(self, *texts: str) -> float:
        """Wait until all of these were drawn; gives the moment. What was drawn is forgotten then.

        Raises:
            TimeoutError: they were not in time.
        """
        try:
            async with asyncio.timeout(PICTURE_WAIT_S):
                while not all(text in _CONTROLS.sub("", self._drawn) for text in texts):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise TimeoutError(
                f"the console did not draw {texts} in {PICTURE_WAIT_S:g} s"
            ) from None
        self._drawn = ""
        return time.monotonic()

    async def close(self) -> None:
        """End it."""
        self.process.terminate()
        await asyncio.to_thread(self.process.wait)
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)


# --- measuring -----------------------------------------------------------------------------------


async def measure(directory: Path, consul: Path, seconds: float) -> tuple[ConsoleCost, ...]:
    """Measure before a small fleet and before a large one, at rest for `seconds` each.

    Raises:
        AgentError, TimeoutError: it cannot be measured.
    """
    found = []
    for nodes in (SMALL, LARGE):
        where = directory / str(nodes)
        settings = AgentConfig(name="bench", directory=where, binary=consul, extra=TELEMETRY)
        agent = ConsulAgent(settings)
        try:
            await asyncio.to_thread(agent.start)
            await asyncio.to_thread(agent.wait_ready)
            patient = ConsulClient(ConsulAddress(agent.http_url), request_timeout_s=60.0)
            async with patient as client:
                found.append(await _measured(agent, client, where, nodes, seconds))
        finally:
            agent.stop()
    return tuple(found)


async def _measured(
    agent: ConsulAgent, client: ConsulClient, directory: Path, nodes: int, seconds: float
) -> ConsoleCost:
    paths = Paths("bench")
    by_hand = ByHand(client, paths)
    await by_hand.fill(nodes)
    screen = Screen(agent.http_addr, paths.election)
    try:
        first_s = await screen.until("n-0000 LEADS", "Leadership, last", "n-0001") - screen.began
        shown = []
        for i in range(CHANGES):
            node = f"n-{i % SMALL:04d}"
            await asyncio.sleep(PAUSE_S)  # so that each is one alone
            begun = time.monotonic()
            await by_hand.lead(node)
            shown.append((await screen.until(f"{node} LEADS · term {i + 2}") - begun) * 1000)
        await asyncio.sleep(SETTLE_S)
        pid = screen.process.pid
        used, before = cpu_s(pid), await count(agent)
        began = time.monotonic()
        await asyncio.sleep(seconds)  # this is what is measured
        after, took = await count(agent), time.monotonic() - began
        used_after, memory = cpu_s(pid), rss_mb(pid)
    finally:
        await screen.close()
    asked = {name: rate for name, rate in rates(before, after, took).items() if is_request(name)}
    cpu = None if used is None or used_after is None else (used_after - used) / took * 100
    return ConsoleCost(
        nodes=nodes,
        first_s=first_s,
        shown_ms=summarise(shown),
        cpu_percent=cpu,
        rss_mb=memory,
        requests_per_s=sum(asked.values()),
        requests=asked,
        recorded_per_h=await _recorded(agent.http_addr, paths.election, directory, seconds),
    )


async def _recorded(
    address: str, election: str, directory: Path, seconds: float
) -> tuple[float, float]:
    """What a recording grows by in an hour at rest: plain, and compressed."""
    files = (directory / "x.jsonl", directory / "x.jsonl.gz")
    words = [sys.executable, "-m", "console", "--election", election, "--record"]
    env = {**os.environ, "CONSUL_HTTP_ADDR": address}
    quiet = asyncio.subprocess.DEVNULL
    running = [
        await asyncio.create_subprocess_exec(
            *words, str(file), env=env, cwd=REPO, stdin=quiet, stdout=quiet, stderr=quiet
        )
        for file in files
    ]
    try:
        await asyncio.sleep(SETTLE_S)
        before = [file.stat().st_size for file in files]
        await asyncio.sleep(seconds)
        grown = [file.stat().st_size - size for file, size in zip(files, before, strict=True)]
    finally:
        for process in running:
            process.terminate()
            await process.wait()
    plain, compressed = (size * 3600 / seconds for size in grown)
    return plain, compressed
