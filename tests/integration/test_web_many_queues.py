"""Pages of very many queues: shown at once, with figures as soon as all are counted, and with their age."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing

import httpx2
import pytest

from asyncq import Client, Task
from asyncq.errors import BrokerUnavailableError
from asyncq.web import NoAuth, WebApp, sampling
from asyncq.web.samples import OLDEST, Samples
from tests.support.waiting import wait_until
from tests.support.web import Made, serving, visitor
from tests.support.web_site import text

COUNTING = "The tasks of 2 queues are being counted"


async def _filled(redis_url: str) -> None:
    async with Client(redis_url) as client:
        for queue, count in (("mail", 2), ("bills", 1)):
            for number in range(count):
                await client.enqueue(Task("x", number), queue=queue)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every queue is one too many, and nobody waits for what is counted."""
    monkeypatch.setattr(sampling, "FEW", 0)
    monkeypatch.setattr(sampling, "WITHIN", 0.0)


@pytest.mark.usefixtures("hurried")
async def test_a_page_does_not_wait_for_thousands_of_queues(redis_url: str, web: Made) -> None:
    """It says so, leaves out what it does not know, and never shows a 0 for it."""
    await _filled(redis_url)
    made = web(redis_url, auth=NoAuth())
    async with visitor(made) as browser:
        words = text((await browser.get("/")).text)
        assert COUNTING in words
        assert "Throughput" in words
        for unknown in ("Pending", "Oldest", "Later", "Archived", "Today", "Nothing waits"):
            assert unknown not in words, unknown
        await _counted(made, browser, "/", "Pending 3 in 2 queues")

        made.site.samples.forget()
        words = text((await browser.get("/queues?sort=pending&order=desc")).text)
        assert COUNTING in words
        assert "No queue is like that" not in words
        await _counted(made, browser, "/queues?sort=pending&order=desc", "mail no workers 2")
        # By name nothing has to be counted but what is shown.
        made.site.samples.forget()
        assert "bills no workers 1" in text((await browser.get("/queues")).text)


async def _counted(made: WebApp, browser: httpx2.AsyncClient, path: str, figures: str) -> None:
    async def are_there() -> bool:
        words = text((await browser.get(path)).text)
        assert (figures in words) != (COUNTING in words)
        return figures in words

    await wait_until(are_there, "the figures")
    # The next ones are on their way; until they are there these are shown, and how old they are.
    await made.site.samples.settle()
    clock = made.site.samples._clock  # noqa: SLF001 - time passes
    made.site.samples._clock = lambda: clock() + 30.0  # noqa: SLF001
    words = text((await browser.get(path)).text)
    assert figures in words
    assert re.search(r"Queues as of [345]\d s ago: counting 2 of them takes a while", words)
    made.site.samples._clock = clock  # noqa: SLF001


@pytest.mark.usefixtures("hurried")
async def test_the_stream_of_a_page_waits_for_the_figures(redis_url: str, web: Made) -> None:
    """So that they stand there as soon as they are known, without a second look by anybody."""
    await _filled(redis_url)
    made = web(redis_url, auth=NoAuth())
    async with serving(made) as url, httpx2.AsyncClient(base_url=url) as browser:
        async with (
            browser.stream("GET", "/?live=1", timeout=60) as answer,
            aclosing(answer.aiter_lines()) as lines,
        ):
            event = [await anext(lines)]
            while event[-1]:
                event.append(await anext(lines))
        words = text("\n".join(event))
        assert COUNTING not in words
        assert "in 2 queues" in words


async def test_what_takes_long_is_taken_once_beside_those_who_ask() -> None:
    """Nobody waits longer than they said; who comes later is shown what there is, until that is too old."""
    time, taken, go_on = [100.0], [0], asyncio.Event()

    async def take() -> int:
        taken[0] += 1
        await go_on.wait()
        return taken[0]

    samples = Samples(clock=lambda: time[0])
    glances = await asyncio.gather(*(samples.soon("x", take, within=0.0) for _ in range(20)))
    assert [glance.value for glance in glances] == [None] * 20
    go_on.set()
    assert (await samples.soon("x", take, within=60.0)).value == 1
    assert taken == [1]
    go_on.clear()
    time[0] += OLDEST - 1
    glance = await samples.soon("x", take, within=0.0)
    assert (glance.value, glance.age) == (1, OLDEST - 1)
    time[0] += 1
    assert (await samples.soon("x", take, within=0.0)).value is None
    await samples.aclose()
    assert taken == [2]


async def test_who_goes_does_not_end_what_others_wait_for() -> None:
    """A sample belongs to the site; it is given up with the site alone."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def take() -> str:
        begun.set()
        await go_on.wait()
        return "there"

    samples = Samples()
    first = asyncio.create_task(samples.soon("x", take, within=60.0))
    await begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go_on.set()
    assert (await samples.soon("x", take, within=60.0)).value == "there"
    await samples.aclose()


async def test_an_error_is_told_to_whoever_waits_and_to_the_next() -> None:
    """And the sample before is not shown then: that Redis is away is what there is to say."""
    time, errors, go_on = [100.0], [BrokerUnavailableError("there", "away")], asyncio.Event()
    go_on.set()

    async def take() -> str:
        await go_on.wait()
        if errors:
            raise errors[0]
        return "there"

    samples = Samples(clock=lambda: time[0])
    for _ in range(2):
        with pytest.raises(BrokerUnavailableError):
            await samples.soon("x", take, within=60.0)
    # Nobody waits for this one.
    time[0] += 60
    go_on.clear()
    assert (await samples.soon("x", take, within=0.0)).value is None
    go_on.set()
    await samples.settle()
    errors.clear()
    time[0] += 60
    assert (await samples.soon("x", take, within=60.0)).value == "there"
    await samples.aclose()
