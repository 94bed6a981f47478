"""Every screen, wide and narrow, light and dark: usable by all, and nothing goes wrong."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.async_api import expect

from .conftest import DESKTOP, PHONE, Visit
from .world import EVIL, LONG, World

SCREENS = {
    "overview": "/",
    "queues": "/queues",
    "one queue": "/queues/bills",
    "a paused queue": "/queues/backlog",
    "a queue with a bad name": f"/queues/{quote(EVIL, safe='')}",
    "a queue with a long name": f"/queues/{LONG}",
    "removing a queue": "/queues/bills/remove",
    "tasks": "/tasks",
    "tasks of a search": "/tasks?q=state:retry,archived",
    "a task with a bad name": f"/tasks/backlog/{quote(EVIL, safe='')}",
    "a new task": "/enqueue",
    "failures": "/failures",
    "schedules": "/schedules",
    "an entry": f"/schedules/{quote('daily report')}",
    "bulk jobs": "/jobs",
    "queues with groups": "/groups",
    "groups": "/groups?queue=backlog",
    "servers": "/servers",
    "redis": "/redis",
    "audit": "/audit",
    "settings": "/settings",
}


@pytest.mark.parametrize("name", SCREENS)
async def test_a_screen_is_for_everybody(visit: Visit, name: str) -> None:
    """A person on call may have a phone in the dark, a screen reader, or a keyboard alone."""
    visitor = await visit(SCREENS[name], viewport=DESKTOP, color_scheme="light")
    page = visitor.page
    await expect(page.locator("h1")).to_be_visible()
    await visitor.assert_usable()
    await page.emulate_media(color_scheme="dark")
    await visitor.assert_usable()
    await page.set_viewport_size(PHONE)
    await expect(page.locator("h1")).to_be_visible()
    await visitor.assert_usable()
    await page.emulate_media(color_scheme="light")
    await visitor.assert_usable()


async def test_a_chart_keeps_to_the_room_that_it_has(visit: Visit) -> None:
    """Also where the window stays as it is: a page that gets long needs a scroll bar."""
    visitor = await visit(SCREENS["overview"], viewport=DESKTOP)
    page = visitor.page
    await expect(page.locator(".chart .u-wrap").first).to_be_visible()
    for room in (500, 700):
        await page.evaluate("room => { document.querySelector('main').style.width = `${room}px`; }", room)
        await page.wait_for_function(
            """() => [...document.querySelectorAll(".chart .plot")].filter((host) => host.clientWidth).every(
                (host) => host.querySelector(".u-wrap").offsetWidth === host.clientWidth)"""
        )
        width = await page.locator(".chart .plot").first.evaluate("host => host.clientWidth")
        assert 200 < width < room
    visitor.assert_no_fault()


async def test_a_servers_page_is_for_everybody(visit: Visit, site: World) -> None:
    """Its address has an id that is made when it starts."""
    visitor = await visit(f"/servers/{site.server.id}")
    await expect(visitor.page.locator("#main")).to_contain_text("image:resize")
    await visitor.assert_usable()
    await visitor.page.set_viewport_size(PHONE)
    await visitor.assert_usable()


async def test_every_entry_of_the_navigation_is_looked_at(visit: Visit) -> None:
    """A screen that is added has to be added above."""
    visitor = await visit("/")
    links = await visitor.page.locator("nav[aria-label=Screens] a").evaluate_all(
        "(all) => all.map((one) => one.pathname)"
    )
    assert links
    assert set(links) <= set(SCREENS.values())


async def test_what_is_not_there_says_so(visit: Visit) -> None:
    """Also in the form that everybody can read."""
    visitor = await visit("/settings")
    visitor.expected = {404}
    await visitor.go("/queues/bils")
    await expect(visitor.page.locator("#main")).to_contain_text("bills")
    await visitor.assert_usable()


async def test_names_that_bite_are_shown_and_never_run(visit: Visit) -> None:
    """Names, payloads and errors come from programs and their users."""
    visitor = await visit("/queues?q=img")
    await expect(visitor.page.locator("#main")).to_contain_text(EVIL)
    await visitor.page.get_by_role("link", name=EVIL).first.click()
    await expect(visitor.page.locator("h1")).to_have_text(EVIL)
    visitor.assert_no_fault()
