"""Runs handlers, each in an asyncio task of its own, and turns whatever happens into an outcome.

One handler is one asyncio task round `_run`, which notes the outcome itself: no done-callback, no
task group, no timer for each. Those are what running many small tasks costs when it costs too much
(docs/adr/0005-running-handlers.md). Limits of time are fields, looked at by one timer that stands at the
earliest of them.

Cancellation. There are two kinds, and `CancelledError` alone does not tell which:

- ours: a limit of time, a lost lease, a request, the end of the grace period at shutdown. The reason
  is noted in the context first, then the task is cancelled, and `_run` makes the outcome of it.
- anybody else's: the handler cancelled itself or something inside itself, which is its failure like
  any other; or the program cancels everything because it ends, the server too. Then the task is put
  back in its queue and the cancellation goes on up.

A task that is cancelled before its first step never runs `_run` at all. So we never cancel one that
has not started, and look once, behind the first steps, for those that somebody else did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final

from asyncq._broker.deliver import Delivery
from asyncq._engine import outcome
from asyncq._engine.conclusions import Conclusions
from asyncq._engine.held import HeldDeliveries
from asyncq._engine.limiter import Limiter
from asyncq._engine.measures import Recorder, Series
from asyncq._engine.offload import Offload
from asyncq._engine.run import NEVER, Run
from asyncq._logs import SERVER_LOG, Log
from asyncq._wire.messages import Envelope
from asyncq.config import ServerConfig
from asyncq.context import CURRENT, CancelReason, Context, Host
from asyncq.errors import HandlerCrashedError
from asyncq.mux import Mux, Route
from asyncq.task import Task


def _task_maker(loop: asyncio.AbstractEventLoop) -> Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]:
    """What `loop.create_task` comes to, without the steps in between: it runs once for every task."""
    if loop.get_task_factory() is None:
        return partial(asyncio.Task, loop=loop)
    return loop.create_task


class Executor:
    """Takes deliveries, runs their handlers, and hands on how they ended."""

    def __init__(  # noqa: PLR0913 - what it may touch, said one by one
        self,
        config: ServerConfig,
        mux: Mux,
        conclusions: Conclusions,
        held: HeldDeliveries,
        offload: Offload,
        limiter: Limiter,
        *,
        measures: Recorder,
        host: Host,
        on_free: Callable[[], None],
        log: Log = SERVER_LOG,
    ) -> None:
        self._config: Final = config
        self._mux: Final = mux
        self._conclusions: Final = conclusions
        self._held: Final = held
        self._offload: Final = offload
        self._limiter: Final = limiter
        self._measures: Final = measures
        self._host: Final = host
        self._on_free: Final = on_free
        self._log: Final = log
        self._loop: Final = asyncio.get_running_loop()
        self._create_task: Final = _task_maker(self._loop)
        self._life: Final = asyncio.current_task()
        self._runs: dict[str, Run] = {}
        self._fresh: list[Run] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._sweep_at = NEVER
        self._empty = asyncio.Event()
        self._empty.set()
        self._draining = False
        self._hurrying = False

    # -- taking work ------------------------------------------------------------------------------

    @property
    def free(self) -> int:
        """How many more tasks may be taken."""
        return 0 if self._draining else self._config.concurrency - len(self._runs)

    @property
    def active(self) -> list[Run]:
        """What runs now."""
        return list(self._runs.values())

    @property
    def stuck(self) -> int:
        """How many handlers were told to stop, did not, and still hold their slots."""
        return sum(
            run.has_started and run.context.cancel_reason is not None and run.leaks_at == NEVER
            for run in self._runs.values()
        )

    def take(self, deliveries: list[Delivery]) -> None:
        """Begin with what was delivered, or give it back when the server is leaving."""
        self._conclusions.counts.delivered += len(deliveries)
        self._held.add(deliveries)
        for delivery in deliveries:
            if self._draining:
                self._conclusions.requeue(delivery)
            else:
                self._begin(delivery)
        if self._fresh:
            # Behind the first step of each of these. Those of another call in this very turn of the
            # loop are not: they have a look of their own.
            fresh, self._fresh = self._fresh, []
            self._loop.call_soon(self._look_at_fresh, fresh)

    def give_back(self, deliveries: list[Delivery]) -> None:
        """Put back what cannot be run here, the first in front."""
        self._conclusions.counts.delivered += len(deliveries)
        self._held.add(deliveries)
        for delivery in reversed(deliveries):
            self._conclusions.requeue(delivery)

    def _begin(self, delivery: Delivery) -> None:
        envelope = delivery.envelope
        if envelope is None:
            self._conclusions.unreadable(delivery)
            return
        route = self._mux.resolve(envelope.type)
        if route is not None:
            series = self._measures.of(delivery.queue, envelope.type)
        else:
            # It has no numbers of its own: anybody may enqueue anything.
            series = self._measures.other(delivery.queue)
        if (
            envelope.expires_at
            and delivery.now >= envelope.expires_at
            and not (delivery.retried or delivery.lost)
        ):
            if (telling := self._conclusions.expired(delivery, envelope, series)) is not None:
                self._offload.spawn(telling)
            return
        if route is None:
            self._conclusions.unknown(delivery, envelope)
            return
        self._start(delivery, envelope, route, series)

    def _start(self, delivery: Delivery, envelope: Envelope, route: Route, series: Series) -> None:
        task = Task.received(delivery.queue, delivery.id, envelope, self._host.codecs)
        deadline, limit = outcome.attempt_deadline(
            timeout=envelope.timeout, deadline=envelope.deadline, now=delivery.now
        )
        context = Context(self._host, envelope, delivery, deadline)
        now = self._loop.time()
        ends_at = now + deadline - delivery.now if deadline else NEVER
        series.arrived(delivery, envelope)
        run = Run(delivery, envelope, task, context, series, ends_at=ends_at, limit=limit, started_at=now)
        if ends_at <= now:
            # A handler that never waits could not be stopped any more.
            context.cancel(limit)
        if not self._runs:
            self._empty.clear()
        self._runs[delivery.token] = run
        self._fresh.append(run)
        if ends_at < self._sweep_at:
            self._plan_sweep(ends_at)
        call = route.invoke or self._offload.call_for(route)
        if route.limit is not None:
            call = self._limiter.guard(run, route.limit, call)
        run.worker = self._create_task(self._run(run, call))

    # -- running ----------------------------------------------------------------------------------

    async def _run(self, run: Run, call: Callable[[Task, Context], Awaitable[Any]]) -> None:
        """The whole life of one handler. Raises only what must end the program."""
        run.has_started = True
        run.begun_at = self._loop.time()
        context = run.context
        CURRENT.set(context)
        try:
            if context.cancel_reason is not None:
                # Somebody wanted it stopped before it had begun.
                await self._stopped(run, context.cancel_reason)
            else:
                self._conclusions.succeeded(run, await call(run.task, context))
        except asyncio.CancelledError as error:
            if context.cancel_reason is not None:
                await self._stopped(run, context.cancel_reason)
            elif self._life is not None and self._life.cancelling():
                self._conclusions.give_back(run)
                raise
            else:
                # Putting it back would be for ever: it would cancel itself again.
                wrapped = HandlerCrashedError("it cancelled itself")
                wrapped.__cause__ = error
                await self._conclusions.failed(run, wrapped)
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything; nothing of it may end the server
            failure = outcome.from_handler(error)
            if context.cancel_reason == "cancelled":
                failure = outcome.from_cancelled_handler(failure)
            await self._conclusions.failed(run, failure)
        finally:
            if not run.is_settled:
                # Nothing leaves without an outcome: its lease would be prolonged as long as the server lives.
                self._conclusions.give_back(run)
            self._ended(run)

    def _ended(self, run: Run) -> None:
        """The handler is over, whatever came of it: its slot is free."""
        del self._runs[run.delivery.token]
        if run.begun_at < NEVER:
            run.series.ran.add(self._loop.time() - run.begun_at)
        if not self._runs:
            self._empty.set()
        self._on_free()

    async def _stopped(self, run: Run, reason: CancelReason) -> None:
        """The handler ended because we stopped it."""
        if reason in {"shutdown", "slot_lost"}:
            self._conclusions.give_back(run)
        elif reason == "lease_lost":
            # Somebody else has the task, or will: there is nothing of ours to write.
            run.is_settled = True
            self._held.remove(run.delivery.token)
        else:
            seconds = self._loop.time() - run.started_at
            error = outcome.from_cancellation(reason, seconds=seconds, deliveries=run.delivery.deliveries + 1)
            await self._conclusions.failed(run, error)

    # -- stopping what runs -------------------------------------------------------------------------

    def cancel(self, token: str, reason: CancelReason) -> bool:
        """Stop one delivery. Tells whether it was running here."""
        run = self._runs.get(token)
        if run is None:
            return False
        self._stop(run, reason)
        return True

    def cancel_task(self, task_id: str, reason: CancelReason) -> bool:
        """Stop all deliveries of tasks with this id, of whichever queue. Tells whether there was one."""
        found = [run for run in self._runs.values() if run.delivery.id == task_id]
        for run in found:
            self._stop(run, reason)
        return bool(found)

    def _stop(self, run: Run, reason: CancelReason) -> None:
        if run.context.cancel_reason is not None:
            if reason == "lease_lost" or (
                reason == "cancelled" and run.context.cancel_reason != "lease_lost"
            ):
                # Whatever it is being stopped for: its outcome is no longer ours to write, or it is not
                # to run again.
                run.context.cancel_reason = reason
            return
        run.context.cancel(reason)
        run.leaks_at = self._loop.time() + self._config.cancel_grace
        self._plan_sweep(run.leaks_at)
        if run.has_started and run.worker is not None:
            run.worker.cancel()

    def _plan_sweep(self, at: float) -> None:
        if at >= self._sweep_at:
            return
        if self._sweep is not None:
            self._sweep.cancel()
        self._sweep_at = at
        self._sweep = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        """Stop what is over its time, and give up on what does not let itself be stopped."""
        self._sweep, self._sweep_at = None, NEVER
        now = self._loop.time()
        earliest = NEVER
        for run in list(self._runs.values()):
            if run.context.cancel_reason is None and run.ends_at <= now:
                self._stop(run, run.limit)
            if run.leaks_at <= now:
                self._leak(run)
            earliest = min(
                earliest, run.leaks_at, run.ends_at if run.context.cancel_reason is None else NEVER
            )
        if earliest < NEVER:
            self._plan_sweep(earliest)

    def _look_at_fresh(self, fresh: list[Run]) -> None:
        """Put back those whose asyncio task somebody cancelled before its first step: `_run` never ran."""
        for run in fresh:
            if not run.has_started:
                self._conclusions.give_back(run)
                self._ended(run)

    def _leak(self, run: Run) -> None:
        """The handler does not stop. Settle without it; it keeps its slot until it ends."""
        run.leaks_at = NEVER
        if run.is_settled or not run.has_started:
            return
        self._conclusions.counts.leaked += 1
        reason = run.context.cancel_reason or "cancelled"
        self._log.error(
            "task %s (%s) was told to stop (%s) and did not within %g s; its slot is taken until it does",
            run.delivery.id,
            run.envelope.type,
            reason,
            self._config.cancel_grace,
            extra={"event": "slot_leaked", "task_id": run.delivery.id, "type": run.envelope.type},
        )
        self._offload.spawn(self._stopped(run, reason))

    # -- shutting down ------------------------------------------------------------------------------

    async def drain(self, grace: float) -> None:
        """Let handlers finish for `grace` seconds, then stop them and put their tasks back.

        Returns when all have ended, or when those that do not obey were given up. A cancellation makes
        it shorter, and goes on when it is over.
        """
        self._draining = True
        limit = None if grace == NEVER else grace
        cancelled: asyncio.CancelledError | None = None
        while not self._empty.is_set():
            try:
                async with asyncio.timeout(limit):
                    await self._empty.wait()
            except TimeoutError:
                limit = None
                self.hurry()
            except asyncio.CancelledError as error:
                limit, cancelled = None, error
                self.hurry()
        await self._offload.aclose(self._config.cancel_grace)
        if cancelled is not None:
            raise cancelled

    def hurry(self) -> None:
        """Stop everything that runs and put it back; do not wait for what does not obey."""
        if self._hurrying:
            return
        self._draining = self._hurrying = True
        for run in list(self._runs.values()):
            self._stop(run, "shutdown")
        self._loop.call_later(self._config.cancel_grace, self._abandon)

    def _abandon(self) -> None:
        """What still runs does not let itself be stopped: put it back, and leave without it."""
        for run in list(self._runs.values()):
            self._leak(run)
            self._conclusions.give_back(run)
        self._empty.set()

    def close(self) -> None:
        """Forget the timer."""
        if self._sweep is not None:
            self._sweep.cancel()
