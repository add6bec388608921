"""What a real election of older nodes left in Consul, and the older nodes themselves.

The nodes are those of `COMMIT`, the last before operators could act: without priority, timing and
control records. `tests/data/before_operations.json` has every key and every service of an election
of theirs that was led three times, with polls.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from coord.consul import CheckStatus, HealthCheck, KVEntry, ServiceInstance
from demo import REPO

COMMIT = "e707e2df539f853882d70d6c96eb48c878ee520f"


@cache
def _left() -> Any:
    return json.loads((REPO / "tests/data/before_operations.json").read_text())


def all_keys() -> tuple[KVEntry, ...]:
    """Every key."""
    return tuple(
        KVEntry(
            key,
            said["value"].encode(),
            said["flags"],
            session="f" * 36 if said["locked"] else None,
            lock_index=1 if said["locked"] else 0,
            create_index=10,
            modify_index=20 + number,
        )
        for number, (key, said) in enumerate(_left()["keys"].items())
    )


def key(last: str) -> KVEntry:
    """The key whose name ends so."""
    (found,) = (entry for entry in all_keys() if entry.key.endswith(last))
    return found


def vacant() -> bytes:
    """What the leader key said after the last of them had ended."""
    said: str = _left()["vacant"]
    return said.encode()


def instances(service: str) -> tuple[ServiceInstance, ...]:
    """Every instance of that service, as the catalog had it."""
    return tuple(
        ServiceInstance(
            node="consul-1",
            node_address="127.0.0.1",
            id=said["id"],
            name=service,
            address=said["address"],
            port=said["port"],
            tags=tuple(said["tags"]),
            meta=said["meta"],
            checks=(_check(said["id"], CheckStatus(said["status"])),),
        )
        for said in _left()["services"][service]
    )


def _check(service_id: str, status: CheckStatus) -> HealthCheck:
    return HealthCheck(
        "consul-1", f"{service_id}-alive", "alive", status, output="", service_id=service_id
    )


def old_code(directory: Path) -> Mapping[str, str] | None:
    """The older code put there; the variables that make a process run it. None: it is not to be
    had, as in a clone without its history."""
    parts = ("coord", "demo", "consul-dev", "pyproject.toml")
    done = subprocess.run(
        ["git", "archive", COMMIT, *parts], cwd=REPO, capture_output=True, check=False
    )
    if done.returncode != 0:
        return None
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(directory, filter="data")
    # Safe: the directory that the process is started in has the newer code.
    return {"PYTHONPATH": str(directory), "PYTHONSAFEPATH": "1"}
