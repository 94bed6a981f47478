"""One reader of a queue: a member of the consumer group, with the partitions that the group gives it.

The order of things is what keeps messages from being lost:

1. A partition that nobody of the group ever committed is committed where reading begins, before the first
   message of it is handed out. A crash then does not move that point.
2. Messages are handed out while there is room, and noted in the ledger of their partition.
3. What the ledgers allow is committed every now and then.
4. When the group changes, partitions are given up: what runs is waited for, within bounds, then committed,
   then the ledgers are forgotten. What was not finished comes again, here or elsewhere.
5. A stop does the same and leaves the group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    AuthenticationFailedError,
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    InconsistentGroupProtocolError,
    InvalidSessionTimeoutError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from asyncq._logs import Log
from asyncq._service import Errands
from asyncq.kq.access import CLIENT_ID, RETRY_BACKOFF_MS, Access
from asyncq.kq.calls import Calls, ErrorHandler
from asyncq.kq.config import KqConf
from asyncq.kq.errors import KafkaUnavailableError, MessageFailedError
from asyncq.kq.ledger import Ledger
from asyncq.kq.message import Message
from asyncq.kq.processing import Processors
from asyncq.kq.stats import QueueStats

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 15.0
HEARTBEAT: Final = 3.0
COMMIT_PATIENCE: Final = 10.0
LEAVE_PATIENCE: Final = 3.0
CLOSE_PATIENCE: Final = 1.0
SHORT: Final = 0.02
LOOK: Final = 1.0
"""Seconds after which it looks whether the group is in trouble, when no messages come."""

_NEVER: Final = 2**31 - 1
_FATAL: Final = (
    AuthenticationFailedError,
    GroupAuthorizationFailedError,
    InconsistentGroupProtocolError,
    InvalidSessionTimeoutError,
    TopicAuthorizationFailedError,
)
_ASSIGNORS: Final[dict[str, type[Any]]] = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
}


class Reader(ConsumerRebalanceListener):
    """Reads, hands out and commits, until it is told to stop.

    Args:
        conf: The settings.
        access: Where Kafka is.
        calls: How the handler is called.
        error_handler: Whom to tell of attempts that failed.
        stats: What to count in.
        log: Where to say it.
        on_halt: Called when a message failed that may not be skipped.
    """

    def __init__(  # noqa: PLR0913 - its parts, one by one
        self,
        conf: KqConf,
        access: Access,
        calls: Calls,
        *,
        error_handler: ErrorHandler | None,
        stats: QueueStats,
        log: Log,
        on_halt: Callable[[MessageFailedError], None],
    ) -> None:
        self._conf: Final = conf
        self._access: Final = access
        self._stats: Final = stats
        self._log: Final = log
        self._errands: Final = Errands()
        self._stopping: Final = asyncio.Event()
        self._progress: Final = asyncio.Event()
        self._room: Final = asyncio.Event()
        self.joined: Final = asyncio.Event()
        self._commit_lock: Final = asyncio.Lock()
        self._ledgers: dict[TopicPartition, Ledger] = {}
        self._fresh: set[TopicPartition] = set()
        self._consumer: AIOKafkaConsumer | None = None
        self._processors: Final = Processors(
            conf,
            calls,
            error_handler=error_handler,
            stats=stats,
            log=log,
            on_progress=self._note_progress,
            on_halt=on_halt,
        )

    @property
    def partitions(self) -> tuple[int, ...]:
        """The partitions that it has now."""
        return tuple(sorted(tp.partition for tp in self._ledgers))

    def stop(self) -> None:
        """Ask it to end: `run` returns when it has."""
        self._stopping.set()

    async def run(self) -> None:
        """Read until told to stop.

        Raises:
            KafkaUnavailableError: Kafka refuses us; nothing will come of trying again.
        """
        delay = FIRST_DELAY
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            try:
                await self._live()
            except _FATAL as error:
                why = str(error) or type(error).__name__
                raise KafkaUnavailableError([(broker, why) for broker in self._conf.brokers]) from error
            except (KafkaError, OSError, TimeoutError) as error:
                if asyncio.get_running_loop().time() - began > LONGEST_DELAY:
                    delay = FIRST_DELAY
                self._log.error(
                    "%s: reading failed, begins again in %.1f s: %r",
                    self._conf.title,
                    delay,
                    error,
                    extra={"event": "kq_interrupted", "topic": self._conf.topic, "seconds": delay},
                )
                await self._unless_stopped(asyncio.sleep(delay))
                delay = min(delay * 2, LONGEST_DELAY)

    async def _live(self) -> None:
        """Join the group, read, and leave it."""
        consumer = self._consumer = self._made()
        consumer.subscribe([self._conf.topic], listener=self)
        try:
            await self._unless_stopped(consumer.start())
            if not self._stopping.is_set():
                await self._unless_stopped(self._fetch(consumer), self._commits(consumer))
        finally:
            await self._leave(consumer)

    def _made(self) -> AIOKafkaConsumer:
        conf = self._conf
        return AIOKafkaConsumer(
            bootstrap_servers=list(conf.brokers),
            client_id=CLIENT_ID,
            group_id=conf.group,
            # What `offset` says is done by `_anchor`. This is for a committed place whose messages are gone.
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_min_bytes=conf.min_bytes,
            fetch_max_bytes=conf.max_bytes,
            max_partition_fetch_bytes=conf.max_bytes,
            fetch_max_wait_ms=int(conf.max_wait * 1000),
            # A member that waits for its handlers is alive: its heartbeats say so.
            max_poll_interval_ms=_NEVER,
            session_timeout_ms=int(conf.session_timeout * 1000),
            rebalance_timeout_ms=int(conf.rebalance_timeout * 1000),
            heartbeat_interval_ms=int(min(HEARTBEAT, conf.session_timeout / 3) * 1000),
            # A broker answers a member that joins when all have joined.
            request_timeout_ms=int((conf.rebalance_timeout + 10) * 1000),
            retry_backoff_ms=RETRY_BACKOFF_MS,
            partition_assignment_strategy=tuple(_ASSIGNORS[name] for name in conf.assignors),
            **self._access.security(),
        )

    async def _unless_stopped(self, *works: Coroutine[Any, Any, object]) -> None:
        """Do several things until one of them is over, or we are told to stop; then end the others."""
        tasks = [self._errands.start(work, name="kq reader") for work in works]
        stopped = self._errands.start(self._stopping.wait(), name="kq stop")
        try:
            await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, stopped):
                task.cancel()
            await asyncio.wait([*tasks, stopped])
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _fetch(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            while self._fresh:  # again, if the group changed meanwhile
                await self._anchor(consumer)
            capacity = self._conf.queue_capacity
            wanted = [tp for tp, ledger in self._ledgers.items() if ledger.span < capacity]
            room = self._processors.room
            if room <= 0 or (self._ledgers and not wanted):
                self._room.clear()
                await self._room.wait()
                continue
            # Nothing may be awaited between these two: a rebalance finds each message in its ledger.
            found = await consumer.getmany(*wanted, timeout_ms=int(LOOK * 1000), max_records=room)
            if not self._take_all(consumer, found):
                await asyncio.sleep(SHORT)

    def _take_all(
        self, consumer: AIOKafkaConsumer, found: dict[TopicPartition, list[ConsumerRecord]]
    ) -> bool:
        """Hand messages out. Returns whether none of them was put back."""
        early = [tp for tp in found if tp not in self._ledgers or tp in self._fresh]
        for tp, records in found.items():
            if tp in early:
                # It was assigned while we waited, and nobody has seen yet where its group begins.
                consumer.seek(tp, records[0].offset)
            else:
                self._take(tp, records)
        return not early

    def _take(self, tp: TopicPartition, records: list[ConsumerRecord]) -> None:
        ledger = self._ledgers[tp]
        for record in records:
            ledger.take(record.offset)
            self._stats.received += 1
            self._processors.submit(_message(record), ledger)

    async def _anchor(self, consumer: AIOKafkaConsumer) -> None:
        """Commit where reading begins, of partitions that the group has not committed yet."""
        fresh, self._fresh = sorted(self._fresh), set()
        try:
            known = await asyncio.gather(*(consumer.committed(tp) for tp in fresh))
            new = [tp for tp, number in zip(fresh, known, strict=True) if number is None]
            if not new:
                return
            if self._conf.offset == "last":
                for tp in new:
                    # The driver asks for "earliest" (above) meanwhile, and takes a late answer to that
                    # for the one to `seek_to_end`. So it has to have it first.
                    await consumer.position(tp)
                for tp, end in (await consumer.end_offsets(new)).items():
                    consumer.seek(tp, end)
            async with self._commit_lock:
                await consumer.commit({tp: await consumer.position(tp) for tp in new})
        except (CommitFailedError, IllegalStateError):
            pass  # they were taken from us meanwhile; who has them now does the same

    def _note_progress(self) -> None:
        self._progress.set()
        self._room.set()

    async def _commits(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await self._progress.wait()
            await asyncio.sleep(self._conf.commit_interval)
            self._progress.clear()
            if not await self._commit(consumer):
                self._progress.set()
                await asyncio.sleep(FIRST_DELAY)

    async def _commit(self, consumer: AIOKafkaConsumer, patience: float = COMMIT_PATIENCE) -> bool:
        """Commit what may be committed. Returns whether nothing is left of it."""
        try:
            async with asyncio.timeout(patience), self._commit_lock:
                ledgers = dict(self._ledgers)
                offsets = {
                    tp: number for tp, ledger in ledgers.items() if (number := ledger.committable) is not None
                }
                if not offsets:
                    return True
                await consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            self._stats.commit_failures += 1
            self._log.warning(
                "%s: a commit failed: %r",
                self._conf.title,
                error,
                extra={"event": "kq_commit_failed", "topic": self._conf.topic},
            )
            return False
        self._stats.commits += 1
        for tp, number in offsets.items():
            ledgers[tp].note_committed(number)
        return True

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Give partitions up: called while the group waits for us, and no messages come."""
        if not self._ledgers or self._consumer is None:
            return
        limit = self._conf.rebalance_timeout * 2 / 3
        await self._processors.drain(min(self._conf.shutdown_timeout, limit))
        await self._commit(self._consumer, min(COMMIT_PATIENCE, self._conf.rebalance_timeout / 6))
        self._forget()
        self._log.info(
            "%s: gave up partitions %s",
            self._conf.title,
            sorted(tp.partition for tp in revoked),
            extra={"event": "kq_revoked", "topic": self._conf.topic},
        )

    def _forget(self) -> None:
        self._ledgers = {}
        self._fresh = set()
        self.joined.clear()
        self._note_progress()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Begin with partitions that the group gave us."""
        for tp in assigned:
            self._ledgers.setdefault(tp, Ledger(self._conf.commit))
        self._fresh = set(assigned)
        self._stats.rebalances += 1
        self._note_progress()
        self.joined.set()
        self._log.info(
            "%s: has partitions %s",
            self._conf.title,
            list(self.partitions),
            extra={"event": "kq_assigned", "topic": self._conf.topic},
        )

    async def _leave(self, consumer: AIOKafkaConsumer) -> None:
        try:
            await self._processors.drain(self._conf.shutdown_timeout)
            await self._commit(consumer, LEAVE_PATIENCE)
        finally:
            self._forget()
            await self._say_good_bye(consumer)

    async def _say_good_bye(self, consumer: AIOKafkaConsumer) -> None:
        leaving = self._errands.start(consumer.stop(), name="kq leave")
        try:
            await asyncio.wait([leaving], timeout=LEAVE_PATIENCE)
            if _went_well(leaving):
                return
            # It waits for a broker that is away, or for a group that waits for a member; or it was ended by
            # the cancellation of a fetch of its own (aiokafka 0.14, while brokers are away). Without
            # connections it gives up; otherwise what it has begun would live on.
            await consumer._client.close()
            await asyncio.wait([leaving], timeout=CLOSE_PATIENCE)
        finally:
            leaving.cancel()
        self._log.warning(
            "%s: could not leave the group in order",
            self._conf.title,
            extra={"event": "kq_not_left", "topic": self._conf.topic},
        )


def _went_well(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _message(record: ConsumerRecord) -> Message:
    return Message(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value or b"",
        headers={name: value or b"" for name, value in record.headers},
        timestamp=datetime.fromtimestamp(max(record.timestamp, 0) / 1000, UTC),
    )
