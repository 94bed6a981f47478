"""The example `order_service`, as far as it needs no service: the rest is in tests/services."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncq.app import SettingsError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILE = EXAMPLES / "order_service" / "etc" / "order.yaml"


@pytest.fixture(autouse=True)
def _example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv("ORDERS", str(tmp_path / "orders.sqlite"))


async def test_its_file_is_read_and_its_group_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the times of the description when nothing else is said; nothing is connected by that."""
    from order_service.services import group_of
    from order_service.settings import read

    settings = read(str(FILE))
    assert (settings.orders.unpaid_for.total_seconds(), settings.orders.report) == (1800, "*/20 * * * *")
    assert settings.payments.offset == "first"
    group = group_of(settings)
    assert group.shutdown.limit([13.0]) == 20.0
    await group.stop()
    monkeypatch.setenv("REMIND_AFTER", "2h")
    with pytest.raises(SettingsError, match=r"Reminders\.After has to be less than"):
        read(str(FILE))


def test_orders_move_as_they_may_and_customers_are_told_once(tmp_path: Path) -> None:
    """Whoever is second finds that it was done."""
    from order_service.orders import Order, OrderNotFoundError, Orders, State

    orders = Orders(tmp_path / "orders.sqlite")
    for number in ("a", "b"):
        orders.add(Order(number, "lamp"))
    assert not orders.move("a", State.REFUNDED)
    assert [orders.move("a", State.PAID) for _ in range(2)] == [True, False]
    assert not orders.move("a", State.CLOSED)
    assert orders.move("b", State.CLOSED)
    assert [orders.tell("a", "thank you") for _ in range(2)] == [True, False]
    assert orders.told("a") == ["thank you"]
    assert orders.report() == orders.reports()[0] == "1 closed, 1 paid"
    with pytest.raises(OrderNotFoundError):
        orders.get("c")
