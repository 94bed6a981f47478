"""Handles the messages of several nodes, each once as far as that can be."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any, Final, Self

import anyio

from asyncq._checks import refuse_unknown
from asyncq._clock import duration_of
from asyncq._logs import log_for
from asyncq.beanstalk import Client
from asyncq.claims import Claims
from asyncq.dq.calling import Caller
from asyncq.dq.conf import DqConf
from asyncq.dq.delivery import Order, Tools
from asyncq.dq.early import Early
from asyncq.dq.late import Late
from asyncq.dq.settings import ConsumerConfig, Handler
from asyncq.dq.slot import Slot
from asyncq.dq.watch import ConsumerStats, Outage, Watch
from asyncq.errors import AlreadyRunningError, ConfigError

__all__ = ["Consumer"]

FAREWELL: Final = 3.0
"""Seconds to give back what was not done in `shutdown_timeout`."""

DQ_LOG: Final = logging.getLogger("asyncq.dq")


class Consumer:
    """Takes messages that are due from all nodes, and hands each to a handler once.

        async def close_order(message: dq.Message) -> None: ...

        consumer = dq.Consumer(dq.DqConf(nodes, "redis://localhost:6379/0"), close_order, concurrency=4)
        await consumer.start()

    A message is in several nodes; Redis says which copy is handled. With `ack="late"`, the default, a copy
    is deleted when its message was handled, so that neither a crash nor a failure loses it. With
    `ack="early"` it is deleted first, as in go-queue, and handed out once at the most.

    It is a service: `start` runs until `stop`, also in a group of services.

    Args:
        conf: The nodes, and Redis.
        handler: Called with each message. An `async def` runs on the event loop, a plain function in a
            thread. What it raises is a failure: the message is tried again later.
        config: The options as an object.
        options: The options of `ConsumerConfig` by name; they win over `config`.
    """

    def __init__(
        self, conf: DqConf, handler: Handler, config: ConsumerConfig | None = None, **options: Any
    ) -> None:
        refuse_unknown(ConsumerConfig, options, "the consumer")
        if not isinstance(conf, DqConf):
            raise ConfigError("conf", conf, "a DqConf: the nodes, and Redis")
        if not callable(handler):
            raise ConfigError("handler", handler, "a function of a dq.Message")
        self.config: Final = replace(config, **options) if config is not None else ConsumerConfig(**options)
        self._conf: Final = conf
        self._handler: Final = handler
        self._watch: Final = Watch(
            self.config.name, log_for(self.config.logger, self.config.least_level, standard=DQ_LOG)
        )
        self._redis: Final = conf.redis_place()
        self._slots: list[Slot] = []
        self._order: Order | None = None
        self._is_started = False
        self._running: anyio.CancelScope | None = None  # made in an event loop alone
        self._ended: Final = asyncio.Event()

    @property
    def name(self) -> str:
        """Of this consumer, for logs and metrics."""
        return self.config.name

    @property
    def shutdown_timeout(self) -> float:
        """Seconds that running handlers have after a stop."""
        return duration_of(self.config.shutdown_timeout) or 0.0

    @property
    def stats(self) -> ConsumerStats:
        """What it did since it started."""
        return self._watch.stats

    async def start(self) -> None:
        """Handle messages until `stop`. Nodes and a Redis that are away are waited for.

        Cancelling it cancels the handlers and gives back what they had, as far as that takes no time.

        Raises:
            AlreadyRunningError: It was started before; make a new one.
        """
        if self._is_started:
            raise AlreadyRunningError("the consumer")
        self._is_started = True
        try:
            if not self._watch.stopping.is_set():
                await self._run()
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """Take nothing more, let handlers finish for `shutdown_timeout` seconds, and give back the rest.

        Before `start` it keeps that from beginning. May be called twice.
        """
        self._watch.stopping.set()
        for slot in self._slots:
            slot.stop()
        if not self._is_started:
            return
        with anyio.move_on_after(self.shutdown_timeout):
            await self._ended.wait()
            return
        self._watch.is_over = True
        if self._order is not None:
            self._order.abandon()
        with anyio.move_on_after(FAREWELL):
            await self._ended.wait()
            return
        # A node that does not answer is not waited for: its copies come back by themselves.
        if self._running is not None:
            self._running.cancel()
        await self._ended.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def __repr__(self) -> str:
        nodes = ", ".join(f"{node.endpoint}/{node.tube}" for node in self._conf.beanstalks)
        return f"<Consumer {self.name!r} of {nodes}>"

    async def _run(self) -> None:
        config, watch = self.config, self._watch
        claims = Claims(self._redis)
        caller = Caller(watch.log, threads=config.concurrency * len(self._conf.beanstalks))
        tools = Tools(config, self._handler, claims, caller, watch)
        order = self._order = Late(tools) if config.ack == "late" else Early(tools)
        self._slots = list(self._make_slots(order))
        running = self._running = anyio.CancelScope()
        watch.log.info("%s takes messages", self.name, extra={"event": "started", "actor": self.name})
        try:
            with running:
                async with anyio.create_task_group() as group:
                    for slot in self._slots:
                        group.start_soon(slot.run)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            with anyio.CancelScope(shield=True):
                await claims.aclose()
            watch.log.info("%s has left", self.name, extra={"event": "left", "actor": self.name})

    def _make_slots(self, order: Order) -> list[Slot]:
        made: list[Slot] = []
        for node in self._conf.beanstalks:
            outage = Outage(self._watch, f"beanstalkd {node.endpoint}")
            for _ in range(self.config.concurrency):
                client = Client(
                    node.endpoint,
                    connect_timeout=duration_of(self.config.connect_timeout) or 10.0,
                    response_timeout=duration_of(self.config.response_timeout) or 10.0,
                )
                made.append(Slot(node, client, order, self._watch, outage))
        return made
