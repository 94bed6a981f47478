"""Hands the messages of a topic to a handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, Self

from asyncq._logs import Log, LoggerLike, level_of, log_for, logging_problems
from asyncq._service import Errands
from asyncq.errors import AlreadyRunningError, ClosedError, ConfigError
from asyncq.kq.access import Access, access_of, check_topic
from asyncq.kq.calls import Calls, ErrorHandler, Handler
from asyncq.kq.config import KqConf
from asyncq.kq.errors import MessageFailedError
from asyncq.kq.logs import KQ_LOG
from asyncq.kq.processing import CANCEL_GRACE
from asyncq.kq.reading import LEAVE_PATIENCE, Reader
from asyncq.kq.stats import QueueStats

__all__ = ["Queue"]


class Queue:
    """Hands the messages of a topic to a handler, as a member of a consumer group.

        async def handle(message: Message) -> None: ...


        queue = Queue(KqConf(brokers=("localhost:9092",), group="shop", topic="payments"), handle)
        await queue.start()  # until somebody calls `await queue.stop()`

    A message counts as handled when the handler returns. What is committed is never past a message that is
    unfinished, so a crash hands out again what was being handled: at least once. A handler that fails does
    not end anything; see `KqConf.force_commit` for what becomes of its message.

    A handler may raise `RetryIn(seconds)` to get its message again, and `SkipRetry` to have it skipped,
    whatever the settings say; `RevokeTask` is as good as success.

    Args:
        conf: The settings.
        handler: Called with each message: an `async def` on the event loop, a plain function in a thread.
        error_handler: Told of each attempt that failed.
        logger: Where to log; `asyncq.kq` when not given.
        log_level: Say nothing below this.

    Raises:
        ConfigError: Something is wrong with an argument.
    """

    def __init__(
        self,
        conf: KqConf,
        handler: Handler,
        *,
        error_handler: ErrorHandler | None = None,
        logger: LoggerLike | None = None,
        log_level: int | str | None = None,
    ) -> None:
        if not isinstance(conf, KqConf):
            raise ConfigError("conf", conf, "a KqConf")
        problems = logging_problems(logger, log_level)
        if problems:
            raise ConfigError.of(problems)
        if error_handler is not None and not callable(error_handler):
            raise ConfigError("error_handler", error_handler, "a function of the message and the error")
        self.conf: Final = conf
        self._access: Final[Access] = access_of(conf)
        self._access.security()  # reads the certificates: whoever starts later hears of it now
        self._calls: Final = Calls(handler, conf.conns * conf.processors)
        self._error_handler: Final = error_handler
        self._log: Final[Log] = log_for(logger, level_of(log_level), standard=KQ_LOG)
        self._stats: Final = QueueStats()
        self._errands: Final = Errands()
        self._readers: list[Reader] = []
        self._halted: MessageFailedError | None = None
        self._is_started = False
        self._stopping: Final = asyncio.Event()
        self._began: Final = asyncio.Event()
        self._ended: Final = asyncio.Event()

    @property
    def name(self) -> str:
        """What it is called in logs and metrics."""
        return self.conf.title

    @property
    def shutdown_timeout(self) -> float:
        """Seconds that a stop may need, when handlers are slow and Kafka does not answer."""
        return self.conf.shutdown_timeout + CANCEL_GRACE + 2 * LEAVE_PATIENCE

    @property
    def stats(self) -> QueueStats:
        """What it did so far."""
        return self._stats

    @property
    def partitions(self) -> tuple[int, ...]:
        """The partitions that it has now."""
        return tuple(sorted(number for reader in self._readers for number in reader.partitions))

    async def start(self) -> None:
        """Read until `stop`. Cancelling it leaves in order, too, and then goes on.

        Raises:
            KafkaUnavailableError: No broker can be used at the start, or they refuse us later. A broker that
                only goes away later is waited for.
            TopicNotFoundError: There is no such topic.
            MessageFailedError: A message failed for good that may not be skipped.
            AlreadyRunningError: It runs.
            ClosedError: It has run; make another one.
        """
        if self._ended.is_set() and self._is_started:
            raise ClosedError("the queue")
        if self._is_started:
            raise AlreadyRunningError("the queue")
        self._is_started = True
        try:
            if not self._stopping.is_set():
                await self._until_stopped()
        finally:
            self._calls.close()
            self._began.set()
            self._ended.set()
        if self._halted is not None:
            raise self._halted

    async def stop(self) -> None:
        """Take no more messages, wait for handlers, commit, leave the group, and return when all is done.

        Handlers that take longer than `shutdown_timeout` are cancelled; their messages come again. May be
        called at any time, and more than once.
        """
        self._stopping.set()
        for reader in self._readers:
            reader.stop()
        if self._is_started:
            await self._ended.wait()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Run for the length of a block, which begins when the group has given it its partitions."""
        life = self._errands.start(self.start(), name="kq queue")
        try:
            joined = self._errands.start(self.wait_until_joined(), name="kq join")
            await asyncio.wait({life, joined}, return_when=asyncio.FIRST_COMPLETED)
            if life.done():
                joined.cancel()
                await life
            yield self
        finally:
            await self.stop()
            await asyncio.wait({life})
        await life

    async def wait_until_joined(self) -> None:
        """Wait until every reader is in the group and knows its partitions, or has ended."""
        await self._began.wait()
        for reader in self._readers:
            await reader.joined.wait()

    async def _until_stopped(self) -> None:
        await check_topic(self._access, self.conf.topic)
        self._readers = [self._reader() for _ in range(self.conf.conns)]
        self._began.set()
        if self._stopping.is_set():  # meanwhile
            return
        lives = [self._errands.start(reader.run(), name="kq reader") for reader in self._readers]
        try:
            await asyncio.wait(lives, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # When one ends, asked or not, it is the end of all.
            for reader in self._readers:
                reader.stop()
            await self._all_over(lives)
        for life in lives:
            life.result()

    async def _all_over(self, lives: list[asyncio.Task[None]]) -> None:
        try:
            await asyncio.wait(lives)
        except asyncio.CancelledError:
            # Once more while it leaves in order: it leaves at once.
            for life in lives:
                life.cancel()
            await asyncio.wait(lives)
            raise
        finally:
            for reader in self._readers:
                reader.joined.set()  # nobody waits for what will not come

    def _reader(self) -> Reader:
        return Reader(
            self.conf,
            self._access,
            self._calls,
            error_handler=self._error_handler,
            stats=self._stats,
            log=self._log,
            on_halt=self._halt,
        )

    def _halt(self, error: MessageFailedError) -> None:
        self._halted = self._halted or error
        self._stopping.set()
        for reader in self._readers:
            reader.stop()
