"""Runs handlers, each in an asyncio task of its own, and turns whatever happens into an outcome.

One handler is one asyncio task round `_run`, which notes the outcome itself: no done-callback, no
task group, no timer for each. Those are what running many small tasks costs when it costs too much
(docs/adr/0005-running-handlers.md). Limits of time are fields, looked at by one timer that stands at the
earliest of them.

Cancellation. There are two kinds, and `CancelledError` alone does not tell which:

- ours: a limit of time, a lost lease, a request, the end of the grace period at shutdown. The reason
  is noted in the context first, then the task is cancelled, and `_run` makes the outcome of it.
- anybody else's: the handler cancelled something inside itself, which is its failure like any
  other; or the program cancels everything because it ends. Then the task is put back in its
  queue and the cancellation goes on up.

A task that is cancelled before its first step never runs `_run` at all. So we never cancel one that
has not started, and the sweep looks for those that somebody else did.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from asyncq._broker import settle
from asyncq._broker.deliver import Delivery
from asyncq._broker.settle import Settlement
from asyncq._engine import outcome
from asyncq._engine.held import HeldDeliveries
from asyncq._engine.offload import Offload
from asyncq._engine.settler import Settler
from asyncq._wire.messages import Envelope
from asyncq.config import Failure, ServerConfig
from asyncq.context import CURRENT, CancelReason, Context, Reports
from asyncq.errors import HandlerCrashedError, PayloadError
from asyncq.mux import Mux, Route
from asyncq.retry import RetryPolicies
from asyncq.task import Task

log = logging.getLogger("asyncq.server")

_NEVER: Final = float("inf")


@dataclass(slots=True, eq=False)
class Run:
    """One handler at work."""

    delivery: Delivery
    envelope: Envelope
    task: Task
    context: Context
    ends_at: float  #: when it is to be stopped, by the loop's clock
    limit: CancelReason  #: by which limit that is
    started_at: float
    worker: asyncio.Task[None] | None = None
    has_started: bool = False
    is_settled: bool = False
    leaks_at: float = field(default=_NEVER)  #: when we stop waiting for it to obey a cancellation


@dataclass(slots=True)
class Counts:
    """What happened since the server started."""

    delivered: int = 0
    succeeded: int = 0
    failed: int = 0
    expired: int = 0
    unknown: int = 0
    unreadable: int = 0
    requeued: int = 0
    leaked: int = 0


class Executor:
    """Takes deliveries, runs their handlers, and hands outcomes to the settler."""

    def __init__(
        self,
        config: ServerConfig,
        mux: Mux,
        settler: Settler,
        held: HeldDeliveries,
        offload: Offload,
        *,
        reports: Reports,
        server_id: str,
        on_free: Callable[[], None],
    ) -> None:
        self._config: Final = config
        self._mux: Final = mux
        self._settler: Final = settler
        self._held: Final = held
        self._offload: Final = offload
        self._reports: Final = reports
        self._server_id: Final = server_id
        self._on_free: Final = on_free
        self._policies: Final = RetryPolicies(config.retry, config.retry_policies)
        self._loop: Final = asyncio.get_running_loop()
        self._runs: dict[str, Run] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._sweep_at = _NEVER
        self._empty = asyncio.Event()
        self._empty.set()
        self._draining = False
        self.counts: Final = Counts()

    # -- taking work ----------------------------------------------------------------------------

    @property
    def free(self) -> int:
        """How many more tasks may be taken."""
        return 0 if self._draining else self._config.concurrency - len(self._runs)

    @property
    def active(self) -> list[Run]:
        """What runs now."""
        return list(self._runs.values())

    def take(self, deliveries: list[Delivery]) -> None:
        """Begin with what was delivered, or give it back when the server is leaving."""
        for delivery in deliveries:
            self.counts.delivered += 1
            self._held.add(delivery.queue, delivery.id, delivery.token)
            if self._draining:
                self._requeue(delivery)
            else:
                self._begin(delivery)

    def _begin(self, delivery: Delivery) -> None:
        envelope = delivery.envelope
        if envelope is None:
            self._unreadable(delivery)
            return
        if (
            envelope.expires_at
            and delivery.now >= envelope.expires_at
            and not (delivery.retried or delivery.lost)
        ):
            self._spawn(self._expire(delivery, envelope))
            return
        route = self._mux.resolve(envelope.type)
        if route is None:
            self._unknown(delivery, envelope)
            return
        self._start(delivery, envelope, route)

    def _start(self, delivery: Delivery, envelope: Envelope, route: Route) -> None:
        task = Task.received(delivery.queue, delivery.id, envelope, self._config.codecs)
        ends_at, limit = outcome.attempt_deadline(
            timeout=envelope.timeout, deadline=envelope.deadline, now=delivery.now
        )
        context = Context(
            envelope,
            queue=delivery.queue,
            task_id=delivery.id,
            token=delivery.token,
            retried=delivery.retried,
            deliveries=delivery.deliveries,
            lost=delivery.lost,
            server_id=self._server_id,
            deadline=ends_at,
            reports=self._reports,
            codecs=self._config.codecs,
        )
        now = self._loop.time()
        run = Run(
            delivery, envelope, task, context, now + ends_at - delivery.now if ends_at else _NEVER, limit, now
        )
        if not self._runs:
            self._empty.clear()
        self._runs[delivery.token] = run
        if run.ends_at < self._sweep_at:
            self._plan_sweep(run.ends_at)
        call = route.invoke or self._offload.call_for(route)
        run.worker = self._loop.create_task(self._run(run, call))

    # -- running --------------------------------------------------------------------------------

    async def _run(self, run: Run, call: Callable[[Task, Context], Awaitable[Any]]) -> None:
        """The whole life of one handler. Raises only what must end the program."""
        run.has_started = True
        context = run.context
        CURRENT.set(context)
        try:
            if context.cancel_reason is not None:
                # Somebody wanted it stopped before it had begun.
                await self._stopped(run, context.cancel_reason)
            else:
                result = await call(run.task, context)
                self._succeeded(run, result)
        except asyncio.CancelledError as error:
            worker = run.worker
            if context.cancel_reason is not None:
                await self._stopped(run, context.cancel_reason)
            elif worker is not None and worker.cancelling():
                self._give_back(run)
                raise
            else:
                wrapped = HandlerCrashedError("it cancelled itself")
                wrapped.__cause__ = error
                await self._failed(run, wrapped)
        except BaseException as error:  # a handler may raise anything, and nothing of it may end the server
            await self._failed(run, outcome.from_handler(error))
        finally:
            self._ended(run)

    def _ended(self, run: Run) -> None:
        """The handler is over, whatever came of it: its slot is free."""
        del self._runs[run.delivery.token]
        if not self._runs:
            self._empty.set()
        self._on_free()

    def _settle(self, run: Run, settlement: Settlement) -> None:
        if not run.is_settled:
            run.is_settled = True
            self._settler.put(settlement)

    def _succeeded(self, run: Run, result: Any) -> None:
        delivery, envelope = run.delivery, run.envelope
        self.counts.succeeded += 1
        if not envelope.retention:
            self._settle(
                run, settle.done(delivery.queue, delivery.id, delivery.token, unique_key=envelope.unique_key)
            )
            return
        raw: bytes | None = None
        if result is not None:
            try:
                raw = run.context.encode_result(result)
            except PayloadError as error:
                # The work is done; running it again for the sake of its result would do it twice.
                log.error(
                    "the result of task %s (%s) cannot be stored: %s",
                    delivery.id,
                    envelope.type,
                    error,
                    extra={"event": "result_unencodable", "task_id": delivery.id, "type": envelope.type},
                )
        self._settle(
            run,
            settle.completed(
                delivery.queue, delivery.id, delivery.token,
                result=raw, retention=envelope.retention, unique_key=envelope.unique_key,
            ),
        )  # fmt: skip

    async def _stopped(self, run: Run, reason: CancelReason) -> None:
        """The handler ended because we stopped it."""
        if reason == "shutdown":
            self._give_back(run)
        elif reason == "lease_lost":
            # Somebody else has the task, or will: there is nothing of ours to write.
            run.is_settled = True
            self._held.remove(run.delivery.token)
        else:
            seconds = self._loop.time() - run.started_at
            await self._failed(
                run,
                outcome.from_cancellation(reason, seconds=seconds, deliveries=run.delivery.deliveries + 1),
            )

    async def _failed(self, run: Run, error: BaseException) -> None:
        if run.is_settled:
            return
        delivery, envelope = run.delivery, run.envelope
        try:
            verdict = outcome.judge(
                error,
                retried=delivery.retried,
                max_retry=envelope.max_retry,
                is_failure=self._config.is_failure,
            )
        except Exception as broken:  # a user's is_failure
            log.exception("is_failure failed; the error counts", extra={"event": "callback_failed"})
            del broken
            verdict = outcome.judge(
                error, retried=delivery.retried, max_retry=envelope.max_retry, is_failure=None
            )
        delay = verdict.delay or 0.0
        if verdict.action == "retry" and verdict.delay is None:
            answer = self._policies.delay(envelope.retry_policy, delivery.retried, error, run.task)
            delay = answer.seconds
            if answer.problem is not None:
                log.error(
                    "retry policy of task %s (%s): %s",
                    delivery.id, envelope.type, answer.problem, extra={"event": "retry_policy_failed"},
                )  # fmt: skip
        if verdict.action != "revoke":
            self.counts.failed += 1
        will_retry = verdict.action == "retry"
        settlement = self._settlement(run, verdict, error, delay)
        await self._tell(
            self._config.on_error,
            Failure(
                run.task,
                error,
                delivery.retried,
                envelope.max_retry,
                will_retry,
                delay if will_retry else 0.0,
            ),
        )
        self._settle(run, settlement)

    def _settlement(
        self, run: Run, verdict: outcome.Verdict, error: BaseException, delay: float
    ) -> Settlement:
        delivery, envelope = run.delivery, run.envelope
        where = (delivery.queue, delivery.id, delivery.token)
        if verdict.action == "revoke":
            return settle.dropped(*where, kind="revoked", unique_key=envelope.unique_key)
        text = outcome.describe(error)
        level = logging.WARNING if verdict.action == "retry" else logging.ERROR
        log.log(
            level,
            "task %s (%s) failed in attempt %d: %s",
            delivery.id, envelope.type, delivery.retried + 1, text,
            exc_info=error if log.isEnabledFor(logging.DEBUG) else None,
            extra={
                "event": "task_failed", "action": verdict.action, "queue": delivery.queue,
                "task_id": delivery.id, "type": envelope.type, "delay": delay,
            },
        )  # fmt: skip
        if verdict.action == "archive":
            return settle.archived(*where, error=text, reason=verdict.reason)
        return settle.retry(*where, error=text, delay=delay, counts=verdict.counts)

    # -- deliveries that do not run ---------------------------------------------------------------

    def _unreadable(self, delivery: Delivery) -> None:
        self.counts.unreadable += 1
        log.error(
            "task %s in %s cannot be read and is archived: %s",
            delivery.id, delivery.queue, delivery.unreadable,
            extra={"event": "unreadable", "queue": delivery.queue, "task_id": delivery.id},
        )  # fmt: skip
        error = f"this message cannot be read: {delivery.unreadable}"
        self._settler.put(
            settle.archived(delivery.queue, delivery.id, delivery.token, error=error, reason="unreadable")
        )
        self._on_free()

    def _unknown(self, delivery: Delivery, envelope: Envelope) -> None:
        self.counts.unknown += 1
        log.warning(
            "no handler for type %r here: task %s goes back and is offered again in %g s",
            envelope.type, delivery.id, self._config.unknown_delay,
            extra={"event": "unknown_type", "queue": delivery.queue, "task_id": delivery.id, "type": envelope.type},
        )  # fmt: skip
        self._settler.put(
            settle.deferred(delivery.queue, delivery.id, delivery.token, delay=self._config.unknown_delay)
        )
        self._on_free()

    async def _expire(self, delivery: Delivery, envelope: Envelope) -> None:
        self.counts.expired += 1
        log.info(
            "task %s (%s) expired before it was started",
            delivery.id, envelope.type, extra={"event": "expired", "queue": delivery.queue, "task_id": delivery.id},
        )  # fmt: skip
        self._settler.put(
            settle.dropped(
                delivery.queue, delivery.id, delivery.token, kind="expired", unique_key=envelope.unique_key
            )
        )
        await self._tell(
            self._config.on_expired, Task.received(delivery.queue, delivery.id, envelope, self._config.codecs)
        )

    def _requeue(self, delivery: Delivery) -> None:
        self.counts.requeued += 1
        self._settler.put(settle.requeued(delivery.queue, delivery.id, delivery.token))

    def _give_back(self, run: Run) -> None:
        if not run.is_settled:
            run.is_settled = True
            self._requeue(run.delivery)

    # -- stopping what runs -----------------------------------------------------------------------

    def cancel(self, token: str, reason: CancelReason) -> bool:
        """Stop one delivery. Tells whether it was running here."""
        run = self._runs.get(token)
        if run is None:
            return False
        self._stop(run, reason)
        return True

    def _stop(self, run: Run, reason: CancelReason) -> None:
        if run.context.cancel_reason is not None:
            if reason == "lease_lost":
                # Whatever it is being stopped for, its outcome is no longer ours to write.
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
        self._sweep, self._sweep_at = None, _NEVER
        now = self._loop.time()
        earliest = _NEVER
        for run in list(self._runs.values()):
            if run.worker is not None and run.worker.done():
                self._never_ran(run)
                continue
            if run.context.cancel_reason is None and run.ends_at <= now:
                self._stop(run, run.limit)
            if run.leaks_at <= now:
                self._leak(run)
            earliest = min(
                earliest, run.leaks_at, run.ends_at if run.context.cancel_reason is None else _NEVER
            )
        if earliest < _NEVER:
            self._plan_sweep(earliest)

    def _never_ran(self, run: Run) -> None:
        """Somebody cancelled the asyncio task before its first step."""
        self._give_back(run)
        self._ended(run)

    def _leak(self, run: Run) -> None:
        """The handler does not stop. Settle without it; it keeps its slot until it ends."""
        run.leaks_at = _NEVER
        if run.is_settled or not run.has_started:
            return
        self.counts.leaked += 1
        reason = run.context.cancel_reason or "cancelled"
        log.error(
            "task %s (%s) was told to stop (%s) and did not within %g s; its slot is taken until it does",
            run.delivery.id, run.envelope.type, reason, self._config.cancel_grace,
            extra={"event": "slot_leaked", "task_id": run.delivery.id, "type": run.envelope.type},
        )  # fmt: skip
        self._spawn(self._stopped(run, reason))

    # -- shutting down ----------------------------------------------------------------------------

    async def drain(self, grace: float) -> None:
        """Let handlers finish for `grace` seconds, then stop them and put their tasks back.

        Returns when all have ended, or when those that do not obey were given up.
        """
        self._draining = True
        if not await self._ends_within(grace):
            self.hurry()
            await self._empty.wait()
        await self._offload.aclose()

    def hurry(self) -> None:
        """Stop everything that runs and put it back; do not wait for what does not obey."""
        self._draining = True
        for run in list(self._runs.values()):
            self._stop(run, "shutdown")
        self._loop.call_later(self._config.cancel_grace, self._abandon)

    def _abandon(self) -> None:
        """What still runs does not let itself be stopped: put it back, and leave without it."""
        for run in list(self._runs.values()):
            self._leak(run)
            self._give_back(run)
        self._empty.set()

    async def _ends_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(None if seconds == _NEVER else seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Forget the timer."""
        if self._sweep is not None:
            self._sweep.cancel()

    # -- odds and ends ----------------------------------------------------------------------------

    def _spawn(self, work: Any) -> None:
        self._offload.spawn(work)

    async def _tell(self, callback: Callable[[Any], Awaitable[None] | None] | None, what: Any) -> None:
        if callback is None:
            return
        try:
            answer = callback(what)
            if inspect.isawaitable(answer):
                await answer
        except Exception:  # a user's callback: its failure must not change what becomes of the task
            log.exception("a callback failed", extra={"event": "callback_failed"})
