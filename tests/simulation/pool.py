"""Processes to work in, which end with the one that they work for, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor


def pool_of(count: int | None = None, *, tasks_each: int | None = None) -> ProcessPoolExecutor:
    """So many processes; None: one for each core. `tasks_each`: how many tasks one serves."""
    return ProcessPoolExecutor(
        count or os.cpu_count(),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with_parent,
        max_tasks_per_child=tasks_each,
    )


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True, name="end-with-parent").start()
