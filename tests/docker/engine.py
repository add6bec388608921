"""A real Docker engine in namespaces of its own: nothing of the machine's is touched.

    with Engine(docker, room) as engine:
        engine.docker("ps")

Its mounts, its processes and, unless it shall reach the machine's network, its networks and its
firewall are its own, and end with it, however this process ends. Its data alone are files, in
``.cache``: images that need not be made again. Containers, volumes and networks are removed when it
starts and when it ends.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from get_consul import locked
from processes import Guard, command_of, wait_gone
from tests.chaos.switch import enter
from tests.docker.obtain import CACHE, Docker, say

PREFIX = "coord-docker"
CGROUPS = Path("/sys/fs/cgroup")
DATA = CACHE / "data"
START_S = 60.0
COMMAND_S = 300.0
END_S = 60.0
LOOK_S = 0.05

WITHOUT_NETWORKS = (
    *("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"),
    "--ip-masq=false",
)
"""On the machine's own network it may change nothing."""


class EngineError(Exception):
    """The engine, or a command of it, failed; the message has its words."""


def _traces(name: str) -> list[Path]:
    """What an engine of that name, a pattern, has outside of its namespaces: cgroups, a socket."""
    rooms = Path(tempfile.gettempdir()).glob(name)
    return [*CGROUPS.glob(name), *CGROUPS.glob(f"*/{name}"), *rooms]


def _remove_trace(path: Path) -> None:
    if CGROUPS not in path.parents:
        shutil.rmtree(path, ignore_errors=True)
        return
    for directory, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)


def remove_leftovers() -> None:
    """Remove the traces of engines whose owner is no more: its number stands in their names."""
    for path in _traces(f"{PREFIX}-*"):
        owner = re.fullmatch(rf"{PREFIX}-(\d+)-\d+", path.name)
        if owner and command_of(int(owner[1])) is None:
            _remove_trace(path)


