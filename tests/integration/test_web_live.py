"""Pages that follow what happens: what their streams send, what they cost, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx2
import pytest

from asyncq import Client, Inspector, Task
from asyncq.errors import BrokerError
from asyncq.inspector import Rights
from asyncq.redaction import hide_everything
from asyncq.web import NoAuth, Principal, Tokens, live
from asyncq.web.preferences import COOKIE, Preferences
from asyncq.web.samples import MOST_OF_ONE, MOST_SAMPLES, Samples
from tests.support.servers import RedisOptions, RedisProcess
from tests.support.waiting import wait_until
from tests.support.web import Made, serving, visitor

EVERY_SECOND = {"Cookie": f"{COOKIE}={Preferences(refresh=1).encode()}"}


@asynccontextmanager
async def _stream(browser: httpx2.AsyncClient, path: str) -> AsyncGenerator[AsyncIterator[str]]:
    """What a stream sends, event by event."""
    async with browser.stream("GET", path, headers=EVERY_SECOND, timeout=60) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-frame-options"] == "DENY"
        async with aclosing(answer.aiter_lines()) as lines, aclosing(_events(lines)) as events:
            yield events


async def _events(lines: AsyncIterator[str]) -> AsyncGenerator[str]:
    event: list[str] = []
    async for line in lines:
        if line.startswith("data: "):
            event.append(line.removeprefix("data: "))
        elif event:
            yield "\n".join(event)
            event.clear()


async def test_a_stream_sends_the_part_when_it_changes(redis_url: str, web: Made) -> None:
    """The page's part at once, and again when there is something new; nothing is left in the end."""
    made = web(redis_url, auth=NoAuth())
    async with (
        Client(redis_url) as client,
        serving(made) as url,
        httpx2.AsyncClient(base_url=url) as browser,
    ):
        await client.enqueue(Task("greet"), queue="first")
        async with _stream(browser, "/queues?live=1") as events:
            event = await anext(events)
            assert "first" in event
            assert "<html" not in event
            await client.enqueue(Task("greet"), queue="second")
            while "second" not in event:
                event = await anext(events)
            assert made.site.streams.open == 1
        await wait_until(lambda: made.site.streams.open == 0, "the stream to end")


async def test_a_stream_shows_the_page_that_was_asked_for(redis_url: str, web: Made) -> None:
    """Filter, order and page are in its address; a bad one is refused before it begins."""
    made = web(redis_url, auth=NoAuth())
    async with (
        Client(redis_url) as client,
        serving(made) as url,
        httpx2.AsyncClient(base_url=url) as browser,
    ):
        for name in ("mail", "reports"):
            await client.enqueue(Task("greet"), queue=name)
        async with _stream(browser, "/queues?q=mail&live=1") as events:
            event = await anext(events)
        assert "mail" in event
        assert "reports" not in event
        answer = await browser.get("/queues?sort=odd&live=1")
        assert (answer.status_code, answer.headers["hx-reswap"]) == (400, "none")
        assert (await browser.get("/nowhere?live=1")).status_code == 404


async def test_streams_of_one_client_are_counted(redis_url: str, web: Made) -> None:
    """A browser holds six connections to a host; more would only take from others."""
    made = web(redis_url, auth=NoAuth())
    async with serving(made) as url, httpx2.AsyncClient(base_url=url) as browser:
        async with _Open(browser, MOST_OF_ONE):
            answer = await browser.get("/queues?live=1", timeout=30)
            assert answer.status_code == 429
            assert answer.headers["hx-reswap"] == "none"
        await wait_until(lambda: made.site.streams.open == 0, "the streams to end")


class _Open:
    """So many streams, for the length of a block."""

    def __init__(self, browser: httpx2.AsyncClient, count: int) -> None:
        self._browser = browser
        self._count = count
        self._answers: list[httpx2.Response] = []

    async def __aenter__(self) -> None:
        for _ in range(self._count):
            request = self._browser.build_request("GET", "/queues?live=1", timeout=30)
            self._answers.append(await self._browser.send(request, stream=True))

    async def __aexit__(self, *_: object) -> None:
        for answer in self._answers:
            await answer.aclose()


