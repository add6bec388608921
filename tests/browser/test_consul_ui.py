"""What Consul's own UI shows of an election, where docs/monitoring.md says to look."""

from __future__ import annotations

import pytest
from browser import follow, open_key, open_leader_key, scroll_down, shown_on
from consul_agents import ConsulAgent
from playwright.async_api import Page

from coord.records import LeaderRecord
from demo.fleet import Fleet

pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="session")]


async def test_the_leader_key_shows_the_leader_its_term_and_the_lock_session(
    page: Page, agent: ConsulAgent, fleet: Fleet, leader: LeaderRecord
) -> None:
    shown = await open_leader_key(page, agent.ui_url, fleet.paths.leader)
    for part in ('"state": "held"', f'"term": {leader.term}', f'"node": "{leader.node}"'):
        assert part in shown
    lock = shown.partition("Lock Session\n")[2]
    assert f"Name\n{fleet.paths.election} candidate {leader.node}\n" in lock

    await follow(page, "demo")
    await follow(page, "Lock Sessions")
    await shown_on(page, *(f"{fleet.paths.election} candidate {node}" for node in fleet.nodes))


async def test_the_term_key_shows_the_term(
    page: Page, agent: ConsulAgent, fleet: Fleet, leader: LeaderRecord
) -> None:
    await open_key(page, agent.ui_url, fleet.paths.term)
    await shown_on(page, "Value", f"\n{leader.term}\n")


async def test_the_leaders_service_shows_who_works_and_in_which_term(
    page: Page, agent: ConsulAgent, fleet: Fleet, leader: LeaderRecord
) -> None:
    service = fleet.paths.leader_service
    await page.goto(agent.ui_url)
    await follow(page, service)
    shown = await shown_on(page, "All service checks passing", "All node checks passing")
    assert shown.count("All service checks passing") == 1
    assert leader.address in shown

    await follow(page, f"{service}-{leader.node}-")
    await shown_on(
        page,
        f"{service} on {leader.node}",
        "Notes\nPassed by the leader while its coordination work runs.",
        f"Output\nleads, term {leader.term}",
    )
    await follow(page, "Tags & Meta")
    await shown_on(page, f"node\n{leader.node}\n", f"term\n{leader.term}\n", "session\n")


async def test_the_candidates_service_shows_every_candidate_and_what_its_check_says(
    page: Page, agent: ConsulAgent, fleet: Fleet, leader: LeaderRecord
) -> None:
    service = fleet.paths.candidate_service
    (other,) = set(fleet.nodes) - {leader.node}
    await page.goto(agent.ui_url)
    await follow(page, service)
    shown = await shown_on(page, *(f"{service}-{node}-" for node in fleet.nodes))
    assert shown.count("All service checks passing") == len(fleet.nodes)

    await follow(page, f"{service}-{other}-")
    await shown_on(
        page,
        f"{service} on {other}",
        "Notes\nPassed by the coord process while its event loop runs.",
        "Output\nthe event loop runs",
    )
    await follow(page, "Tags & Meta")
    await shown_on(page, f"node\n{other}\n")
    await scroll_down(page, "election")
    await shown_on(page, "state\nstandby\n", "why_not\nheld_by_other\n")
