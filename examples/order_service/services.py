"""What the program is made of, in one group."""

from __future__ import annotations

import asyncio
import logging

from asyncq import Client, Connection, Scheduler, Server, Task
from asyncq.app import ServiceGroup, set_up
from asyncq.dq import Consumer, DqConf, Message
from asyncq.dq.metrics import ConsumerCollector
from asyncq.kq import Queue, bridge
from asyncq.kq.metrics import QueueCollector
from order_service.orders import Orders, State
from order_service.settings import Settings
from order_service.tasks import PAYMENT, REPORT, mux_of

log = logging.getLogger(__name__)


def group_of(settings: Settings) -> ServiceGroup:
    """Everything that runs. It is stopped from the last to the first: what others need is added first."""
    redis = Connection(settings.redis.options())
    client = Client(redis)
    orders = Orders(settings.orders.database)
    server = Server(redis, concurrency=settings.server.concurrency, queues=settings.server.queues)
    paid, due = payments(settings, client), reminders(settings, redis, orders)

    group = ServiceGroup(shutdown=settings.shutdown)
    group.add(set_up(settings, servers=[server], collectors=[QueueCollector(paid), ConsumerCollector(due)]))
    group.add(server, mux_of(orders, client))
    group.add(paid)
    group.add(due)
    group.add(reports(settings, redis))
    return group


def payments(settings: Settings, client: Client) -> Queue:
    """Payment events of Kafka become tasks, each once: with retries, and an archive for what is wrong."""
    return Queue(settings.payments, bridge.enqueue(client, PAYMENT, queue="critical"))


def reminders(settings: Settings, redis: Connection, orders: Orders) -> Consumer:
    """Reminders come from the delay queue when their time has come."""

    async def remind(message: Message) -> None:
        number = message.body.decode()
        order = await asyncio.to_thread(orders.get, number)
        if order.state is State.UNPAID and await asyncio.to_thread(orders.tell, number, "please pay soon"):
            log.info("order %s: the customer is reminded", number)

    return Consumer(DqConf(settings.reminders.beanstalks, redis), remind)


def reports(settings: Settings, redis: Connection) -> Scheduler:
    """A report every twenty minutes, however many of these programs run."""
    scheduler = Scheduler(redis)
    scheduler.register(settings.orders.report, Task(REPORT), entry_id="report", queue="low")
    return scheduler
