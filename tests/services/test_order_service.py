"""The example of a whole program, with everything that it stands on: from an order to its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from asyncq.inspector import Inspector
from asyncq.kq import Pusher
from tests.support._processes import spawn
from tests.support.http import ask
from tests.support.servers import RedisProcess, free_port
from tests.support.services.beanstalkd import BeanstalkdNode
from tests.support.services.kafka_broker import KafkaBroker
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
FILE = EXAMPLES / "order_service" / "etc" / "order.yaml"
TOPIC = "payment-update-paystatus-topic"
LONG = 60.0


class Service:
    """The program, as a process."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "service.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it."""
        command = [sys.executable, "-W", "error::RuntimeWarning", "-m", "order_service", "-f", FILE]
        self._process = spawn(command, cwd=EXAMPLES, log=self._log)

    async def end(self, number: signal.Signals) -> int:
        """End it, and return its exit code."""
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(number)
        return await asyncio.to_thread(process.wait, LONG)

    def close(self) -> None:
        """End it in any case."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        """What it said."""
        return self._log.read_text() if self._log.exists() else ""


@pytest.fixture
async def service(
    durable_nodes: list[BeanstalkdNode],
    kafka: KafkaBroker,
    locks: RedisProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Service]:
    """The program with short times, not started, and its settings in the environment."""
    await kafka.topic(TOPIC)
    port = locks.url.partition("://")[2].rpartition(":")[2].partition("/")[0]
    environment = {
        "PYTHONPATH": f"{ROOT}:{EXAMPLES}",
        "REDIS": f"127.0.0.1:{port}",
        "KAFKA": kafka.bootstrap,
        "BEANSTALK_1": durable_nodes[0].endpoint,
        "BEANSTALK_2": durable_nodes[1].endpoint,
        "ORDERS": str(tmp_path / "orders.sqlite"),
        "UNPAID_FOR": "1h",  # so that no machine is too slow to pay in time
        "REMIND_AFTER": "1s",
        "REPORT": "@every 1s",
        "KAFKA_SESSION": "2",
        "HEALTH_PORT": str(free_port()),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    made = Service(tmp_path)
    yield made
    made.close()


def _until(orders: Any, *, is_right: Callable[[Any], bool], number: str) -> Awaitable[None]:
    async def look() -> bool:
        return is_right(await asyncio.to_thread(orders.get, number))

    return wait_until(look, f"order {number} to be right", LONG)


async def _has_numbers_of_all() -> None:
    page = await ask(f"http://127.0.0.1:{os.environ['HEALTH_PORT']}", "/metrics")
    paid = 'asyncq_kq_handled_total{group="payment-update-paystatus-group",queue="payments",topic="'
    for one in (paid, 'asyncq_dq_handled_total{consumer="dq"}', 'asyncq_task_outcomes_total{outcome="done"'):
        assert one in page.body


async def test_orders_from_end_to_end(service: Service, kafka: KafkaBroker, locks: RedisProcess) -> None:
    """Closed, paid, refunded, reminded, reported; over a crash; and it leaves in order with nothing amiss."""
    from order_service.desk import Desk
    from order_service.orders import Orders, State
    from order_service.settings import read

    settings = read(str(FILE))
    hasty = replace(settings, orders=replace(settings.orders, unpaid_for=timedelta(seconds=3)))
    orders = Orders(settings.orders.database)

    async def becomes(number: str, state: State) -> None:
        await _until(orders, is_right=lambda order: order.state is state, number=number)

    service.start()
    async with Desk(settings) as desk, Desk(hasty) as hasty_desk:
        # One forgets to pay, one pays, and is told so once though the event comes twice.
        forgotten, paid, returned = [
            await one.place(what) for one, what in ((hasty_desk, "lamp"), (desk, "table"), (desk, "chair"))
        ]
        for number in (paid.number, paid.number, returned.number):
            await desk.pay(number)
        await becomes(paid.number, State.PAID)
        await becomes(returned.number, State.PAID)
        await desk.pay(returned.number, state=2)
        await becomes(returned.number, State.REFUNDED)
        await becomes(forgotten.number, State.CLOSED)
        await wait_until(lambda: "paid: thank you" in orders.told(paid.number), "the letter", LONG)
        assert orders.told(forgotten.number)[-1] == "closed, since it was not paid in time"
        assert orders.told(paid.number).count("paid: thank you") == 1
        await wait_until(orders.reports, "a report", LONG)

        reminded = await desk.place("sofa")
        await wait_until(lambda: orders.told(reminded.number) == ["please pay soon"], "that", LONG)

        # It is killed; what happens meanwhile is made up for.
        assert await service.end(signal.SIGKILL) == -signal.SIGKILL
        meanwhile = await desk.place("bed")
        await desk.pay(meanwhile.number)
        await desk.pay(forgotten.number)
        service.start()
        await becomes(meanwhile.number, State.PAID)
        await wait_until(
            lambda: orders.told(forgotten.number)[-1] == "paid too late: the money goes back", "that", LONG
        )
    async with Pusher([kafka.bootstrap], TOPIC, sync=True) as pusher:
        await pusher.push(json.dumps({"orderSn": 7}))

    # An event that nobody can read is kept where an operator sees it; everything else is in its place.
    async with Inspector(locks.url) as inspector:

        async def archived() -> list[str]:
            page = await inspector.tasks.list("critical", "archived")
            return [info.type for info in page]

        await wait_until(archived, "the odd event to be archived", LONG)
        assert await archived() == ["payment:update"]
        await _has_numbers_of_all()
        assert await service.end(signal.SIGTERM) == 0, service.log()
        report = await inspector.audit()
        assert report.is_clean, report.damage


@pytest.mark.timeout(300)
async def test_the_script_starts_everything(
    jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the README of the example says; three customers later everything has left."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "jars").symlink_to(jars)  # fetched already
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    log = tmp_path / "log"
    command = [sys.executable, "-m", "order_service.start", "--demo", "--data", tmp_path / "data"]
    process = spawn(command, cwd=EXAMPLES, log=log)
    try:
        code = await asyncio.to_thread(process.wait, 240)
    finally:
        process.send_signal(signal.SIGTERM)  # lets it end what it has started
        process.wait()
    said = log.read_text()
    assert code == 0, said
    assert "a lamp: closed; told: please pay soon, closed, since it was not paid in time" in said
    assert "a table: paid; told: " in said
    assert "a chair: refunded; told: " in said
    assert "Traceback" not in said
