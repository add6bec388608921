"""When a leader that vanished was alive last, out of what the catalog says of its check."""

from __future__ import annotations

import pytest

from coord.consul import CheckStatus, HealthCheck, ServiceInstance
from coord.last_sign import APART_S, LastSigns

TTL_S = 2.0
NOW = 1000.0
EXPIRED = "TTL expired (last output before timeout follows): the event loop runs"


def candidate(
    node: str = "core-1",
    output: str = "the event loop runs",
    *,
    boot: str = "a",
    ttl_ms: str | None = "2000",
    lost: bool = False,
) -> ServiceInstance:
    """One that passes, unless its output says otherwise or (`lost`) its host is gone."""
    id_ = f"coordinator-candidate-{node}-{boot}"
    own = CheckStatus.CRITICAL if output != "the event loop runs" else CheckStatus.PASSING
    node_status = CheckStatus.CRITICAL if lost else CheckStatus.PASSING
    checks = (
        HealthCheck("agent-1", f"{id_}-alive", "alive", own, output, service_id=id_),
        HealthCheck("agent-1", "serfHealth", "Serf Health Status", node_status),
    )
    meta = {"node": node} | ({} if ttl_ms is None else {"check_ttl_ms": ttl_ms})
    name = "coordinator-candidate"
    return ServiceInstance(
        "agent-1", "127.0.0.1", id_, name, "127.0.0.1", 7000, meta=meta, checks=checks
    )


def test_it_was_one_ttl_before_its_check_was_seen_to_fail() -> None:
    signs = LastSigns()
    signs.see([], NOW)
    signs.see([candidate(output=EXPIRED)], NOW + 10)
    signs.see([candidate(output=EXPIRED)], NOW + 12)
    # The vacancy is seen at once, a moment before the check is, or when a watch has hung.
    assert signs.before("core-1", NOW + 10) == pytest.approx(TTL_S)
    assert signs.before("core-1", NOW + 9.9) == pytest.approx(TTL_S)
    assert signs.before("core-1", NOW + 13) == pytest.approx(TTL_S + 3)
    assert signs.before("core-2", NOW + 10) is None
    assert signs.before("", NOW + 10) is None


def test_of_another_loss_it_says_nothing() -> None:
    signs = LastSigns()
    signs.see([], NOW)
    signs.see([candidate(output=EXPIRED)], NOW + 1)
    # The next start of that node lost its session in another way.
    assert signs.before("core-1", NOW + 1 + APART_S) is None
    signs.see([candidate(output=EXPIRED), candidate(boot="b", output=EXPIRED)], NOW + 100)
    assert signs.before("core-1", NOW + 100) == pytest.approx(TTL_S)
    signs.see([], NOW + 101)
    assert signs.before("core-1", NOW + 101) is None


@pytest.mark.parametrize(
    "then",
    [
        candidate(lost=True),
        candidate(output="the process ends"),
        candidate(output=EXPIRED, ttl_ms=None),
        candidate(output=EXPIRED, ttl_ms="never"),
    ],
    ids=["its host is lost", "it was failed", "no TTL", "no number"],
)
def test_a_check_that_did_not_run_out_says_nothing(then: ServiceInstance) -> None:
    signs = LastSigns()
    signs.see([], NOW)
    signs.see([then], NOW + 1)
    assert signs.before("core-1", NOW + 1) is None


def test_what_had_failed_before_the_first_look_failed_nobody_knows_when() -> None:
    signs = LastSigns()
    signs.see([candidate(output=EXPIRED)], NOW)
    signs.see([candidate(output=EXPIRED)], NOW + 1)
    assert signs.before("core-1", NOW) is None
