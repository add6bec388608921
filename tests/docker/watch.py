"""Watches from within their containers, whatever becomes of the network, what the candidates do."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from processes import Guard
from tests.docker.engine import Engine

SAMPLER = Path(__file__).with_name("sampler.py")
AGAIN_S = 0.2


@dataclass(frozen=True, slots=True)
class Sample:
    """What a node answered. sent, received: CLOCK_MONOTONIC, in seconds; term: None unless it
    leads; work: the parts of the work that were not over."""

    node: str
    sent: float
    received: float
    state: str
    term: int | None
    work: tuple[str, ...]

    @classmethod
    def parse(cls, node: str, line: str) -> Sample:
        """From a line of `tests.docker.sampler`."""
        sent, received, state, term, work = json.loads(line)
        return cls(node, sent, received, state, term, tuple(work))


def both_at_work(samples: Iterable[Sample]) -> list[tuple[Sample, Sample]]:
    """Pairs that prove that two nodes did the work at once.

    A node that works when it answers has worked at some moment between question and answer. Where
    one works when it is asked after another's answer, and that other one works after that, too,
    both did at that moment.
    """
    at_work = sorted((each for each in samples if each.work), key=lambda each: each.sent)
    found = []
    for one in at_work:
        before = [each for each in at_work if each.node != one.node and each.received <= one.sent]
        for other in {each.node: each for each in before}.values():
            later = (each for each in at_work if each.node == other.node)
            if any(each.term == other.term and each.sent >= one.received for each in later):
                found.append((other, one))
    return found


class Watch:
    """The samples of these nodes; use it as a context manager.

    containers: by node.
    """

    def __init__(self, engine: Engine, containers: dict[str, str]) -> None:
        self._engine = engine
        self._containers = containers
        self._samples: list[Sample] = []
        self._ends = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._threads = [
            threading.Thread(target=self._follow, args=(node,), name=f"watch-{node}", daemon=True)
            for node in containers
        ]

    def samples(self, *nodes: str) -> list[Sample]:
        """All of them so far, of these nodes or of all."""
        with self._lock:
            return [each for each in self._samples if not nodes or each.node in nodes]

    def _follow(self, node: str) -> None:
        # A container that ends takes its sampler along; it is there again when the container is.
        while not self._ends.wait(AGAIN_S):
            with self._sampling(node) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    sample = Sample.parse(node, line)
                    with self._lock:
                        self._samples.append(sample)

    @contextlib.contextmanager
    def _sampling(self, node: str) -> Iterator[subprocess.Popen[str]]:
        words = ["/opt/coord/bin/python", "-I", "-c", SAMPLER.read_text()]
        guard = Guard.mine()
        with self._lock:
            process = self._engine.start("exec", self._containers[node], *words)
            self._running[node] = process
            if self._ends.is_set():
                process.kill()  # nobody else would
        guard.add(process.pid)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            guard.remove(process.pid)

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        with self._lock:
            for process in self._running.values():
                process.kill()
        for thread in self._threads:
            thread.join()
