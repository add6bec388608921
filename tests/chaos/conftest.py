"""One cluster for all of it: building it takes ten seconds, and every run begins with it settled.

What this machine lacks is a reason to skip, said as such; in CI (`CI` is set) it is a failure.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chaos import timeline
from tests.chaos.conduct import Conducted, conduct
from tests.chaos.network import missing
from tests.chaos.report import again, line
from tests.chaos.runs import Run, grouped
from tests.chaos.scenarios import Scenario
from tests.chaos.settled import settle
from tests.chaos.stage import Stage
from tests.chaos.watchers import Watchers


@pytest.fixture(scope="session")
def able() -> None:
    """This machine can run it."""
    lacking = missing()
    if lacking is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"in CI the chaos suite must run: {lacking}")
    pytest.skip(lacking)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(
    able: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Stage, Watchers]]:
    """The cluster, settled, with its watchers."""
    directory = tmp_path_factory.mktemp("chaos")
    async with Stage(directory) as stage, Watchers.running(stage) as watchers:
        await settle(stage)
        yield stage, watchers


@pytest.fixture
def conducted(cluster: tuple[Stage, Watchers]) -> Conducted:
    """Conducts a scenario; a test fails here if any of it did not hold."""
    stage, watchers = cluster

    async def run(scenario: Scenario, seed: str, *, repeat: int = 0) -> Run:
        if stage.broken:
            pytest.fail(f"the cluster was not settled before: {stage.broken}", pytrace=False)
        done = await conduct(stage, watchers, scenario, seed, repeat=repeat, say=lambda text: None)
        print(f"{scenario.name}, seed {seed}: {line(done)}")
        if not done.held:
            kept = timeline.keep(stage, done, await stage.witness.report())
            said = "\n".join(grouped(done.problems))
            pytest.fail(f"{again(done)}\nsee {kept}:\n{said}", pytrace=False)
        return done

    return run
