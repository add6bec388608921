"""A real browser without a window: Chromium, and the pages of Consul's own UI in it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from consul_agents import eventually
from playwright.async_api import Page, async_playwright

GENEROUS_S = 60.0
WIDTH, HEIGHT = 1280, 910
FLAGS = (
    "--disable-background-networking",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
"""Neither it nor a page reaches anything but this machine."""


def lacking() -> str | None:
    """What this machine lacks for it, and where that comes from; None: nothing."""
    if shutil.which("chromium"):
        return None
    return "Chromium is not installed: apt-get install chromium"


def require_chromium() -> None:
    """What this machine lacks is a reason to skip; in CI it is a failure."""
    if (why := lacking()) is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"in CI the pages must be looked at in a browser: {why}")
    pytest.skip(why)


@asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """An empty page of a browser that knows nothing of earlier ones, and ends with the block."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=FLAGS, timeout=GENEROUS_S * 1000
        )
        try:
            window = await chromium.new_context(viewport={"width": WIDTH, "height": HEIGHT})
            window.set_default_timeout(GENEROUS_S * 1000)
            yield await window.new_page()
        finally:
            await chromium.close()


async def until(read: Callable[[], Awaitable[str]], *texts: str) -> str:
    """Wait until all of these can be read at once; gives all that can be."""
    return await eventually(
        read, until=lambda shown: all(text in shown for text in texts), within_s=GENEROUS_S
    )


async def shown_on(page: Page, *texts: str) -> str:
    """Wait until all of these are on the page at once; gives its text, a part a line."""

    async def read() -> str:
        parts = (part.strip() for part in re.split(r"[\n\t]", await page.inner_text("body")))
        return "\n".join(part for part in parts if part)

    return await until(read, *texts)


async def follow(page: Page, text: str) -> None:
    """Click on the first link that begins with that."""
    begins = re.compile(rf"^\s*{re.escape(text)}")
    await page.locator("a").filter(has_text=begins).first.click()


async def scroll_down(page: Page, text: str) -> None:
    """Turn the wheel over that text: a box that scrolls draws only what is in sight."""
    await page.get_by_text(text, exact=True).hover()
    await page.mouse.wheel(0, HEIGHT)


async def open_key(page: Page, ui_url: str, key: str) -> None:
    """Click through Consul's UI to that key."""
    await page.goto(ui_url)
    await follow(page, "Key/Value")
    for part in key.split("/"):
        await follow(page, part)


async def open_leader_key(page: Page, ui_url: str, key: str) -> str:
    """Click through to the leader key, which must be locked; gives what the page shows."""
    await open_key(page, ui_url, key)
    return await shown_on(page, "Lock Session", "Invalidate Session", '"state"')


async def save_picture(page: Page, path: Path) -> None:
    """What the window shows, as PNG."""
    await page.screenshot(path=path)
