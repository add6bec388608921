"""The record of running agents in a directory, so that another process can stop them by pid."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agents import AgentError, ConsulAgent
from get_consul import REPO
from processes import command_of, end_pid

RUN = REPO / ".cache" / "consul-dev"


@dataclass(frozen=True, slots=True)
class Running:
    """One agent as another process may need it: ``marker`` is in its command line."""

    name: str
    pid: int
    marker: str
    http_url: str
    serf_addr: str

    @property
    def alive(self) -> bool:
        """Say whether that very agent is still there (not merely its number)."""
        return self.marker in (command_of(self.pid) or "")


class RunDirectory:
    """``running.json`` in a directory: which agents were started there."""

    def __init__(self, directory: Path) -> None:
        """Take the directory; it need not exist yet."""
        self.directory = directory.expanduser().absolute()
        self.record = self.directory / "running.json"
        self.stopping = self.directory / "stopping"  # tells a foreground owner it was asked for

    def running(self) -> list[Running]:
        """Return what was recorded, alive or not. Raises AgentError if it cannot be read."""
        try:
            return [Running(**entry) for entry in json.loads(self.record.read_text())]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            raise AgentError(
                f"{self.record} cannot be read ({error}); end the agents named in it, then "
                "remove it"
            ) from error

    def require_idle(self) -> None:
        """Raise AgentError when agents of this directory are still running."""
        alive = [entry for entry in self.running() if entry.alive]
        if alive:
            names = ", ".join(f"{entry.name} (pid {entry.pid})" for entry in alive)
            raise AgentError(f"already running in {self.directory}: {names}; `stop` them first")

    def write(self, agents: Sequence[ConsulAgent]) -> None:
        """Record ``agents``, whole or not at all."""
        self.directory.mkdir(parents=True, exist_ok=True)
        entries = [
            asdict(Running(a.name, a.pid, str(a.config_path), a.http_url, a.serf_addr))
            for a in agents
        ]
        draft = self.record.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(entries, indent=2) + "\n")
        self.stopping.unlink(missing_ok=True)
        draft.replace(self.record)

    def forget(self) -> None:
        """Remove the record; what was stopped stays told until the next start."""
        self.record.unlink(missing_ok=True)

    def stop(self) -> list[Running]:
        """End every recorded agent that still runs, and return those that did."""
        recorded = self.running()
        if recorded:
            self.stopping.touch()
        ended = [entry for entry in recorded if end_pid(entry.pid, entry.marker)]
        self.forget()
        return ended
