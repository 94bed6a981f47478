"""Entries of schedulers are run, paused, resumed and looked at."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.async_api import expect

from asyncq import Task
from asyncq.errors import EntryNotFoundError
from tests.support.waiting import wait_until

from .conftest import PHONE, Visit
from .world import EVIL, World


async def test_an_entry_is_run_by_hand(visit: Visit, site: World) -> None:
    """Its past times say that it was."""
    visitor = await visit("/schedules?q=warm")
    page = visitor.page
    before = (await site.inspector.queues.get("low")).pending if await _has_low(site) else 0
    await page.get_by_role("button", name="Run").click()
    await expect(page.locator("#messages .message")).to_be_visible()

    async def is_there() -> bool:
        return await _has_low(site) and (await site.inspector.queues.get("low")).pending == before + 1

    await wait_until(is_there, "the task to be enqueued")
    await page.get_by_role("link", name="warm").first.click()
    await expect(page.get_by_role("heading", name="Past times")).to_be_visible()
    await expect(page.locator("main tbody tr").first).to_contain_text("by hand")
    await visitor.assert_usable()


async def _has_low(site: World) -> bool:
    return "low" in {info.name for info in await site.inspector.queues.list()}


async def test_an_entry_is_paused_with_a_reason_and_resumed(visit: Visit, site: World) -> None:
    """Whoever comes later shall know why."""
    visitor = await visit(f"/schedules/{quote('daily report')}", viewport=PHONE, has_touch=True)
    page = visitor.page
    await expect(page.get_by_role("heading", name="Next times")).to_be_visible()
    await page.get_by_label("Why, for others").fill(f"holidays {EVIL}")
    await page.get_by_role("button", name="Pause").tap()
    await expect(page.locator("#main")).to_contain_text(f"holidays {EVIL}")
    assert (await site.inspector.schedules.get("daily report")).is_paused
    await visitor.assert_usable()
    await page.get_by_role("button", name="Resume").tap()
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert not (await site.inspector.schedules.get("daily report")).is_paused


async def test_entries_are_paused_in_the_list(visit: Visit, site: World) -> None:
    """Also one with a name that bites."""
    visitor = await visit("/schedules?q=img")
    page = visitor.page
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert (await site.inspector.schedules.get(EVIL)).is_paused
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()


async def test_an_entry_is_removed_by_whoever_means_it(visit: Visit, site: World) -> None:
    """It is asked about once more; what became of its times is still there."""
    await site.inspector.schedules.add("@daily", Task("cache:warm"), entry_id="act/gone", queue="low")
    site.pages.site.samples.forget()
    visitor = await visit("/schedules?q=act/gone")
    page = visitor.page
    await page.get_by_role("link", name="act/gone").first.click()
    await page.get_by_role("button", name="Remove").click()
    await expect(page.get_by_role("heading", name="Remove act/gone?")).to_be_visible()
    await visitor.assert_usable()
    await page.get_by_role("link", name="No, go back").click()
    await expect(page.get_by_role("heading", name="Next times")).to_be_visible()
    await page.get_by_role("button", name="Remove").click()
    await page.get_by_role("button", name="Remove it").click()
    await expect(page.locator("#messages")).to_contain_text("act/gone was removed")
    with pytest.raises(EntryNotFoundError):
        await site.inspector.schedules.get("act/gone")
