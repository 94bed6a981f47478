"""Puts messages into a topic."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Final, Literal, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from asyncq._checks import whole_problem
from asyncq._clock import seconds
from asyncq._logs import LoggerLike, log_for, logging_problems
from asyncq._service import Errands
from asyncq.errors import AlreadyRunningError, ClosedError, ConfigError, NotStartedError, Problem
from asyncq.kq.access import CLIENT_ID, RETRY_BACKOFF_MS, Access, check_topic
from asyncq.kq.balancers import BALANCERS, Balancer
from asyncq.kq.chunks import Chunk, Room
from asyncq.kq.config import broker_problems, secret_problems, topic_problems
from asyncq.kq.delivery import Delivery
from asyncq.kq.errors import KafkaUnavailableError, PushError
from asyncq.kq.logs import KQ_LOG
from asyncq.kq.message import Place
from asyncq.kq.parcels import Packing, Parcel
from asyncq.kq.shipping import Shipper
from asyncq.kq.stats import PusherStats
from asyncq.kq.unstored import Failures, PushErrorHandler

__all__ = ["Acks", "Compression", "Pusher"]

Acks = Literal["all", 1, 0]
Compression = Literal["snappy", "gzip", "zstd", "none"]

MEBIBYTE: Final = 1024 * 1024
BATCH_BYTES: Final = 1_000_000
"""What goes to a partition at once: below what brokers take by default, even if it cannot be compressed."""


class Pusher:
    """Pushes messages into a Kafka topic.

        async with Pusher(["localhost:9092"], "payments") as pusher:
            await pusher.push(b"paid")  # on its way
            place = await (await pusher.push(b"paid", key="order-7"))  # stored
            await pusher.flush()  # everything is stored, or this raises

    Messages are gathered and sent together: when there are `chunk_size` bytes of them, after
    `flush_interval`, with `flush`, and when it is closed. `push` waits for room alone, and gives a `Delivery`
    that can be awaited. What was not stored is never silent: awaiting the delivery raises, and what nobody
    awaited `flush` and `aclose` raise, unless `on_error` is told.

    Args:
        brokers: Where Kafka is: `host:port` of some of the brokers.
        topic: The topic. It has to exist.
        chunk_size: Bytes of values at which messages are sent.
        flush_interval: Seconds that a message waits for others.
        sync: Each `push` sends at once, waits until the message is stored, and raises when it is not.
        allow_auto_topic_creation: Have Kafka make the topic, where it does so for those who ask.
        balancer: Which partition a message goes to: `least_bytes` as in go-queue, `hash` (one key, one
            partition, as kafka-go counts), `murmur2` (the same as Kafka's own clients count), `round_robin`,
            or a function.
        acks: Who has to have a message: `all` in-sync replicas, the leader alone (1), or nobody has to say
            (0, the value of go-queue: messages are lost without a word).
        compression: What is done with a batch; `snappy` as in go-queue.
        max_message: Bytes that key, value and headers of one message may have.
        max_pending: Bytes that may be on their way; `push` waits when there are more.
        delivery_timeout: Seconds after which a message that Kafka did not take has failed.
        on_error: Told of each message that was not stored, instead of `flush` and `aclose`.
        trace: Whether the present trace goes along in headers, when OpenTelemetry is installed.
        username: Name for SASL PLAIN. Together with `password`.
        password: Password for SASL PLAIN.
        ca_file: Certificates (PEM) to trust. Given, the connection is encrypted.
        tls: Encrypt without a `ca_file`: the certificates of the system are trusted then.
        verify: `False` accepts any certificate: for tests only.
        connect_timeout: Seconds to reach a broker when it starts.
        logger: Where to log; `asyncq.kq` when not given.

    Raises:
        ConfigError: An argument is wrong; all that are wrong are reported.
    """

    def __init__(  # noqa: PLR0913 - its options, one by one
        self,
        brokers: Sequence[str],
        topic: str,
        *,
        chunk_size: int = MEBIBYTE,
        flush_interval: float | timedelta = 1.0,
        sync: bool = False,
        allow_auto_topic_creation: bool = False,
        balancer: str | Balancer = "least_bytes",
        acks: Acks = "all",
        compression: Compression = "snappy",
        max_message: int = BATCH_BYTES,
        max_pending: int = 32 * MEBIBYTE,
        delivery_timeout: float | timedelta = 30.0,
        on_error: PushErrorHandler | None = None,
        trace: bool = True,
        username: str | None = None,
        password: str | None = None,
        ca_file: str | None = None,
        tls: bool = False,
        verify: bool = True,
        connect_timeout: float | timedelta = 10.0,
        logger: LoggerLike | None = None,
    ) -> None:
        where = [*broker_problems(brokers), *topic_problems(topic), *secret_problems(username, password)]
        how = [*_choice_problems(acks, compression, balancer), *logging_problems(logger, None)]
        _require(where + how, chunk_size=chunk_size, max_message=max_message, max_pending=max_pending)
        self.topic: Final = topic
        self._access: Final = Access(
            brokers=tuple(brokers),
            username=username,
            password=password,
            ca_file=ca_file,
            tls=tls,
            verify=verify,
            connect_timeout=seconds(connect_timeout, name="connect_timeout"),
        )
        self._access.security()  # reads the certificates: whoever starts later hears of it now
        self._is_sync: Final = sync
        self._creates: Final = allow_auto_topic_creation
        self._acks: Final = acks
        self._compression: Final = None if compression == "none" else compression
        self._max_message: Final = max_message
        self._shipper: Final = Shipper(topic, balancer, self._settle)
        self._delivery_timeout: Final = seconds(delivery_timeout, name="delivery_timeout")
        self._chunk: Final = Chunk[Parcel](chunk_size, seconds(flush_interval, name="flush_interval"))
        self._room: Final = Room(max_pending)
        self._failures: Final = Failures(topic, on_error, log_for(logger, None, standard=KQ_LOG))
        self._packing: Final = Packing(max_message=max_message, traces=trace, on_seen=self._failures.see)
        self._errands: Final = Errands()
        self._pending: Final[dict[Parcel, None]] = {}
        self._idle: Final = asyncio.Event()
        self._idle.set()
        self._timer: asyncio.TimerHandle | None = None
        self._producer: AIOKafkaProducer | None = None
        self._status: Literal["new", "starting", "running", "closed"] = "new"
        self._pushed = self._stored = self._failed = self._chunks = 0

    # --- from start to end ------------------------------------------------------------------

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaUnavailableError: No broker can be used; the text has the reason of each.
            TopicNotFoundError: There is no such topic.
            AlreadyRunningError: It was started.
            ClosedError: It was closed; make another one.
        """
        if self._status != "new":
            raise ClosedError("the pusher") if self._status == "closed" else AlreadyRunningError("the pusher")
        self._status = "starting"
        producer: AIOKafkaProducer | None = None
        try:
            await check_topic(self._access, self.topic, create=self._creates)
            producer = self._made()
            await producer.start()
            self._require_starting()
        except BaseException as error:
            self._forget_start()
            if producer is not None:
                await producer.stop()
            if isinstance(error, KafkaError):
                raise KafkaUnavailableError([(one, str(error)) for one in self._access.brokers]) from error
            raise
        self._producer = producer
        self._status = "running"

    def _forget_start(self) -> None:
        if self._status == "starting":
            self._status = "new"

    def _require_starting(self) -> None:
        if self._status != "starting":  # closed meanwhile
            raise ClosedError("the pusher")

    def _made(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=list(self._access.brokers),
            client_id=CLIENT_ID,
            acks=self._acks,
            compression_type=self._compression,
            max_batch_size=max(BATCH_BYTES, self._max_message),
            max_request_size=max(MEBIBYTE, 2 * self._max_message),
            request_timeout_ms=max(1, int(self._delivery_timeout * 1000)),
            retry_backoff_ms=RETRY_BACKOFF_MS,
            **self._access.security(),
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, trace
        try:
            await self.aclose()
        except PushError:
            if error is None:
                raise  # otherwise the error of the block is the one to hear of; ours is in the log

    async def aclose(self) -> None:
        """Send what waits, wait until it is stored, and disconnect. Does nothing the second time.

        Raises:
            PushError: Messages were not stored, and nobody has heard of them.
        """
        producer, was_running = self._producer, self._status == "running"
        self._status = "closed"
        if producer is None or not was_running:
            return
        try:
            await self._emptied()
        finally:
            await producer.stop()
            await self._errands.finish()
            await self._failures.finish()
        self._failures.raise_unseen()

    # --- pushing ----------------------------------------------------------------------------

    async def push(
        self,
        value: bytes | str,
        *,
        key: bytes | str | None = None,
        headers: Mapping[str, bytes | str] | None = None,
    ) -> Delivery:
        """Push a message.

        Args:
            value: The message; text becomes UTF-8.
            key: Its key; the nanoseconds since 1970 when not given, as in go-queue.
            headers: What goes along. Those of the trace replace yours of the same name.

        Returns:
            Awaited, it gives the `Place` of the message. With `sync` it is done.

        Raises:
            ConfigError: The message is none, or too large.
            PushError: With `sync`: it was not stored.
            NotStartedError: The pusher was not started.
            ClosedError: It was closed.
        """
        self._running()
        parcel = self._packing.parcel(value, key, headers)
        await self._room.enter(parcel.size)
        try:
            producer = self._running()  # it may have been closed while we waited
        except BaseException:
            self._room.leave(parcel.size)
            raise
        self._pushed += 1
        self._pending[parcel] = None
        self._idle.clear()
        if self._is_sync:
            await self._shipper.ship_one(producer, parcel)
            await parcel.delivery
        elif self._chunk.add(parcel, len(parcel.delivery.value), asyncio.get_running_loop().time()):
            self._send_chunk()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_at(self._chunk.due, self._send_chunk)
        return parcel.delivery

    async def push_with_key(self, key: bytes | str, value: bytes | str) -> Delivery:
        """Push a message with a key: `push(value, key=key)` in the order of go-queue."""
        return await self.push(value, key=key)

    async def flush(self) -> None:
        """Send what waits, and wait until everything pushed so far is stored.

        Raises:
            PushError: Messages were not stored, since the last `flush`, and nobody has heard of them.
            NotStartedError: The pusher was not started.
            ClosedError: It was closed.
        """
        self._running()
        await self._emptied()
        self._failures.raise_unseen()

    @property
    def stats(self) -> PusherStats:
        """What it did so far."""
        return PusherStats(
            pushed=self._pushed,
            stored=self._stored,
            failed=self._failed,
            chunks=self._chunks,
            pending=len(self._pending),
            pending_bytes=self._room.taken,
        )

    # --- inside -----------------------------------------------------------------------------

    def _running(self) -> AIOKafkaProducer:
        if self._status == "closed":
            raise ClosedError("the pusher")
        if self._producer is None:
            raise NotStartedError("the pusher")
        return self._producer

    def _send_chunk(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        parcels = self._chunk.take()
        if parcels and self._producer is not None:
            self._chunks += 1
            self._errands.start(self._shipper.ship(self._producer, parcels), name="kq chunk")

    def _settle(self, parcel: Parcel, outcome: Place | Exception) -> None:
        """Say what became of a message, and give its room back."""
        del self._pending[parcel]
        self._room.leave(parcel.size)
        if not self._pending:
            self._idle.set()
        if isinstance(outcome, Place):
            self._stored += 1
            parcel.delivery._succeed(outcome)
        else:
            self._failed += 1
            self._failures.report(parcel.delivery, outcome)

    async def _emptied(self) -> None:
        self._send_chunk()
        await self._idle.wait()


def _require(problems: list[Problem], **sizes: int) -> None:
    for name, value in sizes.items():
        problem = whole_problem(name, value, least=1)
        problems += [problem] if problem else []
    if problems:
        raise ConfigError.of(problems)


def _choice_problems(acks: object, compression: object, balancer: object) -> list[Problem]:
    problems: list[Problem] = []
    if isinstance(acks, bool) or acks not in ("all", 1, 0):
        problems.append(Problem("acks", acks, "'all', 1 or 0"))
    known = ("snappy", "gzip", "zstd", "none")
    if compression not in known:
        problems.append(Problem("compression", compression, " or ".join(map(repr, known))))
    if isinstance(balancer, str):
        if balancer not in BALANCERS:
            problems.append(Problem("balancer", balancer, " or ".join(map(repr, BALANCERS))))
    elif not callable(balancer):
        problems.append(Problem("balancer", balancer, "the name of one, or a function"))
    return problems
