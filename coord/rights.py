"""The rights that each role needs in Consul, as ACL policies: no more than works.

PURE: settings in, rules or HCL out. A token may have several policies: a node that may lead and
also runs polls has the candidate's and the poller's.

Reading a prefix is written `list`, which is `read` and stays enough where Consul is told to ask
for more before it lists keys (`acl.enable_key_list_policy`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from coord.config import Settings
from coord.records import POLLER_SERVICE, Paths, check_name

CONSUL_SERVICE = "consul"


class Role(StrEnum):
    """Whose token it is."""

    CANDIDATE = "candidate"
    POLLER = "poller"
    OPERATOR = "operator"
    VIEWER = "viewer"


WHO: dict[Role, str] = {
    Role.CANDIDATE: "a node that may lead",
    Role.POLLER: "a node that may not lead",
    Role.OPERATOR: "who acts: coord step-down, transfer, pause, …",
    Role.VIEWER: "who only looks: coord status, history, events",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a policy.

    kind: Consul's word for what it is about: `key`, `key_prefix`, `service`, `node_prefix`, …
    name: the name, or the beginning of names, that it is about.
    access: `read`, `list` (keys only) or `write`.
    why: what it is for.
    """

    kind: str
    name: str
    access: str
    why: str

    def __str__(self) -> str:
        return f'{self.kind} {json.dumps(self.name)} {{ policy = "{self.access}" }}'


def rules(role: Role, paths: Paths, *, agent: str | None = None) -> tuple[Rule, ...]:
    """What a token of that role must be allowed in that election.

    agent: the name of the one Consul node whose agent the token is used with; None: any. Only a
    candidate's rights depend on it.

    Raises:
        ValueError: no agent is called that.
    """
    if agent is not None:
        check_name("agent", agent)
    match role:
        case Role.CANDIDATE:
            return _candidate(paths, agent)
        case Role.POLLER:
            return _poller(paths)
        case Role.OPERATOR:
            return _operator(paths)
        case Role.VIEWER:
            return _viewer(paths)


def policy(role: Role | str, settings: Settings, *, agent: str | None = None) -> str:
    """The policy as HCL, each group of rules below what it is for; see `rules`.

    Raises:
        ValueError: there is no such role, or agent.
    """
    role = Role(role)
    paths = Paths(settings.election)
    lines = [f"# The {role} of election {paths.election}: {WHO[role]}."]
    for why, group in groupby(rules(role, paths, agent=agent), key=lambda rule: rule.why):
        lines += ["", f"# {why}", *(str(rule) for rule in group)]
    return "\n".join(lines) + "\n"


# --- the roles -----------------------------------------------------------------------------------


def _candidate(paths: Paths, agent: str | None) -> tuple[Rule, ...]:
    holds = "The session that holds the lock, on the node of the agent that is used."
    any_agent = Rule("session_prefix", "", "write", holds)
    sessions = any_agent if agent is None else Rule("session", agent, "write", holds)
    takes = "The leader key, the term, the journal, and what the leader's work keeps."
    asked = "What operators write; a node obeys it, and takes away a pause that is over."
    visible = "To be registered and found, and to take from the catalog what a dead leader left."
    return (
        Rule("key_prefix", paths.root, "write", takes),
        Rule("key_prefix", paths.control, "list", asked),
        Rule("key", paths.keep, "write", asked),
        Rule("key", paths.pause, "write", asked),
        Rule("key_prefix", f"{paths.polls}schedules/", "list", asked),
        Rule("key_prefix", paths.audit, "list", asked),
        sessions,
        Rule("service", paths.candidate_service, "write", visible),
        Rule("service", paths.leader_service, "write", visible),
        *_sees(paths.observer_service, POLLER_SERVICE),
    )


def _poller(paths: Paths) -> tuple[Rule, ...]:
    follows = "To follow who leads in which term, and to show it."
    visible = "To be registered and found."
    return (
        Rule("key", paths.leader, "read", follows),
        Rule("key", paths.term, "read", follows),
        Rule("key", paths.cluster_health, "read", follows),
        Rule("key_prefix", paths.control, "list", follows),
        Rule("service", POLLER_SERVICE, "write", visible),
        Rule("service", paths.observer_service, "write", visible),
        *_sees(paths.candidate_service, paths.leader_service),
    )


def _operator(paths: Paths) -> tuple[Rule, ...]:
    asks = "What is asked of the nodes, what is polled, and who asked what and why."
    ends = "To destroy the session of a leader that does not answer (force-release)."
    tidies = "To take from the catalog what a dead process left (doctor --fix)."
    return (
        Rule("key_prefix", paths.root, "list", "To see what is decided on."),
        Rule("key_prefix", paths.control, "write", asks),
        Rule("key_prefix", f"{paths.polls}schedules/", "write", asks),
        Rule("key_prefix", f"{paths.polls}asked/", "write", asks),
        Rule("key_prefix", paths.audit, "write", asks),
        Rule("session_prefix", "", "write", ends),
        *(Rule("service", service, "write", tidies) for service in _services(paths)),
        *_sees(),
        _agents(),
    )


def _viewer(paths: Paths) -> tuple[Rule, ...]:
    return (
        Rule("key_prefix", paths.root, "list", "All that is kept of the election."),
        Rule("session_prefix", "", "read", "Whether the leader's session is alive."),
        *_sees(*_services(paths)),
        _agents(),
    )


def _services(paths: Paths) -> tuple[str, ...]:
    return (
        paths.candidate_service,
        paths.leader_service,
        paths.observer_service,
        POLLER_SERVICE,
    )


def _sees(*services: str) -> Iterator[Rule]:
    """Instances of a service are shown to who may read both the service and its node."""
    who = "To see the members. Who sees Consul's own service knows that no list was kept back."
    for service in services:
        yield Rule("service", service, "read", who)
    yield Rule("service", CONSUL_SERVICE, "read", who)
    yield Rule("node_prefix", "", "read", who)


def _agents() -> Rule:
    return Rule("agent_prefix", "", "read", "To tell the agent's name and Consul's version.")
