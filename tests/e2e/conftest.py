"""A browser and something to look at, once for a worker; a page for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from .visiting import Visitor
from .world import World, world

_HERE = Path(__file__).parent
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--disable-dev-shm-usage",
)

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}

# Conditions are waited for; on a busy machine that may take a while.
expect.set_options(timeout=20_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder. All of it shares a loop, in which the browser lives."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(120))  # a browser is a lot for a busy machine
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def _chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        # Not even CI has to have one; what it then has not looked at is said in the summary.
        if os.environ.get("ASYNCQ_E2E") == "required":
            pytest.fail("there is no `chromium` on PATH")
        pytest.skip("NOT TESTED in a browser: there is no `chromium` on PATH")
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncGenerator[Browser]:
    """The Chromium that is installed; none is downloaded."""
    program = _chromium()
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=program, args=_FLAGS, timeout=60_000)
        yield started
        await started.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site() -> AsyncGenerator[World]:
    """Queues, tasks, a server, a scheduler, and the pages of them."""
    async with world() as made:
        yield made


Visit = Callable[..., Awaitable[Visitor]]


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, site: World) -> AsyncGenerator[Visit]:
    """Open a page; options are those of a browser's context. What went wrong there fails the test."""
    visitors: list[Visitor] = []

    async def open_page(path: str = "/", *, origin: str = "", **options: Any) -> Visitor:
        given = {"viewport": DESKTOP, "reduced_motion": "reduce", "locale": "en-GB", **options}
        context = await browser.new_context(**given)
        context.set_default_timeout(20_000)
        visitor = Visitor(await context.new_page(), origin or site.url)
        visitors.append(visitor)
        await visitor.go(path)
        return visitor

    yield open_page
    for visitor in visitors:
        await visitor.page.context.close()
    for visitor in visitors:
        visitor.assert_no_fault()
