"""What is left in Consul that should not be."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from coord.polling.store import load_results
from coord.testing.node import EPOCH_MS

if TYPE_CHECKING:
    from tests.simulation.fleet import Fleet

T = TypeVar("T")

PATIENCE = 3
"""After so many intervals without a result a schedule is not being polled."""


def find_leftovers(fleet: Fleet) -> list[str]:
    """Sessions, services and checks of nodes that have ended; nobody is left to own any."""
    return _ask(fleet, _find_leftovers(fleet))


async def _find_leftovers(fleet: Fleet) -> list[str]:
    consul, paths = fleet.operator_client, fleet.paths
    found = [f"session {each.id} {each.name}" for each in await consul.session_list()]
    for service in (paths.candidate_service, paths.leader_service):
        instances = (await consul.health_service(service)).value
        found += [f"service {each.id} on {each.node}" for each in instances]
    checks = (await consul.health_state("any")).value
    mine = [each for each in checks if each.check_id != "serfHealth" and not _poller(each)]
    found += [f"check {each.check_id} on {each.node}" for each in mine]
    return found


def _poller(check: Any) -> bool:
    return str(check.check_id).startswith("poller-")


def late_schedules(fleet: Fleet) -> list[str]:
    """Schedules that have had no result for long, and jobs that stay open."""
    return _ask(fleet, _late_schedules(fleet))


async def _late_schedules(fleet: Fleet) -> list[str]:
    paths = fleet.poll_paths
    entries = (await fleet.operator_client.kv_list(paths.results)).value
    results = load_results(entries, paths.results).records
    now_ms = EPOCH_MS + round(fleet.world.time * 1000)
    found = []
    for name, interval_s in fleet.schedules.items():
        result = results.get(name)
        if result is None:
            found.append(f"{name} has no result")
        elif now_ms - result.finished_ms > (PATIENCE * interval_s + 5) * 1000:
            found.append(
                f"{name}'s last result is {(now_ms - result.finished_ms) / 1000:.1f} s old"
            )
    for job, since in sorted(fleet.commits.open_jobs.items()):
        if fleet.world.time - since > PATIENCE * max(fleet.schedules.values()):
            found.append(f"job {job} is open since {since:.3f}")
    return found


def _ask(fleet: Fleet, question: Coroutine[Any, Any, T]) -> T:
    """Let an operator find out, on a sound Consul."""
    return fleet.world.run(question, within_s=30.0)
