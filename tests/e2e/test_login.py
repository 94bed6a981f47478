"""Strangers get in with a token, and do what they may."""

from __future__ import annotations

from playwright.async_api import expect

from asyncq.inspector import Rights
from asyncq.web import Principal, Tokens

from .conftest import PHONE, Visit
from .world import World

ANNA, BOB = "the-secret-of-anna", "the-secret-of-bob!"


async def test_who_logs_in_comes_to_where_they_were_going(visit: Visit, site: World) -> None:
    """A wrong token is said to be wrong; and whoever leaves is a stranger again."""
    people = {ANNA: Principal("anna", Rights.operator()), BOB: Principal("bob", Rights.viewer())}
    origin = await site.another(auth=Tokens(people), environment="production")
    visitor = await visit("/queues?q=mail", origin=origin, viewport=PHONE)
    page = visitor.page
    await visitor.assert_usable()
    visitor.expected = {401, 403}
    await page.get_by_label("Token").fill("not-the-secret-of-anybody")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator(".message-problem")).to_be_visible()
    visitor.faults.clear()
    await visitor.assert_usable()
    visitor.expected = set()
    await page.get_by_label("Token").fill(ANNA)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url("**/queues?q=mail")
    await expect(page.get_by_role("button", name="Pause mail")).to_be_visible()
    await visitor.assert_usable()
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url("**/login*")


async def test_who_may_only_look_sees_no_button(visit: Visit, site: World) -> None:
    """What is not allowed is not offered."""
    people = {BOB: Principal("bob", Rights.viewer())}
    origin = await site.another(auth=Tokens(people))
    visitor = await visit("/queues", origin=origin)
    await visitor.page.get_by_label("Token").fill(BOB)
    await visitor.page.get_by_role("button", name="Log in").click()
    await expect(visitor.page.locator("main tbody tr").first).to_be_visible()
    assert await visitor.page.locator("main form[method=post]").count() == 0
    await visitor.go("/queues/mail")
    assert await visitor.page.locator("main form[method=post]").count() == 0
    await visitor.assert_usable()
