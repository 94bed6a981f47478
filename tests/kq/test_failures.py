"""What becomes of a message whose handler failed."""

from __future__ import annotations

import asyncio
import threading

import pytest

from asyncq.errors import RetryIn, SkipRetry
from asyncq.kq import Message, MessageFailedError, Queue
from tests.kq.handling import conf, until_committed
from tests.support.kafka_double import FakeCluster
from tests.support.waiting import wait_until


async def test_a_failed_message_is_committed_with_force_commit(
    broker: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """The default of go-queue. Not in silence: the error handler, the log and the numbers know."""
    heard: list[tuple[str, BaseException]] = []
    broker.put("bad", "good")

    async def handle(message: Message) -> None:
        if message.text == "bad":
            raise LookupError("no such order")

    queue = Queue(conf(), handle, error_handler=lambda message, error: heard.append((message.id, error)))
    async with queue.running():
        await until_committed(broker, 0, 2)
    ((name, error),) = heard
    assert name == "t-0-0"
    assert isinstance(error, LookupError)
    assert (queue.stats.handled, queue.stats.skipped, queue.stats.failures) == (1, 1, 1)
    events = [getattr(record, "event", "") for record in caplog.records]
    assert {"kq_message_failed", "kq_skipped"} <= set(events)


async def test_a_failed_message_is_tried_again_without_force_commit(broker: FakeCluster) -> None:
    """In its place: what comes after it goes on, and is not committed before it. Go-queue skips it."""
    attempts: list[int] = []
    broker.put("bad", "good")
    let = asyncio.Event()

    async def handle(message: Message) -> None:
        if message.text == "bad":
            attempts.append(message.attempt)
            if not let.is_set():
                raise LookupError

    queue = Queue(conf(force_commit=False, processors=1), handle)
    async with queue.running():
        await wait_until(lambda: len(attempts) >= 3 and queue.stats.handled == 1, "attempts")
        assert broker.committed[0] == 0
        let.set()
        await until_committed(broker, 0, 2)
    assert attempts == list(range(1, len(attempts) + 1))


async def test_a_queue_stops_before_what_it_may_not_skip(broker: FakeCluster) -> None:
    """`max_attempts` without `force_commit`: somebody has to look. What was finished is committed."""
    broker.put("good", "bad", "later")

    async def handle(message: Message) -> None:
        if message.text == "bad":
            raise LookupError("no such order")

    queue = Queue(conf(force_commit=False, max_attempts=2), handle)
    with pytest.raises(
        MessageFailedError, match="t-0-1 failed after 2 attempts: LookupError: no such"
    ) as error:
        await queue.start()
    assert isinstance(error.value.__cause__, LookupError)
    assert broker.committed[0] == 1


async def test_attempts_before_it_is_skipped(broker: FakeCluster) -> None:
    """`max_attempts` with `force_commit`."""
    attempts: list[int] = []
    broker.put("bad")

    def handle(message: Message) -> None:
        attempts.append(message.attempt)
        raise LookupError

    async with Queue(conf(max_attempts=3), handle).running():
        await until_committed(broker, 0, 1)
    assert attempts == [1, 2, 3]


async def test_a_handler_may_decide_for_itself(broker: FakeCluster) -> None:
    """`RetryIn` and `SkipRetry`, whatever the settings say."""
    attempts: list[tuple[str, int]] = []
    broker.put("again", "skip")

    async def handle(message: Message) -> None:
        attempts.append((message.text, message.attempt))
        if message.text == "skip":
            raise SkipRetry
        if message.attempt < 3:
            raise RetryIn(0)

    queue = Queue(conf(force_commit=False), handle)
    async with queue.running():
        await until_committed(broker, 0, 2)
    assert sorted(attempts) == [("again", 1), ("again", 2), ("again", 3), ("skip", 1)]
    assert (queue.stats.handled, queue.stats.skipped) == (1, 1)


@pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError, KeyboardInterrupt])
async def test_nothing_that_a_handler_raises_ends_the_process(
    broker: FakeCluster, error: type[BaseException]
) -> None:
    """In go-queue a panic is the end of it."""
    broker.put("bad", "good")
    handled: list[str] = []

    async def handle(message: Message) -> None:
        if message.text == "bad":
            raise error
        handled.append(message.text)

    queue = Queue(conf(), handle)
    async with queue.running():
        await until_committed(broker, 0, 2)
    assert handled == ["good"]
    assert queue.stats.skipped == 1


async def test_an_error_handler_that_fails_is_only_logged(
    broker: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Its message is dealt with all the same."""
    broker.put("bad")

    async def handle(message: Message) -> None:
        raise LookupError

    async def error_handler(message: Message, error: BaseException) -> None:
        raise ZeroDivisionError

    async with Queue(conf(), handle, error_handler=error_handler).running():
        await until_committed(broker, 0, 1)
    assert "callback_failed" in {getattr(record, "event", "") for record in caplog.records}


async def test_a_plain_function_runs_in_a_thread(broker: FakeCluster) -> None:
    """So many at a time as there are processors."""
    broker.put("a", "b")
    both = threading.Barrier(2, timeout=20)
    names: list[str] = []

    def handle(message: Message) -> None:
        both.wait()
        names.append(threading.current_thread().name)

    async with Queue(conf(processors=2), handle).running():
        await until_committed(broker, 0, 2)
    assert all(name.startswith("asyncq-kq") for name in names)
