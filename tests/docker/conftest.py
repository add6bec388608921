"""One fleet for all of it, on an engine of its own: from nothing it takes about two minutes.

What this machine lacks is a reason to skip, said as such; in CI (`CI` is set) it is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from debian_package import ObtainError
from tests.docker.engine import Engine
from tests.docker.fleet import CANDIDATES, Fleet
from tests.docker.images import build
from tests.docker.obtain import CACHE, Obtained, lacking, obtain
from tests.docker.watch import Watch

LOGS = CACHE / "logs"


def _cannot(why: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"in CI the compose file must be tried on a Docker engine: {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def obtained() -> Obtained:
    """Docker's programs, a base, and what goes into the images."""
    if why := lacking():
        _cannot(why)
    try:
        return obtain()
    except ObtainError as error:
        _cannot(str(error))
        raise


@pytest.fixture(scope="session")
def engine(obtained: Obtained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that has the images, and this thread on its network."""
    log = tmp_path_factory.mktemp("docker") / "engine.log"
    with Engine(obtained.docker, log, on_machine=True) as builder:
        build(builder, obtained)
    with Engine(obtained.docker, log) as engine, engine.network():
        yield engine


@pytest.fixture(scope="module")
def fleet(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """The fleet, up and healthy, and watched; what it has logged is kept where a test failed."""
    fleet = Fleet(engine)
    try:
        fleet.compose_now("up", "--detach", "--no-build", "--wait")
        containers = {node: fleet.container(node) for node in CANDIDATES}
        with Watch(engine, containers) as fleet.watch:
            yield fleet
    finally:
        if request.session.testsfailed or not hasattr(fleet, "watch"):
            print(f"what it has logged is in {_keep_logs(fleet)}")
        fleet.compose_now("--profile", "*", "down", "--volumes", "--timeout", "20")


def _keep_logs(fleet: Fleet) -> Path:
    LOGS.mkdir(exist_ok=True)
    path = LOGS / "fleet.log"
    path.write_text(fleet.compose_now("logs", "--no-color", "--timestamps"))
    return path
