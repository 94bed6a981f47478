"""What somebody looks for often has a name, kept by their browser."""

from __future__ import annotations

from playwright.async_api import Page, expect

from .conftest import PHONE, Visit
from .world import EVIL, World


async def _save(page: Page, name: str) -> None:
    await page.get_by_text("Save this view…").click()
    await page.get_by_label("Its name").fill(name)
    await page.get_by_role("button", name="Save it").click()
    await expect(page.locator("#messages")).to_contain_text(f"The view {name} is saved in this browser.")


async def test_a_view_is_saved_opened_and_forgotten(visit: Visit, site: World) -> None:
    """It is an address: what is asked for now is what is found later, also two hours ago."""
    ids = await site.tasks("view-one", 2, process_in=3600)
    visitor = await visit("/tasks?q=queue:view-one+until:%2B2h&size=10")
    page = visitor.page
    views = page.get_by_role("list", name="Saved views")
    await expect(views).to_be_hidden()
    await _save(page, "soon")
    await expect(views.get_by_role("link", name="soon")).to_have_attribute("aria-current", "true")
    await visitor.assert_usable()
    await visitor.go("/tasks?q=state:archived")
    await expect(views.get_by_role("link", name="soon")).not_to_have_attribute("aria-current", "true")
    await _save(page, "gone wrong")
    await expect(views.get_by_role("link")).to_have_text(["gone wrong", "soon"])
    await views.get_by_role("link", name="soon").click()
    await page.wait_for_url("**/tasks?q=queue*")
    assert "until%3A%2B2h" in page.url
    assert "size=10" in page.url
    await expect(page.locator("main tbody tr")).to_have_count(len(ids))
    await expect(page.get_by_label("Search")).to_have_value("queue:view-one until:+2h")
    await views.get_by_role("button", name="Forget the view soon").click()
    await expect(views.get_by_role("link")).to_have_text(["gone wrong"])
    await expect(page.locator("#messages")).to_contain_text("The view soon is forgotten.")
    await page.reload()
    await expect(views.get_by_role("link")).to_have_text(["gone wrong"])
    await page.set_viewport_size(PHONE)
    await visitor.assert_usable()


async def test_a_name_that_bites_is_a_name(visit: Visit) -> None:
    """And what somebody else has written into the browser's memory is no view, and breaks nothing."""
    visitor = await visit("/tasks?q=type:x")
    page = visitor.page
    await _save(page, EVIL)
    links = page.get_by_role("list", name="Saved views").get_by_role("link")
    await expect(links).to_have_text([EVIL])
    for odd in ("{", "7", '[1, null, {"name": 5}, {"name": "x", "query": {}}]'):
        await page.evaluate("(odd) => localStorage.setItem(Object.keys(localStorage)[0], odd)", odd)
        await page.reload()
        await expect(page.locator("main h1")).to_be_visible()
        await expect(links).to_have_count(0)
        visitor.assert_no_fault()


async def test_who_has_no_scripts_has_bookmarks(visit: Visit) -> None:
    """No form is shown that would do nothing."""
    visitor = await visit("/tasks", java_script_enabled=False)
    await expect(visitor.page.locator("#views")).to_be_hidden()
