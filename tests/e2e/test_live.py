"""Pages follow what happens, by themselves, until they are told not to."""

from __future__ import annotations

import asyncio

from playwright.async_api import Route, expect

from .conftest import Visit
from .world import World


async def test_a_page_follows_what_happens(visit: Visit, site: World) -> None:
    """And keeps what the reader has open: it is changed in place and not loaded again."""
    await site.tasks("live-list", 1)
    visitor = await visit("/queues?q=live-list")
    page = visitor.page
    await page.evaluate("window.isTheSame = true")
    row = page.locator("main tbody tr", has_text="live-list")
    pending = row.locator("td[data-label=Pending]")
    await expect(pending).to_have_text("1")
    await page.get_by_role("link", name="live-list").focus()
    await site.tasks("live-list", 2)
    await expect(pending).to_have_text("3")
    await expect(page.get_by_role("link", name="live-list")).to_be_focused()
    assert await page.evaluate("window.isTheSame")
    await visitor.assert_usable()


async def test_updates_are_stopped_and_started(visit: Visit, site: World) -> None:
    """Nothing moves under the pointer of whoever wants to read."""
    await site.tasks("live-stop", 1)
    visitor = await visit("/queues?q=live-stop")
    page = visitor.page
    pending = page.locator("main tbody tr td[data-label=Pending]")
    await page.get_by_role("button", name="Stop updates").click()
    await expect(page.get_by_role("button", name="Start updates")).to_have_attribute("aria-pressed", "true")
    other = await visit("/queues?q=live-stop")
    seen = other.page.locator("main tbody tr td[data-label=Pending]")
    await site.tasks("live-stop", 1)
    await expect(seen).to_have_text("2", timeout=40_000)
    await site.tasks("live-stop", 1)
    await expect(seen).to_have_text("3", timeout=40_000)
    await expect(pending).to_have_text("1")
    await page.get_by_role("button", name="Start updates").click()
    await expect(pending).to_have_text("3")


async def test_who_wants_no_updates_gets_none(visit: Visit) -> None:
    """A setting of the browser: no stream is opened at all."""
    visitor = await visit("/settings")
    await visitor.page.get_by_label("Live pages look").select_option("0")
    await visitor.page.get_by_role("button", name="Keep").click()
    visitor.requests.clear()
    await visitor.go("/queues")
    await expect(visitor.page.locator("#live")).to_be_visible()
    assert [url for url in visitor.requests if "live=1" in url] == []


async def test_what_was_said_is_read_to_those_who_listen(visit: Visit, site: World) -> None:
    """Screen readers tell what comes into a part that is marked for it."""
    await site.tasks("live-said")
    visitor = await visit("/queues?q=live-said")
    page = visitor.page
    await expect(page.locator("#messages")).to_have_attribute("role", "status")
    await page.get_by_role("button", name="Pause live-said").click()
    await expect(page.locator("#messages[role=status]")).to_contain_text("live-said")


async def test_a_page_follows_however_slowly_its_scripts_come(visit: Visit, site: World) -> None:
    """The part that opens the stream comes last here: what began before would never know of it."""
    await site.tasks("live-slow", 1)
    visitor = await visit("/settings")
    page = visitor.page

    async def later(route: Route) -> None:
        await asyncio.sleep(0.5)
        await route.continue_()

    await page.route("**/hx-sse.min.js", later)
    async with page.expect_request("**live=1**"):
        await visitor.go("/queues?q=live-slow")
    await site.tasks("live-slow", 1)
    await expect(page.locator("main tbody tr td[data-label=Pending]")).to_have_text("2")
