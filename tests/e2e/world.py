"""Something to look at: queues, tasks in all states, a server at work, a scheduler, and names that bite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from asyncq import Client, Context, Inspector, Mux, Scheduler, Server, SkipRetry, Task
from asyncq.retry import Fixed
from asyncq.web import Auth, NoAuth, WebApp, app
from tests.support.servers import RedisProcess
from tests.support.waiting import wait_until
from tests.support.web import serving

__all__ = ["EVIL", "World", "world"]

EVIL = "<img src=x onerror=alert(1)>"
"""What a page must show and never do."""

LONG = "a-very-long-name-without-any-place-to-break-it-" * 4


@dataclass
class World:
    """A Redis with something in it, who works there, and the pages that show it."""

    redis_url: str
    url: str
    client: Client
    inspector: Inspector
    server: Server
    pages: WebApp
    held: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to let go what is active from the beginning."""

    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def another(self, *, auth: Auth, **options: Any) -> str:
        """Serve the pages once more, otherwise; returns where. Ends with the world."""
        made = app(self.redis_url, auth=auth, **options)
        self._stack.push_async_callback(made.aclose)
        return await self._stack.enter_async_context(serving(made))

    async def tasks(self, queue: str, count: int = 3, **options: Any) -> list[str]:
        """Enqueue some tasks into a queue that nobody serves, and return their ids."""
        ids = [
            (await self.client.enqueue(Task("idle:work", {"number": number}), queue=queue, **options)).id
            for number in range(count)
        ]
        # The slower a machine is, the longer what was read is shown; a test need not wait for that.
        self.pages.site.samples.forget()
        return ids


def _handlers(held: asyncio.Event) -> Mux:
    mux = Mux()

    @mux.handle("mail:send")
    async def send(task: Task, ctx: Context) -> dict[str, Any]:
        ctx.progress(2, 2, "sent")
        return {"to": task.payload["to"], "message_id": "m-1"}

    @mux.handle("image:resize")
    async def resize(task: Task, ctx: Context) -> None:
        ctx.progress(task.payload["done"], 10, "tiles")
        await held.wait()

    @mux.handle("bill:charge")
    async def charge(task: Task) -> None:
        if task.payload["bank"] == "refuses":
            raise SkipRetry("the card was refused")
        raise ConnectionError(f"the bank does not answer {EVIL}")

    return mux


async def _fill(made: World) -> None:
    """Put tasks in all states."""
    client = made.client
    for number in range(4):
        mail = Task("mail:send", {"to": f"reader-{number}@example.com", "text": EVIL}, queue="mail")
        await client.enqueue(mail, retention=3600, headers={"trace": "00-abc", "tenant": EVIL})
    for done in (3, 7):
        await client.enqueue(Task("image:resize", {"done": done}, queue="images"), timeout=3600)
    for bank in ("silent", "silent", "refuses", "refuses", "refuses"):
        await client.enqueue(Task("bill:charge", {"bank": bank, "amount": 1250}, queue="bills"), max_retry=5)
    for number in range(3):
        await client.enqueue(Task("bill:remind", {"number": number}, queue="bills"), process_in=3600 + number)
    await made.tasks("backlog", 60)
    await made.tasks(EVIL, 2)
    await made.tasks(LONG, 2)
    await client.enqueue(Task(EVIL, EVIL, queue="backlog", task_id=EVIL))
    for number in range(5):
        await client.enqueue(
            Task("digest:line", {"n": number}), queue="backlog", group=("anna", EVIL)[number % 2]
        )
    await made.inspector.queues.pause("backlog")

    async def is_settled() -> bool:
        bills, mail, images = [await made.inspector.queues.get(name) for name in ("bills", "mail", "images")]
        return (bills.retry, bills.archived, mail.completed, images.active) == (2, 3, 4, 2)

    await wait_until(is_settled, "the tasks to come to rest")


@asynccontextmanager
async def world() -> AsyncGenerator[World]:
    """Make it, and end it."""
    held = asyncio.Event()
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisProcess())
        client = await stack.enter_async_context(Client(redis.url))
        inspector = await stack.enter_async_context(Inspector(redis.url))
        server = Server(
            redis.url,
            name="worker-1",
            concurrency=6,
            queues={"mail": 3, "images": 2, "bills": 1},
            retry=Fixed(3600.0),
            shutdown_timeout=1.0,
        )
        scheduler = Scheduler(redis.url, timezone="Europe/Berlin")
        scheduler.register("0 7 * * mon-fri", Task("report:daily", {"for": "sales"}), entry_id="daily report")
        scheduler.register("@every 1h", Task("cache:warm"), entry_id="warm", queue="low")
        scheduler.register("@every 1h", Task(EVIL), entry_id=EVIL, queue="low")
        await stack.enter_async_context(server.running(_handlers(held)))
        await stack.enter_async_context(scheduler.running())
        stack.callback(held.set)
        pages = app(redis.url, auth=NoAuth(), title="asyncq", environment="staging")
        stack.push_async_callback(pages.aclose)
        url = await stack.enter_async_context(serving(pages))
        made = World(redis.url, url, client, inspector, server, pages, held, stack)
        await _fill(made)
        yield made