class Engine:
    """One engine; use it as a context manager, on the main thread. One at a time of a clone.

    Args:
        docker: the programs.
        log: where the engine's log goes.
        on_machine: it is on the machine's own network, and containers have no other: for builds.
    """

    def __init__(self, docker: Docker, log: Path, *, on_machine: bool = False) -> None:
        self._programs = docker
        self._log = log
        self._on_machine = on_machine
        self._process: subprocess.Popen[bytes] | None = None
        self._name = f"{PREFIX}-{os.getpid()}-{time.monotonic_ns()}"
        # The path of a socket has to be short.
        self._room = Path(tempfile.gettempdir(), self._name)
        self._lock = contextlib.ExitStack()

    @property
    def environment(self) -> dict[str, str]:
        """For whoever talks to it."""
        return self._programs.environment() | {"DOCKER_HOST": f"unix://{self._room}/docker.sock"}

    def docker(
        self, *words: str, env: Mapping[str, str] | None = None, timeout_s: float = COMMAND_S
    ) -> str:
        """Run ``docker WORDS…``; gives what it prints. Raises EngineError."""
        return self._run(["docker", *words], env or {}, timeout_s)

    def _run(self, words: list[str], env: Mapping[str, str], timeout_s: float) -> str:
        command = " ".join(words)[:300]
        try:
            done = subprocess.run(
                [self._programs.which(words[0]), *words[1:]],
                env=self.environment | dict(env),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"{command}: no end within {timeout_s:g} s") from error
        if done.returncode != 0:
            said = (done.stderr + done.stdout)[-3000:]
            raise EngineError(f"{command}: exit status {done.returncode}\n{said}")
        return done.stdout

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start ``docker WORDS…`` and leave it running; what it prints can be read."""
        return subprocess.Popen(
            [self._programs.which("docker"), *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    # -- from nothing to running -----------------------------------------------------------

    def __enter__(self) -> Self:
        DATA.mkdir(parents=True, exist_ok=True)
        remove_leftovers()
        self._lock.enter_context(locked(DATA, say))
        try:
            try:
                self._start()
            except EngineError as error:
                # What an earlier run left when it was killed may be in its way.
                say(f"once more, and without any images: {error}")
                self._kill(wipe=True)
                self._start()
        except BaseException:
            self._kill()
            self._lock.close()
            raise
        return self

    def _start(self) -> None:
        (self._room / "private").mkdir(parents=True)
        guard = Guard.mine()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                env=self._programs.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is its owner's to answer
            )
        guard.add(self._process.pid)
        self._until_answering()
        self._remove_all()

    def _command(self) -> list[str]:
        spaces = ["--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc"]
        if not self._on_machine:
            spaces.append("--net")
        sandbox = [sys.executable, "-I", str(Path(__file__).with_name("sandbox.py"))]
        init = self._programs.which("docker-init")
        return [
            # If the one dies that waits for them, all within are killed.
            *("unshare", *spaces, "--kill-child", *sandbox, str(self._room / "private")),
            *(init, "-s", "--", self._programs.which("dockerd")),
            *(f"--data-root={DATA}", "--exec-root=/run/docker", "--pidfile=/run/docker.pid"),
            *(f"--host=unix://{self._room}/docker.sock", "--storage-driver=overlay2"),
            *(f"--cgroup-parent=/{self._name}", f"--init-path={init}"),
            *(WITHOUT_NETWORKS if self._on_machine else ()),
        ]

    def _until_answering(self) -> None:
        assert self._process is not None
        end = time.monotonic() + START_S
        while True:
            try:
                self.docker("version", timeout_s=START_S)
                return
            except EngineError as error:
                ended = self._process.poll() is not None
                if ended or time.monotonic() > end:
                    how = "has ended" if ended else "does not answer"
                    raise EngineError(f"the engine {how}: {error}\n{self.log_tail()}") from error
            time.sleep(LOOK_S)

    def log_tail(self, lines: int = 20) -> str:
        """The end of the engine's log."""
        with contextlib.suppress(OSError):
            said = self._log.read_text(errors="replace").splitlines()[-lines:]
            return "\n".join(line[:400] for line in said)
        return "(no log)"

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """This thread is on the engine's network within: there published ports answer."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            enter(f"/proc/{self.inside()}/ns/net")
            yield
        finally:
            enter(f"/proc/self/fd/{home}")
            os.close(home)

    def inside(self) -> int:
        """The first process within, by its number out here."""
        assert self._process is not None
        pid = self._process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    # -- its end ---------------------------------------------------------------------------

    def _remove_all(self) -> None:
        """Remove containers with their volumes, and networks; images stay."""
        if ids := self.docker("ps", "--all", "--quiet").split():
            self.docker("rm", "--force", "--volumes", *ids)
        if names := self.docker("volume", "ls", "--quiet").split():
            self.docker("volume", "rm", "--force", *names)
        self.docker("network", "prune", "--force")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._remove_all()
            os.kill(self.inside(), signal.SIGTERM)
            assert self._process is not None
            ended = wait_gone(self._process.pid, END_S)
        except (EngineError, OSError, IndexError):
            ended = False
        # If it did not end, its data may be in any state.
        self._kill(wipe=not ended)
        self._lock.close()

    def _kill(self, *, wipe: bool = False) -> None:
        """End what is left of it, and remove its traces; with `wipe` also its data."""
        if self._process is not None:
            with contextlib.suppress(OSError, IndexError):
                inside = self.inside()
                os.kill(inside, signal.SIGKILL)
                wait_gone(inside, END_S)  # and with it all that is within
            self._process.kill()
            self._process.wait()
            Guard.mine().remove(self._process.pid)
            self._process = None
        for path in _traces(self._name):
            _remove_trace(path)
        if wipe:
            for path in DATA.iterdir():
                shutil.rmtree(path, ignore_errors=True)
