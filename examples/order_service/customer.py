"""Be a customer: `python -m order_service.customer place|pay|refund|show`."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from order_service.desk import Desk
from order_service.orders import Orders
from order_service.settings import Settings, read

HERE = Path(__file__).parent


async def act(settings: Settings, action: str, what: str) -> str:
    """Do one thing, and say what came of it."""
    if action == "show":
        orders = Orders(settings.orders.database)
        order = await asyncio.to_thread(orders.get, what)
        said = await asyncio.to_thread(orders.told, what)
        return "\n".join([f"{order.number}  {order.what}: {order.state.name.lower()}", *said])
    async with Desk(settings) as desk:
        if action == "place":
            order = await desk.place(what)
            return f"{order.number}  {order.what}: to be paid within {settings.orders.unpaid_for}"
        await desk.pay(what, 1 if action == "pay" else 2)
        return f"{what}  {action}: said to the payment topic"


def main() -> None:
    """Read the command."""
    parser = argparse.ArgumentParser(prog="customer")
    parser.add_argument("-f", "--file", default=str(HERE / "etc" / "order.yaml"), help="the settings")
    parser.add_argument("action", choices=["place", "pay", "refund", "show"])
    parser.add_argument("what", help="what to order, or the number of an order")
    given = parser.parse_args()
    print(asyncio.run(act(read(given.file), given.action, given.what)))


if __name__ == "__main__":
    main()
