"""What ClusterHealth thinks of a membership, and what it tells about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coord.cluster_health import Findings, Membership, judge, node_changes
from coord.consul import CheckStatus, HealthCheck, ServiceInstance
from coord.members import Listing, Role, Seen, leader_instances, members
from coord.records import RecordError
from coord.records.health import ClusterHealthRecord, Counts, HealthReason, Verdict

PASSING, WARNING, CRITICAL = CheckStatus.PASSING, CheckStatus.WARNING, CheckStatus.CRITICAL


def instance(node: str, status: CheckStatus = PASSING, **meta: str) -> ServiceInstance:
    id_ = f"{node}-{status}"
    check = HealthCheck("host", id_, "own", status, "", service_id=id_)
    return ServiceInstance("host", "", id_, "s", "", 0, (), {"node": node} | meta, (check,))


def membership(
    candidates: tuple[ServiceInstance, ...] = (),
    observers: tuple[ServiceInstance, ...] = (),
    pollers: tuple[ServiceInstance, ...] = (),
    leaders: tuple[ServiceInstance, ...] | None = None,
) -> Membership:
    if leaders is None:
        leaders = (instance("core-1", term="7"),)
    return Membership(
        members(Role.CANDIDATE, Listing(Seen.KNOWN, candidates), "x"),
        members(Role.OBSERVER, Listing(Seen.KNOWN, observers), "x"),
        members(Role.POLLER, Listing(Seen.KNOWN, pollers), "x"),
        leader_instances(Listing(Seen.KNOWN, leaders)),
    )


def judged(found: Membership, min_nodes: int = 1) -> Findings:
    return judge(found, leader="core-1", term=7, min_nodes=min_nodes)


def test_a_single_node_is_healthy() -> None:
    findings = judged(membership((instance("core-1"),)))
    assert (findings.verdict, findings.reasons) == (Verdict.HEALTHY, ())
    assert findings.nodes == {"core-1": PASSING}


def test_lost_nodes_alone_do_not_degrade() -> None:
    lost = tuple(instance(f"core-{n}", CRITICAL) for n in range(2, 9))
    pollers = (instance("poller-1", CRITICAL),)
    findings = judged(membership((instance("core-1"), *lost), pollers=pollers))
    assert findings.verdict is Verdict.HEALTHY
    assert (findings.candidates.up, findings.candidates.down) == (1, 7)
    assert (findings.pollers.up, findings.pollers.down) == (0, 1)


@pytest.mark.parametrize(("min_nodes", "verdict"), [(2, Verdict.HEALTHY), (3, Verdict.DEGRADED)])
def test_too_few_that_are_left_do(min_nodes: int, verdict: Verdict) -> None:
    found = membership((instance("core-1"), instance("core-2"), instance("core-3", CRITICAL)))
    findings = judged(found, min_nodes)
    assert findings.verdict is verdict
    assert findings.reasons == ((HealthReason.TOO_FEW_NODES,) if min_nodes == 3 else ())


@pytest.mark.parametrize(
    "leaders",
    [
        (),
        (instance("core-2", term="7"),),
        (instance("core-1", term="6"),),
        (instance("core-1", CRITICAL, term="7"),),
    ],
)
def test_a_leader_that_discovery_does_not_show(leaders: tuple[ServiceInstance, ...]) -> None:
    findings = judged(membership((instance("core-1"),), leaders=leaders))
    assert findings.reasons == (HealthReason.LEADER_NOT_LISTED,)


def test_a_new_leader_is_given_time_to_be_listed() -> None:
    found = membership((instance("core-1"),), leaders=(instance("core-2", term="6"),))
    findings = judge(found, leader="core-1", term=7, min_nodes=1, listing_due=False)
    assert findings.verdict is Verdict.HEALTHY


def test_two_leaders_in_discovery() -> None:
    leaders = (instance("core-1", term="7"), instance("core-2", term="6"))
    findings = judged(membership((instance("core-1"),), leaders=leaders))
    assert findings.reasons == (HealthReason.SEVERAL_LEADERS_LISTED,)


def test_a_former_leader_that_stays_listed_as_critical_is_no_leader() -> None:
    leaders = (instance("core-1", term="7"), instance("core-2", CRITICAL, term="6"))
    assert judged(membership((instance("core-1"),), leaders=leaders)).verdict is Verdict.HEALTHY


def test_no_candidates_cannot_be_as_the_leader_is_one() -> None:
    findings = judged(membership())
    assert (findings.reasons, findings.nodes) == ((HealthReason.NOT_PERMITTED,), None)


def test_one_name_counts_once_by_what_does_best() -> None:
    found = membership(
        candidates=(instance("core-1"), instance("core-1", CRITICAL)),
        observers=(instance("poller-1"),),
        pollers=(instance("poller-1", CRITICAL), instance("poller-2", WARNING)),
    )
    findings = judged(found)
    assert findings.nodes == {"core-1": PASSING, "poller-1": PASSING, "poller-2": WARNING}
    assert findings.candidates == Counts(passing=1)
    assert findings.pollers == Counts(warning=1, critical=1)


def test_names_that_no_node_can_have_do_not_count() -> None:
    found = membership((instance("core-1"), instance("\x1b[31m"), instance("a/b")))
    assert judged(found).nodes == {"core-1": PASSING}


NODES = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(list(CheckStatus)))


def test_who_came_and_who_went() -> None:
    known = {"a": True, "b": True, "c": False, "d": True, "e": False}
    nodes = {"a": PASSING, "b": CRITICAL, "c": PASSING, "f": PASSING, "g": CRITICAL}
    assert node_changes(known, nodes) == (("b", False), ("c", True), ("d", False), ("f", True))


@given(NODES)
def test_what_was_told_is_not_told_again(before: dict[str, CheckStatus]) -> None:
    assert node_changes({name: s is PASSING for name, s in before.items()}, before) == ()


def test_the_record_reads_back() -> None:
    record = ClusterHealthRecord(
        verdict=Verdict.DEGRADED,
        reasons=(HealthReason.TOO_FEW_NODES,),
        leader="core-1",
        term=7,
        nodes=Counts(passing=1, critical=2),
        up=("core-1",),
        down=("core-2", "web-1"),
    )
    assert ClusterHealthRecord.decode(record.encode()) == record


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"v":1}',
        b'{"v":1,"verdict":"healthy","up":["../x"]}',
        b'{"v":1,"verdict":"healthy","nodes":{"passing":-1}}',
        b'{"v":1,"verdict":"healthy","term":"7"}',
    ],
)
def test_a_record_that_cannot_be_read_says_so(raw: bytes) -> None:
    with pytest.raises(RecordError):
        ClusterHealthRecord.decode(raw)
