"""Starts the actors of a server in order, and stops them in the opposite order.

The order is the nesting of the blocks below, outermost first; what starts last stops first:

    lifespan              the user's own set-up, which whatever drains may still use
    vitals                leases, their recovery and the heartbeat, in their own thread: what drains
                          still needs them
    settler               outcomes of what drains must still be written
    slots                 of semaphores, given back when all has ended
    reporter, listener    progress, and cancellations of what drains
    executor              drains on leaving
    limiter, forwarder, janitor, aggregator, health check
    fetcher               the first to stop: no new work

The same order holds when an actor breaks and when whoever runs us is cancelled. Handlers do not
run in here but each in a task of its own, so none of them can take an actor down.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final

from asyncq._broker.basis import Basis
from asyncq._broker.broker import Broker
from asyncq._broker.checkup import wait_until_reachable
from asyncq._broker.leases import Held
from asyncq._clock import now
from asyncq._compose import new_id
from asyncq._engine.aggregator import Aggregator, aggregators
from asyncq._engine.conclusions import Conclusions
from asyncq._engine.description import describe, describe_work, measured
from asyncq._engine.executor import Executor
from asyncq._engine.fetcher import Fetcher
from asyncq._engine.forwarder import Forwarder
from asyncq._engine.held import HeldDeliveries
from asyncq._engine.keepers import make_keepers
from asyncq._engine.lifespan import Surroundings, around
from asyncq._engine.limiter import limiting, slots_for
from asyncq._engine.listener import listening
from asyncq._engine.measures import Recorder
from asyncq._engine.offload import MOST_THREADS, Offload
from asyncq._engine.reporter import Reporter
from asyncq._engine.run import Run
from asyncq._engine.settler import Settler
from asyncq._engine.vital_services import make_vital_services
from asyncq._engine.vitals import Vitals
from asyncq._engine.watcher import Watcher, Woken, watching
from asyncq._logs import Log
from asyncq._redis.router import Router
from asyncq._service import Service, end_within, running
from asyncq._wire.wire import Wire
from asyncq.config import ServerConfig
from asyncq.connection import Pong
from asyncq.context import CancelReason, Host
from asyncq.errors import ClosedError
from asyncq.measures import ServerMeasures
from asyncq.mux import Mux

ACTOR_PATIENCE: Final = 5.0
"""Seconds for which a loop's call is sent again before the tick fails and backs off."""

LAST_WORDS: Final = 5.0
"""Seconds at the end for outcomes that could not be written yet."""

FAREWELL: Final = 0.5
"""Seconds for saying good-bye to a Redis that did not answer just now."""

SERVER_ID_LENGTH: Final = 12


