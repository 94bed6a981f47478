"""A small order service: what `make demo` shows.

Customers place orders and pay for most of them. Behind the counter work a client, a server with
three weighted queues and a scheduler, in this one process, on a Valkey that is started for them:

- each payment is a task; one fails because the bank does not answer, and is retried; one is refused,
  which no retry can help, and is archived;
- an order that is not paid within five seconds is closed by a delayed task;
- a report is made every three seconds by the scheduler;
- a newsletter of 240 mails fills the queue of least weight, and nobody's payment waits for it.

It ends by itself in about twenty seconds, and checks in Redis what it says.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field

from _story import Counts, Story, count, make_story
from redis.asyncio import Redis

from asyncq import Client, Context, Inspector, Mux, Scheduler, Server, SkipRetry, Task
from asyncq.embedded import open_embedded
from asyncq.retry import Fixed

QUEUES = {"payments": 6, "orders": 3, "mail": 1}
ORDERS = 12
SECONDS_TO_PAY = 5.0
FORGOTTEN = {4, 10}  # nobody pays these
BANK_IS_SILENT = 2  # the first attempt to charge this one fails
CARD_IS_REFUSED = 7
NEWSLETTERS = 240
PATIENCE = 45.0  # it takes less than half of that


@dataclass
class Shop:
    """The database of the shop, so to speak."""

    orders: dict[int, str] = field(default_factory=dict[int, str])
    placed_at: dict[int, float] = field(default_factory=dict[int, float])
    closed_after: dict[int, float] = field(default_factory=dict[int, float])
    slowest_payment: float = 0.0
    newsletters: int = 0
    reports: int = 0

    @property
    def is_done(self) -> bool:
        """Whether every order has come to an end and every newsletter is out."""
        ends = [status for status in self.orders.values() if status in ("paid", "closed")]
        return len(ends) == ORDERS and self.newsletters == NEWSLETTERS


def make_handlers(shop: Shop, client: Client, story: Story) -> Mux:
    """Say what is to be done for each type of task."""
    mux = Mux()

    @mux.handle("payment:charge")
    async def charge(task: Task, ctx: Context) -> None:
        order = task.payload["order"]
        if ctx.attempt == 1:
            shop.slowest_payment = max(shop.slowest_payment, time.monotonic() - task.payload["asked_at"])
        if order == BANK_IS_SILENT and ctx.attempt == 1:
            raise ConnectionError("the bank does not answer")
        if order == CARD_IS_REFUSED:
            shop.orders[order] = "refused"
            raise SkipRetry("the card was refused")
        shop.orders[order] = "paid"
        story.tell(f"paid      order {order}" + (f", in attempt {ctx.attempt}" if ctx.attempt > 1 else ""))
        await client.enqueue(Task("mail:receipt", {"order": order}, queue="mail"))

    @mux.handle("order:close")
    async def close(task: Task) -> None:
        order = task.payload["order"]
        if shop.orders[order] != "paid":
            shop.orders[order] = "closed"
            shop.closed_after[order] = time.monotonic() - shop.placed_at[order]
            story.tell(f"closed    order {order}, not paid in {shop.closed_after[order]:.2f} s")

    @mux.handle("mail:receipt")
    async def send_receipt(task: Task) -> None:
        story.tell(f"mailed    the receipt of order {task.payload['order']}")

    @mux.handle("mail:newsletter")
    async def send_newsletter(_: Task) -> None:
        await asyncio.sleep(0.2)  # a slow mail server
        shop.newsletters += 1

    @mux.handle("report:sales")
    async def report(_: Task) -> dict[str, int]:
        paid = sum(status == "paid" for status in shop.orders.values())
        shop.reports += 1
        story.tell(f"report    {paid} of {len(shop.orders)} orders are paid")
        return {"placed": len(shop.orders), "paid": paid}

    return mux


async def be_customers(shop: Shop, client: Client, story: Story) -> None:
    """Place an order a second, and pay for most of them."""
    for order in range(1, ORDERS + 1):
        shop.orders[order], shop.placed_at[order] = "placed", time.monotonic()
        story.tell(f"placed    order {order}")
        await client.enqueue(
            Task("order:close", {"order": order}, queue="orders"),
            process_in=SECONDS_TO_PAY,
        )
        if order not in FORGOTTEN:
            await client.enqueue(
                Task("payment:charge", {"order": order, "asked_at": time.monotonic()}, queue="payments"),
                task_id=f"charge-{order}",  # a customer who clicks twice is charged once
                retention=60,
            )
        await asyncio.sleep(1)


async def send_newsletters(client: Client, story: Story) -> None:
    """Put many tasks into a queue with few calls."""
    letters = (Task("mail:newsletter", {"reader": n}, queue="mail") for n in range(NEWSLETTERS))
    sent = [outcome async for outcome in client.enqueue_many(letters)]
    story.tell(f"enqueued  {sum(outcome.is_enqueued for outcome in sent)} newsletters")


async def watch(shop: Shop, redis: Redis, story: Story) -> dict[str, Counts]:
    """Show the queues until the work is done."""
    while True:
        counts = {queue: await count(redis, queue) for queue in QUEUES}
        story.show(counts, shop.orders)
        if shop.is_done and not any(one.unfinished for one in counts.values()):
            return counts
        await asyncio.sleep(0.2)


async def run_shop(url: str, shop: Shop, story: Story, redis: Redis) -> None:
    """Bring client, server and scheduler together, and wait until the work is done."""
    scheduler = Scheduler(url)
    scheduler.register("@every 3s", Task("report:sales"), queue="orders", retention=60)
    server = Server(url, concurrency=6, queues=QUEUES, retry=Fixed(2.0))
    async with (
        Client(url) as client,
        server.running(make_handlers(shop, client, story)),
        scheduler.running(),
        asyncio.TaskGroup() as together,
    ):
        together.create_task(send_newsletters(client, story))
        together.create_task(be_customers(shop, client, story))
        together.create_task(watch(shop, redis, story))


async def check(shop: Shop, redis: Redis, inspector: Inspector) -> list[tuple[bool, str]]:
    """Compare the story with what is in Redis now."""
    counts = {queue: await count(redis, queue) for queue in QUEUES}
    payments, orders, mail = (counts[queue] for queue in QUEUES)
    retried = await inspector.tasks.get("payments", f"charge-{BANK_IS_SILENT}")
    refused = await inspector.tasks.get("payments", f"charge-{CARD_IS_REFUSED}")
    paid = ORDERS - len(FORGOTTEN) - 1
    unpaid = FORGOTTEN | {CARD_IS_REFUSED}
    late = max((after - SECONDS_TO_PAY for after in shop.closed_after.values()), default=-1.0)
    return [
        (payments.completed == paid, f"{paid} of {ORDERS} orders were paid, each once"),
        (
            (retried.state, retried.retried) == ("completed", 1),
            "the bank was silent once, and that payment took one retry",
        ),
        (refused.state == "archived", "the refused card is in the archive, for a person to see"),
        (
            set(shop.closed_after) == unpaid and 0 <= late < 1,
            f"{len(unpaid)} unpaid orders were closed, at most {late * 1000:.0f} ms late",
        ),
        (orders.completed == shop.reports >= 4, f"{shop.reports} reports were made, and their results kept"),
        (mail.processed == NEWSLETTERS + paid, f"{NEWSLETTERS} newsletters and {paid} receipts were mailed"),
        (
            shop.slowest_payment < 1,
            f"no payment waited for them: the slowest began after {shop.slowest_payment * 1000:.0f} ms",
        ),
        (payments.failed == 2 and not orders.failed and not mail.failed, "two attempts failed, and no other"),
        (not any(one.unfinished for one in counts.values()), "nothing is left to do"),
    ]


async def main(url: str) -> bool:
    """Run the shop, then check it. Tells whether all was as it should be."""
    shop, story = Shop(), make_story()
    async with Redis.from_url(url) as redis, Inspector(url) as inspector:
        with story.telling(), suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await run_shop(url, shop, story, redis)
        print("\nWhat is in Redis now:\n")
        is_right = True
        for is_so, what in await check(shop, redis, inspector):
            print(f"  {'ok   ' if is_so else 'WRONG'}  {what}")
            is_right &= is_so
    return is_right


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="asyncq-demo-") as folder:
        with open_embedded(folder) as valkey:
            all_is_well = asyncio.run(main(f"unix://{valkey.socket_path}"))
        valkey.wait_gone()
    sys.exit(0 if all_is_well else 1)
