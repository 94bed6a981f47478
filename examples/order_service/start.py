"""Start everything: `python -m order_service.start`, or with `--demo` also some customers."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from order_service.desk import Desk
from order_service.infrastructure import MissingError, infrastructure, prepare
from order_service.orders import Orders, State
from order_service.settings import Settings, read

HERE: Final = Path(__file__).resolve().parent
FILE: Final = HERE / "etc" / "order.yaml"
SHORT: Final = {"UNPAID_FOR": "8s", "REMIND_AFTER": "3s", "REPORT": "@every 5s"}
"""Times at which somebody can watch."""


def main() -> int:
    """Start it, and leave with it."""
    parser = argparse.ArgumentParser(prog="start", description=__doc__)
    parser.add_argument("--demo", action="store_true", help="play some customers, and leave")
    parser.add_argument("--data", type=Path, default=HERE / ".run", help="where data is kept")
    given = parser.parse_args()
    # What has been started is ended on the way out, whoever asks for that.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with infrastructure(given.data.resolve()) as places:
            environment = places | SHORT if given.demo else places
            os.environ.update(environment)
            settings = read(str(FILE))
            prepare(environment, settings.payments.topic)
            return _serve(settings, environment, given.data, demo=given.demo)
    except MissingError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _serve(settings: Settings, environment: dict[str, str], data: Path, *, demo: bool) -> int:
    """Run the service beside us, and end it with us."""
    service = subprocess.Popen([sys.executable, "-m", "order_service", "-f", str(FILE)], cwd=HERE.parent)
    try:
        if demo:
            asyncio.run(play(settings))
            return 0
        exports = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
        (data / "environment").write_text("\n".join([*exports, ""]))
        print(f"in another terminal:\n  cd {HERE.parent}\n  . {data / 'environment'}")
        print("  python -m order_service.customer place lamp", flush=True)
        return service.wait()
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(60)


async def play(settings: Settings) -> None:
    """Three customers: one forgets to pay, one pays, one gets the money back."""
    orders = Orders(settings.orders.database)
    async with Desk(settings) as desk:
        forgotten = await desk.place("a lamp")
        paid = await desk.place("a table")
        returned = await desk.place("a chair")
        for order in (paid, returned):
            await desk.pay(order.number)
        await _until(orders, returned.number, State.PAID)
        await desk.pay(returned.number, state=2)
        await _until(orders, returned.number, State.REFUNDED)
        await _until(orders, forgotten.number, State.CLOSED)
    for order in (forgotten, paid, returned):
        now = orders.get(order.number)
        print(f"{now.what}: {now.state.name.lower()}; told: {', '.join(orders.told(order.number))}")


async def _until(orders: Orders, number: str, state: State) -> None:
    async with asyncio.timeout(120):
        # Another process moves it, so there is nothing to wait for but time.
        while (await asyncio.to_thread(orders.get, number)).state is not state:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
