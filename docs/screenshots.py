#!/usr/bin/env python3
"""Takes the documentation's pictures of a real fleet: of the console, and of Consul's own UI.

`make screenshots`; five nodes on a Consul of their own, one of which is killed while it leads.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from browser import browser, lacking, open_leader_key, save_picture
from control_bench import Hands, Told

from console.controls.desk import Desk
from console.source import Source
from coord.clock import SystemClock
from coord.config import Settings
from coord.consul import ConsulClient
from demo.arguments import check_of
from demo.console import running_fleet
from demo.fleet import Fleet
from demo.polls import Polls, checks_of
from docs.pictures import normalised

IMAGES = Path(__file__).resolve().parent / "images"
SIZE = (120, 30)
TENURE_S = 14.0
"""How long each leads, so that the line of leadership has something to show."""
ACTOR = "ann@ops"


async def with_history(fleet: Fleet) -> None:
    """A leader that hands over, and one that is killed and comes again."""
    first = await fleet.leader_record()
    await asyncio.sleep(TENURE_S)
    await fleet[first.node].restart()
    second = await fleet.leader_record(after_term=first.term)
    await asyncio.sleep(TENURE_S)
    fleet[second.node].kill()
    third = await fleet.leader_record(after_term=second.term)
    await fleet[second.node].wait_exit()
    await fleet[second.node].start()
    await fleet[third.node].state("leading")
    await fleet[second.node].state("standby")


async def with_polls(consul: ConsulClient, fleet: Fleet, consul_addr: str) -> None:
    """Something that is polled: Consul, every node, and a port where nobody listens."""
    nodes = {name: node.url for name, node in fleet.nodes.items()}
    nobody = check_of("tcp://127.0.0.1:9")
    polls = Polls(consul, fleet.paths)
    await polls.seed(checks_of(consul_addr, nodes, ()) | {"mail": nobody})
    await polls.more_runs(1, timeout_s=60.0)


async def pictures(hands: Hands, save: Callable[[str], Awaitable[None]]) -> None:
    """Go from screen to screen, and take them."""
    leader = hands.app.snapshot.status
    assert leader is not None
    await hands.until(lambda: _has(hands, "LEADS", "Last failover", "standby"))
    await save("dashboard")
    await hands.press("2", "end")
    await hands.until(lambda: _has(hands, "leader_changed"))
    await save("events")
    await hands.press("7")
    await hands.until(lambda: _has(hands, "consul-api", "mail", "running"))
    await save("polls")
    await hands.press("1", "a")
    await hands.until(lambda: _has(hands, "Step down"))
    await hands.press("s")
    await hands.until(lambda: hands.offered("do"))
    await hands.fill("reason", "deploy of 0.1.1")
    await save("preview")
    await hands.press("enter", "enter")
    await hands.until(lambda: _has(hands, "gap") and not hands.offered("do"))
    await hands.until(lambda: hands.dialog._stage.course is not None)
    await hands.until(lambda: (course := hands.dialog._stage.course) and course.ended)
    await save("outcome")


def _has(hands: Hands, *texts: str) -> bool:
    shown = "\n".join(hands.picture())
    return all(text in shown for text in texts)


async def picture_of_consul(ui_url: str, leader_key: str, file: Path) -> None:
    """The leader key in Consul's own UI, if there is a browser to look with."""
    if (why := lacking()) is not None:
        print(f"no {file.name}: {why}", file=sys.stderr)
        return
    async with browser() as page:
        await open_leader_key(page, ui_url, leader_key)
        await save_picture(page, file)
    print(file)


async def take(directory: Path) -> None:
    """All of them."""
    with tempfile.TemporaryDirectory() as run:
        async with running_fleet(Path(run)) as (agent, fleet), fleet.consul() as consul:
            await with_polls(consul, fleet, agent.http_addr)
            await with_history(fleet)
            consul_picture = directory / "consul-ui-leader.png"
            await picture_of_consul(agent.ui_url, fleet.paths.leader, consul_picture)
            clock, paths = SystemClock(), fleet.paths
            settings = Settings(environ={}, node="operator", election=paths.election)
            source = Source(consul, paths, clock=clock, address=agent.http_addr)
            async with Desk(consul, settings, clock=clock, actor=ACTOR) as desk:
                app = Told(source, clock=clock, desk=desk)
                async with app.run_test(size=SIZE) as pilot:
                    hands = Hands(app, pilot, consul, paths)
                    await hands.until(lambda: app.snapshot.status and app.snapshot.past)

                    async def save(name: str) -> None:
                        for _ in range(4):
                            await pilot.pause(0.3)
                        file = directory / f"console-{name}.svg"
                        svg = normalised(app.export_screenshot(title="coord-console"))
                        file.write_text(svg, encoding="utf-8")
                        print(file)

                    await pictures(hands, save)


def main() -> int:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=IMAGES, help="where to (%(default)s)")
    directory = parser.parse_args().to
    directory.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(directory))
    return 0


if __name__ == "__main__":
    sys.exit(main())
