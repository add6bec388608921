"""The policies of the roles: what stands in them, and that the files are these."""

from __future__ import annotations

import pytest

from coord.config import Settings
from coord.records import Paths
from coord.rights import Role, policy, rules
from demo import REPO
from secure import POLICIES, ROLES

PATHS = Paths("blue")


def default() -> Settings:
    return Settings(environ={}, node="core-1")


def writable(role: Role) -> set[str]:
    """The keys that the role may write, by the names of its rules."""
    return {r.name for r in rules(role, PATHS) if r.kind.startswith("key") and r.access == "write"}


@pytest.mark.parametrize("role", Role)
def test_the_file_of_each_role_is_its_policy_with_the_default_settings(role: Role) -> None:
    path = REPO / "consul-dev" / "acl" / f"{role}.hcl"
    assert path.read_text() == policy(role, default()), "run `make docs`"


def test_consul_dev_knows_every_role() -> None:
    assert set(ROLES) == {role.value for role in Role}
    assert {path.stem for path in POLICIES.glob("*.hcl")} == set(ROLES)


def test_the_settings_say_which_election() -> None:
    text = policy("candidate", Settings(environ={}, node="core-1", election="blue"))
    assert 'key_prefix "service/blue/" { policy = "write" }' in text
    assert 'service "blue-coordinator" { policy = "write" }' in text
    assert "service/coordinator/" not in text


@pytest.mark.parametrize("role", Role)
def test_nothing_outside_the_election_can_be_written(role: Role) -> None:
    own = {PATHS.leader_service, PATHS.candidate_service, PATHS.observer_service, "poller"}
    for rule in rules(role, PATHS):
        if rule.access != "write":
            continue
        if rule.kind.startswith("key"):
            assert rule.name.startswith(PATHS.root)
        elif rule.kind == "service":
            assert rule.name in own
        else:
            assert rule.kind == "session_prefix"


def test_who_looks_writes_nothing() -> None:
    assert {rule.access for rule in rules(Role.VIEWER, PATHS)} == {"read", "list"}


def test_a_poller_writes_no_key_and_makes_no_session() -> None:
    assert writable(Role.POLLER) == set()
    assert not [r for r in rules(Role.POLLER, PATHS) if r.kind.startswith("session")]


def test_an_operator_cannot_write_what_only_a_leader_may() -> None:
    polls = {f"{PATHS.polls}schedules/", f"{PATHS.polls}asked/"}
    assert writable(Role.OPERATOR) == {PATHS.control, PATHS.audit, *polls}


def test_one_rule_for_each_thing() -> None:
    for role in Role:
        names = [(rule.kind, rule.name) for rule in rules(role, PATHS)]
        assert len(names) == len(set(names))


def test_one_agent_alone() -> None:
    text = policy("candidate", default(), agent="host-7")
    assert 'session "host-7" { policy = "write" }' in text
    assert "session_prefix" not in text
    with pytest.raises(ValueError, match="agent"):
        policy("candidate", default(), agent='" {}')


def test_an_unknown_role() -> None:
    with pytest.raises(ValueError, match="admin"):
        policy("admin", default())


@pytest.mark.parametrize("role", Role)
def test_every_line_is_short_enough_to_be_read(role: Role) -> None:
    assert all(len(line) <= 100 for line in policy(role, default()).splitlines())
