"""Groups and settings, as a user writes them: only type-checked, never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, assert_type

from asyncq import App, Mux, Scheduler, Server
from asyncq.app import (
    RedisConf,
    Service,
    ServiceConf,
    ServiceGroup,
    Setting,
    SetUp,
    TimingWheel,
    from_mapping,
    load,
    set_up,
    with_start,
)
from asyncq.dq import Consumer
from asyncq.dq.metrics import ConsumerCollector
from asyncq.kq import Queue
from asyncq.kq.metrics import QueueCollector


@dataclass(frozen=True)
class Settings(ServiceConf):
    """Required fields may follow the defaults of the base."""

    redis: RedisConf
    concurrency: Annotated[int, Setting(least=1)] = 10


class Listener:
    """A service without a base class."""

    async def start(self) -> None:
        """Run."""

    async def stop(self) -> None:
        """End."""


async def poll(bank: str, times: int) -> int:
    """A function that becomes a service."""
    return len(bank) * times


def of_a_program(server: Server, mux: Mux, scheduler: Scheduler, app: App) -> ServiceGroup:
    """What is read has the class that was asked for."""
    settings = load("etc/shop.yaml", Settings)
    assert_type(settings, Settings)
    assert_type(settings.concurrency, int)
    assert_type(from_mapping({}, Settings), Settings)
    made = set_up(settings, servers=[server])
    assert_type(made, SetUp)
    group = ServiceGroup(shutdown=settings.shutdown).add(made).add(server, mux)
    listener: Service = Listener()
    wheel: TimingWheel[str, int] = TimingWheel(1.0, 300, remember)
    wheel.set_timer("a", 1, 60)
    wheel.set_timer("a", "b", 60)  # type: ignore[arg-type]
    group.add(scheduler).add(app).add(listener).add(wheel).add(with_start(poll, "bank", 2))
    group.add("no service")  # type: ignore[arg-type]
    assert_type(group, ServiceGroup)
    return ServiceGroup().add(group)


def of_consumers(consumer: Consumer, queue: Queue) -> ServiceGroup:
    """Those of dq and kq are services as they are."""
    set_up(ServiceConf(name="shop"), collectors=[ConsumerCollector(consumer), QueueCollector(queue)])
    set_up(ServiceConf(name="shop"), collectors=[consumer])  # type: ignore[list-item]
    services: list[Service] = [consumer, queue]
    assert_type(services[0], Service)
    return ServiceGroup().add(consumer).add(queue)


async def remember(key: str, value: int) -> None:
    """What a wheel calls."""
