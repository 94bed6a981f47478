"""The other side: the shop, which takes orders, and the payment service, which says what was paid."""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import AsyncExitStack
from typing import Self

from asyncq import Client, Task
from asyncq.dq import Producer
from asyncq.kq import Pusher
from order_service.orders import Order, Orders
from order_service.settings import Settings
from order_service.tasks import CLOSE


class Desk:
    """Takes orders and payments. Use it as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._orders = Orders(settings.orders.database)
        self._client = Client(settings.redis.options())
        self._reminders = Producer(settings.reminders.beanstalks)
        # Each event is stored before `pay` returns; what is about one order stays in one partition, in order.
        self._payments = Pusher(
            settings.payments.brokers, settings.payments.topic, sync=True, balancer="hash"
        )
        self._open = AsyncExitStack()

    async def place(self, what: str) -> Order:
        """Take an order: it is closed if nobody pays for it, and the customer is reminded before that.

        The tasks come first. One for an order that was never written is archived in the end; an order that
        nobody closes would be there for ever.
        """
        order = Order(secrets.token_hex(4), what)
        await self._client.enqueue(
            Task(CLOSE, {"number": order.number}),
            process_in=self._settings.orders.unpaid_for,
            task_id=f"close:{order.number}",
        )
        await self._reminders.delay(order.number.encode(), self._settings.reminders.after)
        await asyncio.to_thread(self._orders.add, order)
        return order

    async def pay(self, number: str, state: int = 1) -> None:
        """Say what became of a payment: -1 failed, 0 waits, 1 paid, 2 refunded."""
        await self._payments.push(json.dumps({"orderSn": number, "payStatus": state}), key=number)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._client.aclose)
            stack.push_async_callback(self._reminders.close)
            await stack.enter_async_context(self._payments)
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()
