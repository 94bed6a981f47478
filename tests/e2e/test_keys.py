"""All can be reached with the keyboard alone, and quickly."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from .conftest import Visit
from .world import World


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("o", "/"),
        ("q", "/queues"),
        ("t", "/tasks"),
        ("f", "/failures"),
        ("s", "/schedules"),
        ("b", "/jobs"),
        ("g", "/groups"),
        ("w", "/servers"),
        ("r", "/redis"),
        ("a", "/audit"),
    ],
)
async def test_two_keys_lead_to_each_screen(visit: Visit, key: str, path: str) -> None:
    """`g` and the letter that the list of keys says."""
    visitor = await visit("/settings")
    await visitor.page.keyboard.press("g")
    await visitor.page.keyboard.press(key)
    await visitor.page.wait_for_url(f"{visitor.origin}{path}")


async def test_a_key_shows_the_keys(visit: Visit) -> None:
    """A dialog that has the focus, and gives it back."""
    visitor = await visit("/queues")
    await visitor.page.keyboard.press("?")
    dialog = visitor.page.get_by_role("dialog", name="Keys")
    await expect(dialog).to_be_visible()
    await visitor.assert_usable()
    await visitor.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()


async def test_rows_are_walked_and_opened(visit: Visit, site: World) -> None:
    """`j` and `k` as in every terminal; Enter opens."""
    await site.tasks("keys-a")
    await site.tasks("keys-b")
    visitor = await visit("/queues?q=keys-&sort=name&order=asc")
    page = visitor.page
    links = page.locator("main tbody th a")
    await page.keyboard.press("j")
    await expect(links.nth(0)).to_be_focused()
    await page.keyboard.press("j")
    await expect(links.nth(1)).to_be_focused()
    await page.keyboard.press("k")
    await expect(links.nth(0)).to_be_focused()
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/queues/keys-a")


async def test_a_search_is_one_key_away_and_swallows_the_others(visit: Visit) -> None:
    """Who types a name must not be thrown to another page by the letters in it."""
    visitor = await visit("/queues")
    page = visitor.page
    await page.keyboard.press("/")
    field = page.get_by_label("Name contains")
    await expect(field).to_be_focused()
    await page.keyboard.type("gq?/rp")
    await expect(field).to_have_value("gq?/rp")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/queues?*q=gq*")


async def test_the_first_stop_skips_the_navigation(visit: Visit) -> None:
    """Else ten links come before the content on every page; and it is seen where the focus is."""
    visitor = await visit("/queues")
    page = visitor.page
    await page.keyboard.press("Tab")
    await expect(page.locator("a.skip")).to_be_focused()
    await expect(page.locator("a.skip")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()


async def test_a_button_is_pressed_without_a_mouse(visit: Visit, site: World) -> None:
    """The focus stays where the work is."""
    await site.tasks("keys-press")
    visitor = await visit("/queues?q=keys-press")
    page = visitor.page
    await page.get_by_role("button", name="Pause keys-press").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Resume keys-press")).to_be_visible()
    assert (await site.inspector.queues.get("keys-press")).is_paused


async def test_single_keys_may_be_switched_off(visit: Visit) -> None:
    """They get in the way of who speaks to the computer."""
    visitor = await visit("/settings")
    page = visitor.page
    await page.get_by_label("Single keys do something").uncheck()
    await page.get_by_role("button", name="Keep").click()
    await expect(page.locator("body")).to_have_attribute("data-keys", "off")
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
