"""Every button does what it says, and says what it did."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.async_api import expect

from asyncq import Task
from asyncq.errors import QueueNotFoundError
from tests.support.waiting import wait_until

from .conftest import DESKTOP, PHONE, Visit
from .world import World


async def test_a_queue_is_paused_and_resumed_in_the_list(visit: Visit, site: World) -> None:
    """Without the page being loaded again: whoever reads on is not thrown to its top."""
    await site.tasks("act-list")
    visitor = await visit("/queues?q=act-list")
    page = visitor.page
    await page.evaluate("window.isTheSame = true")
    await page.get_by_role("button", name="Pause act-list").click()
    await expect(page.locator("#messages")).to_contain_text("act-list")
    await expect(page.get_by_role("button", name="Resume act-list")).to_be_visible()
    assert (await site.inspector.queues.get("act-list")).is_paused
    await page.get_by_role("button", name="Resume act-list").click()
    await expect(page.get_by_role("button", name="Pause act-list")).to_be_visible()
    assert not (await site.inspector.queues.get("act-list")).is_paused
    assert await page.evaluate("window.isTheSame")


async def test_a_queue_is_paused_and_resumed_on_its_page(visit: Visit, site: World) -> None:
    """On a phone, too."""
    await site.tasks("act-page")
    visitor = await visit("/queues/act-page", viewport=PHONE, has_touch=True)
    page = visitor.page
    await page.get_by_role("button", name="Pause").tap()
    await expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert (await site.inspector.queues.get("act-page")).is_paused
    await page.get_by_role("button", name="Resume").tap()
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert not (await site.inspector.queues.get("act-page")).is_paused


async def test_a_queue_is_removed_by_whoever_means_it(visit: Visit, site: World) -> None:
    """Its name has to be typed, and that its tasks go has to be said; the wrong name removes nothing."""
    await site.tasks("act-remove", 4)
    visitor = await visit("/queues/act-remove")
    page = visitor.page
    await page.get_by_role("link", name="Remove").click()
    await expect(page.locator("#main")).to_contain_text("4 tasks")
    await visitor.assert_usable()
    await page.get_by_label("Remove its 4 tasks").check()
    await page.get_by_label("Type the name").fill("act-remov")
    visitor.expected = {400, 409, 422}
    await page.get_by_role("button", name="Remove act-remove").click()
    await expect(page.locator("#main")).to_contain_text("act-remove")
    assert (await site.inspector.queues.get("act-remove")).pending == 4
    await visitor.go("/queues/act-remove/remove")
    await page.get_by_label("Remove its 4 tasks").check()
    await page.get_by_label("Type the name").fill("act-remove")
    await page.get_by_role("button", name="Remove act-remove").click()
    await page.wait_for_url("**/jobs/*")
    await expect(page.locator("#live .badge").first).to_have_text("done")
    await expect(page.locator("#live")).to_contain_text("4 of 4 removed")
    await visitor.assert_usable()
    with pytest.raises(QueueNotFoundError):
        await site.inspector.queues.get("act-remove")


async def test_the_tasks_of_a_group_are_run_at_once(visit: Visit, site: World) -> None:
    """For whoever does not want to wait for the grace period."""
    for number in range(3):
        await site.client.enqueue(Task("line", {"n": number}, queue="act-group"), group="g/1")
    site.pages.site.samples.forget()
    visitor = await visit("/groups?queue=act-group")
    await visitor.page.get_by_role("button", name="Run now").click()
    await visitor.page.wait_for_url("**/jobs/*")
    await expect(visitor.page.locator("h1")).to_have_text("Run: group g/1 of queue act-group")
    await expect(visitor.page.locator("#live .badge").first).to_have_text("done")
    await visitor.assert_usable()
    info = await site.inspector.queues.get("act-group")
    assert (info.pending, info.aggregating) == (3, 0)


async def test_the_last_hour_is_a_line_beside_a_queue(visit: Visit, site: World) -> None:
    """Drawn by the server, within its row, also on a phone; whoever sees none is told in words."""

    async def is_written() -> bool:
        (pulse,) = await site.inspector.measures.pulses(["bills"])
        return pulse.total_failed >= 5

    await wait_until(is_written, "the server to write what it counted")
    site.pages.site.samples.forget()
    visitor = await visit("/queues?q=bills")
    cell = visitor.page.locator("main tbody td[data-label='Last hour']")
    await expect(cell).to_contain_text("of them failed")
    for size in (DESKTOP, PHONE):
        await visitor.page.set_viewport_size(size)
        await expect(cell.locator("svg polyline, svg path")).to_have_count(2)
        box = await cell.locator("svg").bounding_box()
        assert box is not None
        assert (round(box["width"]), round(box["height"])) == (57, 16)
        colour = await cell.locator("path.failed").evaluate("(one) => getComputedStyle(one).stroke")
        assert colour not in ("none", "")
        await visitor.assert_usable("color-contrast")


async def test_settings_are_kept_by_the_browser(visit: Visit) -> None:
    """Dark although the system is light, and the times of another zone."""
    visitor = await visit("/settings", color_scheme="light")
    page = visitor.page

    async def background() -> str:
        colour: str = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        return colour

    light = await background()
    await page.get_by_label("dark", exact=True).check()
    await page.get_by_label("Time zone").fill("Asia/Tokyo")
    await page.get_by_role("button", name="Keep").click()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    dark = await background()
    assert dark != light
    await visitor.assert_usable()
    await visitor.go("/servers")
    assert await background() == dark
    await visitor.go("/settings")
    await expect(page.get_by_label("Time zone")).to_have_value("Asia/Tokyo")


async def test_lists_are_filtered_and_sorted_by_whoever_looks(visit: Visit, site: World) -> None:
    """The address says it, so that it can be sent to somebody else."""
    await site.tasks("sift-few", 2)
    await site.tasks("sift-many", 8)
    visitor = await visit("/queues")
    page = visitor.page
    await page.get_by_label("Name contains").fill("sift-")
    await page.get_by_role("button", name="Filter").click()
    rows = page.locator("main tbody th[scope=row]")
    await expect(rows).to_have_count(2)
    await page.get_by_role("link", name="Pending").click()
    await expect(rows.first).to_contain_text("sift-many")
    await page.get_by_role("link", name="Pending").click()
    await expect(rows.first).to_contain_text("sift-few")
    assert "q=sift-" in page.url
    await page.go_back()
    await expect(rows.first).to_contain_text("sift-many")


async def test_the_trail_tells_what_was_done_here(visit: Visit, site: World) -> None:
    """Who, what, to which queue."""
    await site.tasks("act-trail")
    visitor = await visit("/queues?q=act-trail")
    await visitor.page.get_by_role("button", name="Pause act-trail").click()
    await expect(visitor.page.get_by_role("button", name="Resume act-trail")).to_be_visible()
    await visitor.go(f"/audit?queue={quote('act-trail')}")
    await expect(visitor.page.locator("main tbody tr")).to_have_count(1)
    await expect(visitor.page.locator("main tbody tr")).to_contain_text("queue.pause")


async def test_a_queue_that_went_meanwhile_is_said_to_be_gone(visit: Visit, site: World) -> None:
    """The page was older than what was done; nothing breaks, and the reader is told."""
    await site.tasks("act-gone")
    visitor = await visit("/queues?q=act-gone")
    visitor.expected = {404}
    await visitor.page.get_by_role("button", name="Stop updates").click()
    await site.inspector.queues.remove("act-gone", force=True)
    await visitor.page.get_by_role("button", name="Pause act-gone").click()
    await expect(visitor.page.locator("#messages, #notice").get_by_text("act-gone").first).to_be_visible()
