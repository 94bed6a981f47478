"""What the server does: closes orders, hears of payments, tells customers, writes reports."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import Final

from asyncq import Client, Mux, SkipRetry, Task
from asyncq.errors import TaskIdConflictError
from order_service.orders import Orders, State

CLOSE: Final = "order:close"
PAYMENT: Final = "payment:update"
NOTIFY: Final = "order:notify"
REPORT: Final = "report:orders"

log = logging.getLogger(__name__)

_FOLLOWS: Final = {1: State.PAID, 2: State.REFUNDED}
"""What a payment's state means for its order. Others, waiting and failed, mean nothing."""


def mux_of(orders: Orders, client: Client) -> Mux:
    """The handlers of all tasks. Each may run twice, and does no harm then."""
    mux = Mux()

    @mux.handle(CLOSE)
    def close(task: Task) -> None:
        number = task.payload["number"]
        orders.get(number)  # one that is not there yet is an error, and an error is tried again
        if orders.move(number, State.CLOSED):
            orders.tell(number, "closed, since it was not paid in time")
            log.info("order %s is closed", number)

    @mux.handle(PAYMENT)
    async def payment(task: Task) -> None:
        number, to = _read_payment(task.raw)
        if to is None:
            return
        await asyncio.to_thread(orders.move, number, to)
        # Looked at, and not concluded from the move: a second run moves nothing, and has to go on.
        order = await asyncio.to_thread(orders.get, number)
        if order.state is State.CLOSED:
            await asyncio.to_thread(orders.tell, number, "paid too late: the money goes back")
        elif to is State.PAID:
            with suppress(TaskIdConflictError):  # it was enqueued by the first run
                await client.enqueue(
                    Task(NOTIFY, {"number": number}), task_id=f"notify:{number}", queue="critical"
                )

    @mux.handle(NOTIFY)
    def notify(task: Task) -> None:
        if orders.tell(task.payload["number"], "paid: thank you"):
            log.info("order %s is paid", task.payload["number"])

    @mux.handle(REPORT)
    def report(_: Task) -> None:
        log.info("report: %s", orders.report())

    return mux


def _read_payment(raw: bytes) -> tuple[str, State | None]:
    """The number of an order, and what follows from the state of its payment, if anything.

    Raises:
        SkipRetry: It cannot be read, and trying again will not help: it is archived.
    """
    try:
        event = json.loads(raw)
        return str(event["orderSn"]), _FOLLOWS.get(int(event["payStatus"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SkipRetry(f"no payment: {raw[:100]!r}") from error
