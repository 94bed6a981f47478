"""With JavaScript off all is there, and every form works; only nothing moves by itself."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from .conftest import Visit
from .test_screens import SCREENS
from .world import World


@pytest.mark.parametrize("name", SCREENS)
async def test_a_screen_shows_the_same(visit: Visit, name: str) -> None:
    """A heading, content, and no button that does nothing."""
    visitor = await visit(SCREENS[name], java_script_enabled=False)
    page = visitor.page
    await expect(page.locator("h1")).to_be_visible()
    assert (await page.locator("#main").inner_text()).strip()
    for button in await page.locator(".js-only").all():
        await expect(button).to_be_hidden()
    visitor.assert_no_fault()


async def test_forms_work(visit: Visit, site: World) -> None:
    """A change leads back to where it was made, with a word of what was done."""
    await site.tasks("plain")
    visitor = await visit("/queues?q=plain", java_script_enabled=False)
    page = visitor.page
    await page.get_by_role("button", name="Pause plain").click()
    await expect(page.locator("#messages")).to_contain_text("plain")
    assert page.url.endswith("/queues?q=plain")
    assert (await site.inspector.queues.get("plain")).is_paused
    await page.get_by_role("button", name="Resume plain").click()
    await expect(page.get_by_role("button", name="Pause plain")).to_be_visible()
    await page.get_by_label("Name contains").fill("backl")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.locator("main tbody th[scope=row]")).to_have_count(1)


async def test_charts_are_tables(visit: Visit) -> None:
    """The figures are on the page, drawn or not."""
    visitor = await visit("/", java_script_enabled=False)
    for table in await visitor.page.locator("figure.chart table").all():
        await expect(table).to_be_visible()
