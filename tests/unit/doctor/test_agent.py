"""What the agent tells of Consul's own elections, out of a part of its reply that may change."""

from __future__ import annotations

from typing import Any

import pytest

from coord.consul.replies import agent_info

TOLD = {"NodeName": "a", "Version": "1.8.7", "Server": True}


@pytest.mark.parametrize(
    ("debug", "seconds"),
    [
        ({"ConsulRaftElectionTimeout": "5s"}, 5.0),
        ({"ConsulRaftElectionTimeout": "52ms"}, 0.052),
        ({"ConsulRaftElectionTimeout": "soon"}, None),
        ({"ConsulRaftElectionTimeout": 5}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_how_long_a_server_waits_for_its_leader(debug: Any, seconds: float | None) -> None:
    assert agent_info({"Config": TOLD, "DebugConfig": debug}).raft_election_s == (
        None if seconds is None else pytest.approx(seconds)
    )


def test_an_agent_that_does_not_tell() -> None:
    assert agent_info({"Config": TOLD}).raft_election_s is None