class Supervisor:
    """One life of one server: from `run` to its end."""

    def __init__(self, router: Router, wire: Wire, config: ServerConfig, mux: Mux, *, log: Log) -> None:
        self._router: Final = router
        self._wire: Final = wire
        self._config: Final = config
        self._mux: Final = mux
        self._log: Final = log
        self.server_id: Final = new_id()[:SERVER_ID_LENGTH]
        self.started: Final = asyncio.Event()
        self._leaving = asyncio.Event()
        self._is_hurried = False
        self._is_stopped = False
        self._leave_at = 0.0
        self._is_cut_off = False
        self._surroundings: Final = Surroundings(config.lifespan, log)
        self._beginning: asyncio.Timeout | None = None
        self._broken: BaseException | None = None
        self._status = "starting"
        self._started_at = now()
        self._held: Final = HeldDeliveries()
        self.measures: Final = Recorder(config.queues, most=config.measured_types)
        self._loop: Final = asyncio.get_running_loop()
        self._broker: Final = Broker(router, wire, owner=self.server_id, patience=ACTOR_PATIENCE)
        self._slots: Final = slots_for(self._broker, config, self._held, self._log)
        self._slots.check(mux.limits)
        self.executor: Executor | None = None
        self.fetcher: Fetcher | None = None
        self.settler: Settler | None = None
        self.aggregators: list[Aggregator] = []
        self.watchers: list[Watcher] = []

    # -- from outside ---------------------------------------------------------------------------

    def leave(self, *, now: bool = False) -> None:
        """Finish and leave; `now` cancels what runs instead of letting it finish."""
        self._begin_to_leave()
        end_within(self._beginning, 0.0)
        if now:
            self._is_hurried = True
            self._surroundings.hurry()
            if self.executor is not None:
                self.executor.hurry()

    async def stop_fetching(self) -> None:
        """Take no more tasks; everything else goes on."""
        self._status = "stopped"
        self._is_stopped = True
        if self.fetcher is not None:
            await self.fetcher.stop()

    def resume_fetching(self) -> None:
        """Take tasks again after `stop_fetching`.

        Raises:
            ClosedError: It is leaving.
        """
        if self._leaving.is_set():
            raise ClosedError("the server")
        self._is_stopped = False
        if self.started.is_set() and self.fetcher is not None:
            self._status = "active"
            self.fetcher.start()

    async def run(self) -> None:
        """Live until told to leave.

        Raises:
            BrokerError: Redis could not be used at the start.
            BaseException: An actor broke; everything was stopped in order before.
        """
        broker = self._broker
        async with AsyncExitStack() as stack:
            pong = await self._begin(stack, broker)
            if pong is None:
                return
            for warning in pong.warnings:
                self._log.warning("%s", warning, extra={"event": "redis_warning"})
            await self._start(stack, broker)
            if not self._is_stopped:
                self._status = "active"
            self.started.set()
            self._log.info(
                "server %s takes tasks of %s at %s",
                self.server_id,
                ", ".join(self._config.queues),
                pong.where,
                extra={"event": "started"},
            )
            await self._leaving.wait()
            self._status = "leaving"
        self._log.info("server %s has left", self.server_id, extra={"event": "left"})
        if self._broken is not None:
            raise self._broken

    async def _begin(self, stack: AsyncExitStack, broker: Broker) -> Pong | None:
        """Wait until Redis is there, and enter the lifespan; `None` when we are told to leave before that."""
        limit = self._beginning = asyncio.timeout(0 if self._leaving.is_set() else None)
        try:
            async with limit:
                pong = await wait_until_reachable(broker.router, patience=self._config.start_patience)
                await stack.enter_async_context(self._surroundings.entered())
                return pong
        except TimeoutError:
            if not limit.expired():
                raise  # of the lifespan
            self._log.info("told to leave before it had begun", extra={"event": "left"})
            return None
        finally:
            self._beginning = None

    def _begin_to_leave(self) -> None:
        if not self._leaving.is_set():
            self._leave_at = self._loop.time()
            self._leaving.set()

    # -- wiring -----------------------------------------------------------------------------------

    def _host(self, reporter: Reporter, broker: Broker) -> Host:
        return Host(
            self.server_id,
            reporter,
            self._config.codecs,
            self._surroundings.state,
            self._slots,
            broker.wire.encode_result,
        )

    async def _start(self, stack: AsyncExitStack, broker: Broker) -> None:
        config = self._config
        await stack.enter_async_context(self._vitals().running())
        settler = self.settler = await stack.enter_async_context(self._settling(broker))
        reporter = Reporter(broker.notes, self._log)
        stack.push_async_callback(reporter.aclose)
        offload = Offload(
            threads=config.threads or min(config.concurrency, MOST_THREADS), processes=config.processes
        )
        conclusions = Conclusions(config, settler, self.measures, self._log)
        limiter = await stack.enter_async_context(limiting(self._slots, broker, conclusions, settler))
        executor = self.executor = Executor(
            config,
            self._mux if config.task_lifespan is None else self._mux.inside(around(config.task_lifespan)),
            conclusions,
            self._held,
            offload,
            limiter,
            measures=self.measures,
            host=self._host(reporter, broker),
            on_free=self._slot_free,
            log=self._log,
        )
        limiter.stop_work = executor.cancel
        fetcher = self.fetcher = self._fetcher(broker, executor)
        # One for each set of queues that can be asked in one call, and so one in all except in a cluster:
        # there a node that is away must not hold up what is due, or old, on the others.
        together = list(broker.basis.by_slot(config.queues).values())
        forwarders = [
            Forwarder(broker.delayed, some, longest_sleep=self._longest_sleep()) for some in together
        ]
        self.aggregators = aggregators(broker.groups, config, together, looks_for_full=self._wire.is_shared)
        if config.waking == "push":
            await stack.enter_async_context(
                listening(
                    broker,
                    wake=fetcher.wake,
                    due=forwarders,
                    gathered=self.aggregators,
                    cancel=partial(executor.cancel, reason="cancelled"),
                    cancel_task=partial(executor.cancel_task, reason="attempt_cancelled"),
                    slots=limiter.heard,
                )
            )
        stack.callback(executor.close)
        stack.push_async_callback(self._drain, executor)
        looping = (limiter, *forwarders, *self.aggregators)
        for service in (*looping, *make_keepers(broker, config, together)):
            await stack.enter_async_context(running(service, self._break, self._log))
        await self._watch(stack, broker.basis, together, Woken(fetcher, forwarders, self.aggregators))
        if not self._is_stopped:
            fetcher.start()
        stack.push_async_callback(fetcher.stop)

    async def _watch(
        self, stack: AsyncExitStack, basis: Basis, together: list[list[str]], woken: Woken
    ) -> None:
        if self._wire.is_shared and self._config.waking == "push":
            watched = watching(basis, self._config, together, woken, on_broken=self._break, log=self._log)
            self.watchers = await stack.enter_async_context(watched)

    def _fetcher(self, broker: Broker, executor: Executor) -> Fetcher:
        config = self._config
        return Fetcher(
            broker.basis,
            broker.deliver(lease=config.lease, stand=config.check_interval * 1.5),
            config.queues,
            strict=config.strict_priority,
            interval=config.check_interval,
            lease=config.lease,
            concurrency=config.concurrency,
            free=lambda: executor.free,
            take=executor.take,
            give_back=executor.give_back,
            log=self._log,
        )

    def _longest_sleep(self) -> float:
        config = self._config
        if config.waking == "poll":
            return min(config.check_interval, config.delayed_check_interval)
        return config.delayed_check_interval

    def _vitals(self) -> Vitals:
        return Vitals(
            self._make_vital_services,
            self.measures,
            on_broken=self._break,
            describe_work=lambda: describe_work(self._active()),
            log=self._log,
        )

    def _make_vital_services(self) -> tuple[list[Service], Callable[[], Awaitable[None]]]:
        return make_vital_services(
            self._router.options,
            self._wire,
            self._held,
            self._slots,
            self.measures,
            self._config,
            server_id=self.server_id,
            describe=self._describe,
            active=self._active,
            stop_work=self._stop_work,
            farewell=lambda: FAREWELL if self._is_cut_off else LAST_WORDS,
            log=self._log,
        )

    @asynccontextmanager
    async def _settling(self, broker: Broker) -> AsyncGenerator[Settler]:
        settler = Settler(broker.settle, self._held, self.measures, now=now, log=self._log)
        try:
            yield settler
        finally:
            try:
                async with asyncio.timeout(LAST_WORDS):
                    await settler.drain()
            except TimeoutError:
                self._is_cut_off = True
                self._log.error(
                    "Redis is away: %d outcomes not written; their tasks run again when their leases end",
                    settler.outstanding,
                    extra={"event": "outcomes_lost", "count": settler.outstanding},
                )

    # -- glue -------------------------------------------------------------------------------------

    async def _drain(self, executor: Executor) -> None:
        # What it took to stop fetching, seconds when Redis is away, is part of the grace period.
        grace = self._config.shutdown_timeout - (self._loop.time() - self._leave_at)
        await executor.drain(0.0 if self._is_hurried else max(0.0, grace))

    def _slot_free(self) -> None:
        if self.fetcher is not None:
            self.fetcher.slot_free()

    def _stop_work(self, held: Held, reason: CancelReason) -> None:
        """Called in the thread of the vitals."""
        self._loop.call_soon_threadsafe(self._stop_delivery, held, reason)

    def _stop_delivery(self, held: Held, reason: CancelReason) -> None:
        running_here = self.executor is not None and self.executor.cancel(held.token, reason)
        if reason == "lease_lost":
            # An outcome that waits to be written will be refused; there is nothing to extend.
            self._held.remove(held.token)
            self.measures.queues[held.queue].lost += 1
            if running_here:
                self._log.error(
                    "the lease of task %s in %s was lost while it ran; its handler is stopped",
                    held.id,
                    held.queue,
                    extra={"event": "lease_lost", "queue": held.queue, "task_id": held.id},
                )

    def _break(self, error: BaseException) -> None:
        """An actor cannot go on: stop everything in order, and say why."""
        if self._broken is None:
            self._broken = error
        self._begin_to_leave()

    def _active(self) -> list[Run]:
        return self.executor.active if self.executor is not None else []

    def measured(self) -> ServerMeasures:
        """What this server did so far, and does now."""
        return measured(
            self.measures,
            self._config,
            server_id=self.server_id,
            status=self._status,
            started_at=self._started_at,
            busy=len(self._active()),
            held=len(self._held),
            outstanding=self.settler.outstanding if self.settler is not None else 0,
        )

    def _describe(self) -> dict[str, Any]:
        return describe(
            self._config,
            self._mux,
            status=self._status,
            started_at=self._started_at,
            active=len(self._active()),
        )
