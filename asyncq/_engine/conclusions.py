"""What is said and written about a delivery that is over, however it ended."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from asyncq._broker import settle
from asyncq._broker.deliver import Delivery
from asyncq._broker.settle import Settlement
from asyncq._broker.tally import Tally
from asyncq._engine import outcome
from asyncq._engine.callbacks import tell
from asyncq._engine.measures import Recorder, Series
from asyncq._engine.run import NEVER, Run
from asyncq._engine.settler import Settler
from asyncq._logs import SERVER_LOG, Log
from asyncq._wire.messages import Envelope
from asyncq.config import Failure, ServerConfig
from asyncq.errors import PayloadError
from asyncq.retry import RetryPolicies
from asyncq.task import Task


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
    put_back: int = 0
    leaked: int = 0


class Conclusions:
    """Makes the outcome of what happened: counts it, logs it, tells callbacks, hands it to the settler."""

    def __init__(
        self, config: ServerConfig, settler: Settler, measures: Recorder, log: Log = SERVER_LOG
    ) -> None:
        self._config: Final = config
        self._measures: Final = measures
        self._settler: Final = settler
        self._log: Final = log
        self._policies: Final = RetryPolicies(config.retry, config.retry_policies)
        self.counts: Final = Counts()

    # -- of handlers ------------------------------------------------------------------------------

    def succeeded(self, run: Run, result: Any) -> None:
        """The handler returned."""
        delivery, envelope = run.delivery, run.envelope
        self.counts.succeeded += 1
        if not envelope.retention:
            done = settle.done(delivery.queue, delivery.id, delivery.token, envelope.unique_key)
            done.tally = run.series.done
            self._settle(run, done)
            return
        raw: bytes | None = None
        if result is not None:
            try:
                raw = run.context.encode_result(result)
            except PayloadError as error:
                # The work is done; running it again for the sake of its result would do it twice.
                self._log.error(
                    "the result of task %s (%s) cannot be stored: %s",
                    delivery.id,
                    envelope.type,
                    error,
                    extra={"event": "result_unencodable", "task_id": delivery.id, "type": envelope.type},
                )
        completed = settle.completed(
            delivery.queue,
            delivery.id,
            delivery.token,
            result=raw,
            retention=envelope.retention,
            unique_key=envelope.unique_key,
        )
        completed.tally = run.series.done
        self._settle(run, completed)

    async def failed(self, run: Run, error: BaseException) -> None:
        """The handler raised, or was stopped by a limit or on request."""
        if run.is_settled:
            return
        if run.settlement is not None:
            # Decided already, and the error handler does not come back: write it without waiting.
            self._settle(run, run.settlement)
            return
        delivery, envelope = run.delivery, run.envelope
        verdict = self._judge(run, error)
        delay = verdict.delay or 0.0
        if verdict.action == "retry" and verdict.delay is None:
            answer = self._policies.delay(envelope.retry_policy, delivery.retried, error, run.task)
            delay = answer.seconds
            if answer.problem is not None:
                self._log.error(
                    "retry policy of task %s (%s): %s",
                    delivery.id,
                    envelope.type,
                    answer.problem,
                    extra={"event": "retry_policy_failed", "task_id": delivery.id, "type": envelope.type},
                )
        if verdict.action != "revoke":
            self.counts.failed += 1
        run.settlement = settlement = self._settlement(run, verdict, error, delay)
        settlement.tally = _tally(run.series, verdict.action)
        will_retry = verdict.action == "retry"
        if self._config.on_error is not None:
            failure = Failure(
                run.task,
                error,
                delivery.retried,
                envelope.max_retry,
                will_retry,
                delay if will_retry else 0.0,
            )
            try:
                await tell(self._log, self._config.on_error, failure)
            finally:
                # Also when we are cancelled while it runs.
                self._settle(run, settlement)
        else:
            self._settle(run, settlement)

    def _judge(self, run: Run, error: BaseException) -> outcome.Verdict:
        retried, max_retry = run.delivery.retried, run.envelope.max_retry
        try:
            return outcome.judge(
                error, retried=retried, max_retry=max_retry, is_failure=self._config.is_failure
            )
        except (Exception, SystemExit, KeyboardInterrupt):  # noqa: BLE001 - a user's is_failure
            self._log.exception("is_failure failed; the error counts", extra={"event": "callback_failed"})
            return outcome.judge(error, retried=retried, max_retry=max_retry, is_failure=None)

    def _settlement(
        self, run: Run, verdict: outcome.Verdict, error: BaseException, delay: float
    ) -> Settlement:
        delivery, envelope = run.delivery, run.envelope
        where = (delivery.queue, delivery.id, delivery.token)
        if verdict.action == "revoke":
            return settle.dropped(*where, kind="revoked", unique_key=envelope.unique_key)
        text = outcome.describe(error)
        self._log.log(
            logging.WARNING if verdict.action == "retry" else logging.ERROR,
            "task %s (%s) failed in attempt %d: %s",
            delivery.id,
            envelope.type,
            delivery.retried + 1,
            text,
            exc_info=error if self._log.isEnabledFor(logging.DEBUG) else None,
            extra={
                "event": "task_failed",
                "action": verdict.action,
                "queue": delivery.queue,
                "task_id": delivery.id,
                "type": envelope.type,
                "attempt": delivery.retried + 1,
                "delay": delay,
            },
        )
        keep = self._config.keep_attempts
        record = settle.Record(keep, outcome.trace(error) if keep else "")
        if verdict.action == "archive":
            unlock = self._config.unlock_archived or verdict.reason == "cancelled"
            return settle.archived(*where, error=text, reason=verdict.reason, unlock=unlock, record=record)
        return settle.retry(*where, error=text, delay=delay, counts=verdict.counts, record=record)

    def _settle(self, run: Run, settlement: Settlement) -> None:
        if not run.is_settled:
            run.is_settled = True
            self._settler.put(settlement)

    def _put(self, settlement: Settlement, tally: Tally) -> None:
        settlement.tally = tally
        self._settler.put(settlement)

    # -- of deliveries that did not run, or not to their end ----------------------------------------

    def give_back(self, run: Run) -> None:
        """The handler was stopped for the sake of the server: the task goes back to the front."""
        if run.settlement is not None:
            self._settle(run, run.settlement)
        elif not run.is_settled:
            run.is_settled = True
            self._requeue(run.delivery, run.series)

    def requeue(self, delivery: Delivery) -> None:
        """It was not run at all: it goes back to the front."""
        self._requeue(delivery, self._measures.other(delivery.queue))

    def _requeue(self, delivery: Delivery, series: Series) -> None:
        self.counts.requeued += 1
        requeued = settle.requeued(delivery.queue, delivery.id, delivery.token)
        self._put(requeued, series.given_back)

    def put_back(self, run: Run, delay: float) -> None:
        """There is no slot for its handler: it comes back after a delay, or when somebody lets it in."""
        delivery = run.delivery
        run.is_settled = True
        run.begun_at = NEVER
        self.counts.put_back += 1
        deferred = settle.deferred(delivery.queue, delivery.id, delivery.token, delay=delay)
        self._put(deferred, run.series.put_back)

    def unreadable(self, delivery: Delivery) -> None:
        """Its message cannot be decoded: archived, with the reason."""
        self.counts.unreadable += 1
        self._log.error(
            "task %s in %s cannot be read and is archived: %s",
            delivery.id,
            delivery.queue,
            delivery.unreadable,
            extra={"event": "unreadable", "queue": delivery.queue, "task_id": delivery.id},
        )
        error = f"this message cannot be read: {delivery.unreadable}"
        archived = settle.archived(
            delivery.queue,
            delivery.id,
            delivery.token,
            error=error,
            reason="unreadable",
            unlock=self._config.unlock_archived,
            record=settle.Record(self._config.keep_attempts),
        )
        self._put(archived, self._measures.other(delivery.queue).archived)

    def unknown(self, delivery: Delivery, envelope: Envelope) -> None:
        """There is no handler for it here: another server may have one, after a delay."""
        self.counts.unknown += 1
        delay = self._config.unknown_delay
        self._log.warning(
            "no handler for type %r here: task %s goes back and is offered again in %g s",
            envelope.type,
            delivery.id,
            delay,
            extra={
                "event": "unknown_type",
                "queue": delivery.queue,
                "task_id": delivery.id,
                "type": envelope.type,
            },
        )
        deferred = settle.deferred(delivery.queue, delivery.id, delivery.token, delay=delay)
        self._put(deferred, self._measures.other(delivery.queue).put_back)

    def expired(
        self, delivery: Delivery, envelope: Envelope, series: Series
    ) -> Coroutine[Any, Any, None] | None:
        """Nobody started it in time: it is dropped. Returns what tells the hook, if there is one."""
        self.counts.expired += 1
        self._log.info(
            "task %s (%s) expired before it was started",
            delivery.id,
            envelope.type,
            extra={
                "event": "expired",
                "queue": delivery.queue,
                "task_id": delivery.id,
                "type": envelope.type,
            },
        )
        dropped = settle.dropped(
            delivery.queue, delivery.id, delivery.token, kind="expired", unique_key=envelope.unique_key
        )
        self._put(dropped, series.expired)
        if self._config.on_expired is None:
            return None
        task = Task.received(delivery.queue, delivery.id, envelope, self._config.codecs)
        return tell(self._log, self._config.on_expired, task)


def _tally(series: Series, action: outcome.Action) -> Tally:
    """What counts the attempts that ended so."""
    if action == "retry":
        return series.retried
    return series.archived if action == "archive" else series.revoked
