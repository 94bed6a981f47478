"""Make the pictures of the web UI in docs/images.

    python tools/web_screenshots.py              about three minutes
    python tools/web_screenshots.py --seconds 0  with charts that have hardly begun

A server and a scheduler work on an embedded Valkey for a while, so that there is something to see; then the
installed Chromium looks at it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from playwright.async_api import Browser, async_playwright

from asyncq import Client, Context, Inspector, Mux, Scheduler, Server, SkipRetry, Task
from asyncq.embedded import open_embedded
from asyncq.retry import Fixed
from asyncq.web import NoAuth, app

IMAGES = Path(__file__).parents[1] / "docs" / "images"
DESKTOP, PHONE = (1280, 800), (390, 844)
QUEUES = {"mail": 3, "images": 2, "billing": 1}


def handlers(draw: random.Random) -> Mux:
    """Say what tasks do: most succeed after a while, some fail."""
    mux = Mux()

    @mux.handle("mail:welcome")
    @mux.handle("mail:receipt")
    async def send(task: Task) -> dict[str, Any]:
        await asyncio.sleep(draw.uniform(0.01, 0.12))
        if draw.random() < 0.04:
            raise TimeoutError("smtp.example.com did not answer in 10 s")
        return {"to": task.payload["to"]}

    @mux.handle("image:resize")
    async def resize(task: Task, ctx: Context) -> None:
        for done in range(task.payload["tiles"]):
            ctx.progress(done, task.payload["tiles"], "tiles")
            await asyncio.sleep(draw.uniform(0.2, 0.5))

    @mux.handle("invoice:charge")
    async def charge(task: Task) -> None:
        await asyncio.sleep(draw.uniform(0.05, 0.3))
        if task.payload["order"] % 7 == 0:
            raise ConnectionError("bank.example.com refused the connection")
        if task.payload["order"] % 23 == 0:
            raise SkipRetry(f"the card of order {task.payload['order']} was refused")

    return mux


async def work(client: Client, draw: random.Random, seconds: float) -> None:
    """Enqueue what such a shop enqueues, for so long."""
    ends, order = time.monotonic() + seconds, 1000
    while True:
        order += 1
        to = f"reader-{order}@example.com"
        await client.enqueue(Task("mail:receipt", {"to": to, "order": order}, queue="mail"), retention=3600)
        await client.enqueue(Task("invoice:charge", {"order": order}, queue="billing"), max_retry=5)
        if order % 3 == 0:
            await client.enqueue(Task("mail:welcome", {"to": to}, queue="mail"), process_in=3600 + order)
            picture = {"picture": f"pictures/{order}.png", "tiles": draw.randrange(6, 40)}
            await client.enqueue(Task("image:resize", picture, queue="images"), timeout=600)
        if order > 1060 and time.monotonic() > ends:
            return
        await asyncio.sleep(draw.uniform(0.02, 0.25))


@asynccontextmanager
async def shop(url: str, seconds: float) -> AsyncGenerator[tuple[str, Inspector]]:
    """Bring it all together; gives the address of the pages, and an inspector."""
    draw = random.Random(4)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(url))
        inspector = await stack.enter_async_context(Inspector(url))
        options: dict[str, Any] = {
            "concurrency": 8,
            "queues": QUEUES,
            "retry": Fixed(900.0),
            "shutdown_timeout": 1.0,
        }
        server = Server(url, name="worker-1", **options)
        await stack.enter_async_context(server.running(handlers(draw)))
        scheduler = Scheduler(url, timezone="Europe/Berlin")
        scheduler.register("0 7 * * mon-fri", Task("report:sales"), entry_id="sales report", queue="reports")
        scheduler.register("*/15 * * * *", Task("cache:warm"), entry_id="warm the cache", queue="reports")
        scheduler.register("@every 1m", Task("stock:compare"), entry_id="compare stock", queue="reports")
        await stack.enter_async_context(scheduler.running())
        for reader in range(40):
            line = Task("digest:line", {"reader": reader})
            await client.enqueue(line, queue="mail", group=("daily", "weekly")[reader % 2])
        await work(client, draw, seconds)
        pages = app(url, auth=NoAuth(), environment="staging")
        stack.push_async_callback(pages.aclose)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        web = uvicorn.Server(uvicorn.Config(pages, log_level="warning", timeout_graceful_shutdown=1))
        serving = asyncio.create_task(web.serve([listener]))
        while not web.started:  # noqa: ASYNC110 - uvicorn says it in no other way
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", inspector
        web.should_exit = True
        await serving


async def shoot(browser: Browser, url: str, name: str, size: tuple[int, int], scheme: Any = "light") -> None:
    """Take one picture."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
    )
    page = await context.new_page()
    await page.goto(url)
    await page.wait_for_timeout(800)  # charts are drawn after the page is there
    await page.screenshot(path=IMAGES / f"{name}.png")
    await context.close()
    print(f"{name}.png")


async def main(seconds: float) -> None:
    """Make all pictures."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("there is no chromium on PATH")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, open_embedded(Path(folder) / "data") as redis:
        url = f"unix://{redis.socket_path}"
        async with shop(url, seconds) as (pages, inspector), async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            failed = (await inspector.tasks.list("billing", "retry", size=1)).tasks[0]
            await shoot(browser, f"{pages}/", "web-overview", DESKTOP)
            await shoot(browser, f"{pages}/queues/mail", "web-queue", DESKTOP)
            await shoot(browser, f"{pages}/tasks?q=queue:billing", "web-tasks", DESKTOP)
            await shoot(browser, f"{pages}/tasks/billing/{failed.id}", "web-task", DESKTOP)
            await shoot(browser, f"{pages}/failures", "web-failures", DESKTOP)
            await shoot(browser, f"{pages}/schedules", "web-schedules", DESKTOP)
            await shoot(browser, f"{pages}/servers", "web-servers", DESKTOP, "dark")
            await shoot(browser, f"{pages}/", "web-phone", PHONE)
            await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the pictures of the web UI in docs/images.")
    parser.add_argument(
        "--seconds", type=float, default=150.0, help="to work before that (default %(default)s)"
    )
    asyncio.run(main(parser.parse_args().seconds))
