"""The screens of the web UI show what is there, and their forms do what they say."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI

from asyncq import Client, Task
from asyncq.web import NoAuth
from tests.conftest import AnyRedis
from tests.support.web import Made, serving, visitor


async def _fill(url: str, *queues: str) -> None:
    async with Client(url) as client:
        for name in queues:
            await client.enqueue(Task("greet", {"name": "x"}), queue=name)


async def test_queues_are_listed_and_paused(any_redis: AnyRedis, web: Made) -> None:
    """On every kind of Redis; with a word of what was done on the next page."""
    await _fill(any_redis.url, "default", "mail")
    made = web(any_redis.url, auth=NoAuth())
    async with visitor(made) as browser:
        page = await browser.get("/queues")
        assert page.status_code == 200
        assert page.text.count("no workers") == 2
        answer = await browser.post("/queues/mail/pause", data={"next": "/queues?q=mail"})
        assert answer.headers["location"] == "/queues?q=mail"
        page = await browser.get("/queues?q=mail")
        assert "Nothing is taken from mail." in page.text
        assert "/queues/mail/resume" in page.text
        assert "/queues/default" not in page.text
        page = await browser.get("/queues?q=mail")
        assert "Nothing is taken from mail." not in page.text  # said once
        await browser.post("/queues/mail/resume")
        assert "/queues/mail/pause" in (await browser.get("/queues")).text


async def test_queues_are_filtered_sorted_and_paged(redis_url: str, web: Made) -> None:
    """The address says which; what it cannot mean is a bad request, in words."""
    await _fill(redis_url, *(f"q{number:03}" for number in range(60)), "big", "big", "big")
    made = web(redis_url, auth=NoAuth())
    async with visitor(made) as browser:

        async def names(query: str) -> list[str]:
            page = await browser.get(f"/queues?{query}")
            assert page.status_code == 200
            return re.findall(r'aria-label="Pause ([^"]+)"', page.text)

        assert (await names("sort=pending&order=desc"))[0] == "big"
        assert len(await names("")) == 50
        assert await names("page=2") == [f"q{number:03}" for number in range(49, 60)]
        assert await names("page=99") == await names("page=2")
        assert await names("q=Q00") == [f"q00{number}" for number in range(10)]
        assert await names("show=paused") == []
        for query in ("sort=size", "order=up", "page=0", "page=x", "show=none"):
            page = await browser.get(f"/queues?{query}")
            assert page.status_code == 400
            assert "expected" in page.text


@pytest.mark.parametrize(
    "name", ["a/b", "..", "100%", "<script>alert(1)</script>", "' onclick=x", "ü ñ", "%2e%2e"]
)
async def test_any_name_of_a_queue_works_and_is_harmless(redis_url: str, name: str, web: Made) -> None:
    """Names come from programs: with slashes, with percent signs, with markup."""
    await _fill(redis_url, name)
    made = web(redis_url, auth=NoAuth())
    async with serving(made) as url, visitor(made) as in_memory:
        page = (await in_memory.get("/queues")).text
        assert "<script>alert" not in page
        import httpx2

        (path,) = set(re.findall(r'action="(/queues/[^"]+/pause)"', page))
        async with httpx2.AsyncClient(base_url=url, headers={"Sec-Fetch-Site": "same-origin"}) as browser:
            answer = await browser.post(path)
            assert answer.status_code == 303
    made = web(redis_url, auth=NoAuth())
    assert (await made.site.inspector.queues.get(name)).is_paused


async def test_what_is_not_there_is_said(redis_url: str, web: Made) -> None:
    """A page, or a line for a page that is open, or JSON; each with the right status."""
    await _fill(redis_url, "default")
    made = web(redis_url, auth=NoAuth())
    async with visitor(made) as browser:
        answer = await browser.post("/queues/defualt/pause")
        assert answer.status_code == 404
        assert "did you mean" in answer.text
        answer = await browser.post("/queues/defualt/pause", headers={"HX-Request": "true"})
        assert answer.status_code == 404
        assert answer.headers["hx-retarget"] == "#messages"
        assert "<html" not in answer.text
        answer = await browser.get("/api/v1/nothing")
        assert answer.json()["status"] == 404


async def test_mounted_under_fastapi_all_links_stay_below(redis_url: str, web: Made) -> None:
    """At any path, also of several parts; scripts, forms and streams too."""
    await _fill(redis_url, "default")
    made = web(redis_url, auth=NoAuth())
    api = FastAPI()
    api.mount("/ops/queues ui", made)
    async with visitor(api) as browser:
        page = await browser.get("/ops/queues%20ui/queues")
        assert page.status_code == 200
        links = re.findall(r'(?:href|src|action|connect)="([^"#]+)"', page.text)
        assert len(links) > 10
        assert [link for link in links if not link.startswith("/ops/queues%20ui/")] == []
        for link in links:
            if "live=1" not in link and "/pause" not in link and "logout" not in link:
                assert (await browser.get(link.replace("&amp;", "&"))).status_code == 200, link
        answer = await browser.post("/ops/queues%20ui/queues/default/pause")
        assert answer.headers["location"] == "/ops/queues%20ui/queues"


async def test_settings_are_kept_in_the_browser(redis_url: str, web: Made) -> None:
    """Theme, pace and zone; a wrong one is said and not kept."""
    made = web(redis_url, auth=NoAuth())
    async with visitor(made) as browser:
        page = await browser.get("/settings")
        assert 'data-theme="system"' in page.text
        answer = await browser.post("/settings", data={"theme": "dark", "refresh": "0", "zone": "Asia/Tokyo"})
        assert answer.status_code == 303
        page = await browser.get("/settings")
        assert 'data-theme="dark"' in page.text
        assert "Settings are kept" in page.text
        assert 'data-keys="off"' in page.text
        assert "sse:connect" not in (await browser.get("/queues")).text
        assert (await browser.post("/settings", data={"theme": "pink"})).status_code == 400
        assert 'data-theme="dark"' in (await browser.get("/settings")).text


async def test_redis_away_is_said_and_gets_over(redis_url: str, web: Made) -> None:
    """503 with the way to try again; the app itself needs nothing but Redis to be back."""
    from asyncq.inspector import Inspector
    from tests.support.servers import RedisOptions, RedisProcess

    with RedisProcess(RedisOptions(appendonly=True)) as redis:
        async with Inspector(redis.url, patience=0.2) as inspector:
            await _fill(redis.url, "default")
            made = web(inspector, auth=NoAuth())
            async with visitor(made) as browser:
                assert (await browser.get("/queues")).status_code == 200
                redis.kill()
                made.site.samples.forget()
                answer = await browser.get("/queues")
                assert answer.status_code == 503
                assert "Redis cannot be reached" in answer.text
                assert answer.headers["retry-after"] == "5"
                assert (await browser.get("/settings")).status_code == 200
                redis.start()
                made.site.samples.forget()  # a second later: so long those who ask are told the same
                assert (await browser.get("/queues")).status_code == 200
