"""The console as a page: served as docs/operations.md says, and looked at in a browser."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import GENEROUS_S, until
from consul_agents import ConsulAgent, eventually
from coord_command import environment
from playwright.async_api import Error, Page

from coord.records import LeaderRecord
from demo import REPO
from demo.fleet import Fleet
from processes import Guard

pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="session")]

COPIED = """screen => {
    const copied = new DataTransfer();
    screen.dispatchEvent(new ClipboardEvent("copy", {clipboardData: copied, bubbles: true}));
    return copied.getData("text/plain");
}"""


async def read_terminal(page: Page) -> str:
    """What the terminal on the page shows. It is painted, so this is what can be copied from it.

    The mouse is dragged over all of it; with shift, as it is the application's otherwise.
    """
    screen = page.locator(".xterm-screen")
    box = await screen.bounding_box()
    assert box is not None
    await page.keyboard.down("Shift")
    await page.mouse.move(box["x"] + 1, box["y"] + 1)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] - 1, box["y"] + box["height"] - 1)
    await page.mouse.up()
    await page.keyboard.up("Shift")
    return str(await screen.evaluate(COPIED))


@pytest.fixture
def served(agent: ConsulAgent, tmp_path: Path) -> Iterator[tuple[str, int]]:
    """What the page of the documentation serves: its address, and the server's pid."""
    found = re.search(
        r"```python\n(# serve\.py\n.*?)```", (REPO / "docs/operations.md").read_text(), re.DOTALL
    )
    assert found is not None
    (tmp_path / "serve.py").write_text(found.group(1))
    scripts = str(Path(sys.executable).parent)
    env = environment(
        agent.http_addr,
        PATH=os.pathsep.join((scripts, os.environ["PATH"])),
        PYTHONPATH=str(REPO),
    )
    guard, log = Guard.mine(), tmp_path / "serve.log"
    with socket.socket() as port, log.open("wb") as out:
        # Bound and never listening: the port stays ours until the server, which sets the same
        # option, binds it too.
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.bind(("127.0.0.1", 0))
        number = port.getsockname()[1]
        command = (sys.executable, "serve.py", str(number))
        server = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=out, stderr=out)
        guard.add(server.pid)
        try:
            yield f"http://127.0.0.1:{number}/", server.pid
        finally:
            server.terminate()
            try:
                server.wait(GENEROUS_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            guard.remove(server.pid)
            print(log.read_text())


def children(pid: int) -> list[str]:
    """The pids of what that process has started and what still runs."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


async def test_a_page_shows_who_leads_takes_keys_and_ends_with_its_tab(
    page: Page, served: tuple[str, int], leader: LeaderRecord, fleet: Fleet
) -> None:
    url, server = served
    tab = await page.context.new_page()

    async def opened() -> bool:
        try:
            await tab.goto(url)
        except Error:  # nobody listens yet
            return False
        return True

    async def read() -> str:
        return await read_terminal(tab)

    async def running() -> list[str]:
        return children(server)

    await eventually(opened)
    leads = f"{leader.node} LEADS · term {leader.term}"
    await until(read, leads, "read-only", *fleet.nodes)
    await tab.keyboard.press("2")
    await until(read, "[2 Events]", f"leader is {leader.node}")
    assert len(children(server)) == 1
    await tab.close()
    await eventually(running, until=lambda pids: not pids)