async def test_a_stream_ends_by_itself(redis_url: str, web: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a server that leaves need not wait, and who was logged out is; the browser comes again."""
    monkeypatch.setattr(live, "LONGEST", 0.0)
    made = web(redis_url, auth=NoAuth())
    async with serving(made) as url, httpx2.AsyncClient(base_url=url) as browser:
        async with _stream(browser, "/queues?live=1") as events:
            assert len([event async for event in events]) == 1
        assert made.site.streams.open == 0


async def test_a_stream_says_that_redis_is_away_and_goes_on(web: Made) -> None:
    """What is on the page stays there, with a word that it is old; that word goes when Redis is back."""
    with RedisProcess(RedisOptions(appendonly=True)) as redis:
        async with Inspector(redis.url, patience=0.1) as inspector:
            made = web(inspector, auth=NoAuth())
            async with serving(made) as url, httpx2.AsyncClient(base_url=url) as browser:
                async with Client(redis.url) as client:
                    await client.enqueue(Task("greet"))
                async with _stream(browser, "/queues?live=1") as events:
                    assert "default" in await anext(events)
                    redis.kill()
                    event = await anext(events)
                    assert "Redis cannot be reached" in event
                    assert 'hx-target="#notice"' in event
                    redis.start()
                    async with Client(redis.url) as client:
                        await client.enqueue(Task("greet"), queue="other")
                    event = await anext(events)
                    while "other" not in event:
                        event = await anext(events)
            redis.kill()


async def test_many_who_look_cost_as_much_as_one() -> None:
    """Who comes while a sample is taken waits for it; and one that took long is shown for long."""
    time, taken, go_on = [100.0], [0], asyncio.Event()

    async def take() -> int:
        taken[0] += 1
        await go_on.wait()
        time[0] += 2.0  # it took two seconds
        return taken[0]

    samples = Samples(clock=lambda: time[0])
    waiting = [asyncio.create_task(samples.get("x", take)) for _ in range(20)]
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(*waiting) == [1] * 20
    time[0] += 19.0
    assert await samples.get("x", take) == 1
    time[0] += 1.0
    assert await samples.get("x", take) == 2
    samples.forget()
    assert await samples.get("x", take) == 3
    assert await samples.get("y", take) == 4


async def test_many_who_wait_for_a_redis_that_is_away_wait_once() -> None:
    """One after the other they would wait as often as there are of them, each with all of its patience."""
    time, taken, go_on = [100.0], [0], asyncio.Event()

    async def take() -> int:
        taken[0] += 1
        await go_on.wait()
        time[0] += 3.0
        if taken[0] == 1:
            raise BrokerError("here:1", "gone")
        return taken[0]

    samples = Samples(clock=lambda: time[0])
    waiting = [asyncio.create_task(samples.get("x", take, fresh=0.0)) for _ in range(20)]
    await asyncio.sleep(0)
    go_on.set()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(one) for one in told} == {BrokerError}
    assert taken == [1]
    time[0] += 0.5
    with pytest.raises(BrokerError):
        await samples.get("x", take)
    time[0] += 0.5
    assert await samples.get("x", take) == 2


async def test_what_is_being_taken_is_not_forgotten() -> None:
    """Others wait for it: a second one would ask Redis the same at the same time."""
    taken, go_on = [0], asyncio.Event()

    async def take() -> int:
        taken[0] += 1
        await go_on.wait()
        return taken[0]

    async def at_once() -> int:
        return 0

    samples = Samples(clock=lambda: 100.0)
    first = asyncio.create_task(samples.get("x", take))
    await asyncio.sleep(0)
    for number in range(MOST_SAMPLES + 10):
        await samples.get(number, at_once)
    second = asyncio.create_task(samples.get("x", take))
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(first, second) == [1, 1]
    assert len(samples._samples) == MOST_SAMPLES  # noqa: SLF001 - it must not grow for ever


async def test_a_task_that_is_gone_is_looked_for_once(
    redis_url: str, web: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where else it could be is asked all over Redis: not again with each look of an open page."""
    waits: list[float] = []

    async def is_there(_: object, seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) < 3

    monkeypatch.setattr(live, "_is_there", is_there)
    async with Client(redis_url) as client:
        await client.enqueue(Task("greet"), queue="mail")
    async with visitor(web(redis_url, auth=NoAuth())) as browser:
        answer = await browser.get("/tasks/mail/gone?live=1", headers=EVERY_SECOND)
    assert "This task is gone" in answer.text
    assert waits == [live.LONGEST]


async def test_schedules_and_the_trail_are_read_once_for_all_who_see_the_same(
    redis_url: str, web: Made
) -> None:
    """And never shown to somebody from whom more is hidden."""
    see_all, see_less, others = "the-secret-of-ann-", "the-secret-of-pat-", "the-secret-of-sue-"
    people = {
        see_all: Principal("ann", Rights.admin()),
        others: Principal("sue", Rights.admin()),
        see_less: Principal("pat", Rights.admin(), redact=hide_everything),
    }
    made = web(redis_url, auth=Tokens(people))
    made.site.samples._clock = lambda: 100.0  # noqa: SLF001 - no second passes
    bearer = {token: {"Authorization": f"Bearer {token}"} for token in people}
    async with Client(redis_url) as client, visitor(made) as browser:
        await client.enqueue(Task("greet", "a-text-of-ann"), queue="mail", task_id="t1", process_in=3600)
        inspector = made.site.inspector.acting_as("ann")
        await inspector.tasks.edit("mail", "t1", payload="another-text")
        await client.schedules.add("0 3 * * *", Task("greet"), entry_id="nightly", queue="mail")
        for path in ("/audit", "/schedules"):
            assert (await browser.get(path, headers=bearer[see_all])).status_code == 200
        await inspector.queues.pause("mail")
        await client.schedules.add("0 4 * * *", Task("greet"), entry_id="later", queue="mail")
        for token, has_later in ((others, False), (see_less, True)):
            page = (await browser.get("/audit", headers=bearer[token])).text
            assert ("another-text" in page) is not has_later
            assert ('data-label="What">queue.pause' in page) is has_later
            page = (await browser.get("/schedules", headers=bearer[token])).text
            assert "nightly" in page
            assert ("later" in page) is has_later


async def test_a_page_of_no_queues_is_not_the_list_of_all(redis_url: str, web: Made) -> None:
    """Each sample has a name of its own."""
    async with Client(redis_url) as client, visitor(web(redis_url, auth=NoAuth())) as browser:
        await client.enqueue(Task("greet"), queue="mail")
        assert "/queues/mail" not in (await browser.get("/queues?q=nothing-like-it")).text
        assert "/queues/mail" in (await browser.get("/queues?sort=pending")).text


async def test_who_is_cancelled_leaves_the_sample_to_others() -> None:
    """A window that closes while its sample is read must not take the others with it."""
    taken = [0]
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def take() -> int:
        taken[0] += 1
        begun.set()
        await go_on.wait()
        return taken[0]

    samples = Samples()
    first = asyncio.create_task(samples.get("x", take))
    await begun.wait()
    second = asyncio.create_task(samples.get("x", take))
    first.cancel()
    go_on.set()
    assert await second == 2
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_pages_that_stay_as_they_are_open_no_stream(redis_url: str, web: Made) -> None:
    """The pace can be `never`: then nothing is read that nobody asked for."""
    made = web(redis_url, auth=NoAuth())
    never = {"Cookie": f"{COOKIE}={Preferences(refresh=0).encode()}"}
    async with visitor(made) as browser:
        assert "live=1" in (await browser.get("/queues")).text
        assert "live=1" not in (await browser.get("/queues", headers=never)).text
        assert (await browser.head("/queues?live=1")).status_code == 200
        assert made.site.streams.open == 0
