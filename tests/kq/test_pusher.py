"""Pushing: chunks, keys, headers, and errors that are not lost."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry import trace

from asyncq.errors import AlreadyRunningError, ClosedError, ConfigError, NotStartedError
from asyncq.kq import KafkaUnavailableError, Place, Pusher, PushError, TopicNotFoundError
from tests.support.mock_kafka import MockKafka
from tests.support.spans import Recorder
from tests.support.waiting import wait_until

NEVER = 3600.0


async def test_a_message_is_stored_under_a_key_of_nanoseconds(kafka: MockKafka) -> None:
    """As go-queue does it: 19 digits, snappy, no headers without a trace."""
    topic = await kafka.topic()
    before = time.time_ns()
    async with Pusher(kafka.brokers, topic) as pusher:
        await pusher.push("paid: 12 €")
    (message,) = await kafka.messages(topic, 1)
    assert message.value() == "paid: 12 €".encode()
    key = message.key()
    assert len(key) == 19
    assert before <= int(key) <= time.time_ns()
    assert not message.headers()
    assert pusher.stats.stored == 1


async def test_a_delivery_says_where_the_message_is(kafka: MockKafka) -> None:
    """For those who want to know; it may be awaited more than once, and by several."""
    topic = await kafka.topic()
    async with Pusher(kafka.brokers, topic, flush_interval=0, balancer=lambda *_: 2) as pusher:
        delivery = await pusher.push(b"a", key="k", headers={"one": b"1", "two": "2"})
        assert await delivery == Place(topic, 2, 0)
        assert await delivery == Place(topic, 2, 0)
        assert await (await pusher.push_with_key(b"k", b"b")) == Place(topic, 2, 1)
        assert delivery.is_done
    first, second = await kafka.messages(topic, 2)
    assert (first.key(), first.headers()) == (b"k", [("one", b"1"), ("two", b"2")])
    assert (second.key(), second.value()) == (b"k", b"b")


async def test_a_full_chunk_is_sent(kafka: MockKafka) -> None:
    """By size alone: nothing else would send it here."""
    async with Pusher(kafka.brokers, await kafka.topic(), chunk_size=10, flush_interval=NEVER) as pusher:
        first = await pusher.push(b"12345")
        assert pusher.stats.chunks == 0
        second = await pusher.push(b"12345")
        await asyncio.gather(first, second)
        assert pusher.stats.chunks == 1


async def test_a_chunk_is_sent_after_its_time(kafka: MockKafka) -> None:
    """A single message does not wait for others for ever."""
    async with Pusher(kafka.brokers, await kafka.topic(), flush_interval=0.05) as pusher:
        delivery = await pusher.push(b"a")
        assert not delivery.is_done
        await delivery
        assert pusher.stats.chunks == 1


async def test_flush_and_close_send_what_waits(kafka: MockKafka) -> None:
    """And come back when it is stored."""
    topic = await kafka.topic()
    async with Pusher(kafka.brokers, topic, flush_interval=NEVER) as pusher:
        delivery = await pusher.push(b"a")
        await pusher.flush()
        assert delivery.is_done
        await pusher.push(b"b")
    assert {message.value() for message in await kafka.messages(topic, 2)} == {b"a", b"b"}
    assert pusher.stats.pending == 0
    assert pusher.stats.pending_bytes == 0


async def test_a_synchronous_push_returns_when_the_message_is_stored(kafka: MockKafka) -> None:
    """No chunk: it is sent at once."""
    async with Pusher(kafka.brokers, await kafka.topic(), sync=True, flush_interval=NEVER) as pusher:
        delivery = await pusher.push(b"a")
        assert delivery.is_done
        assert pusher.stats.stored == 1


async def test_the_least_filled_partition_gets_the_next_message(kafka: MockKafka) -> None:
    """The balancer of go-queue; a key says nothing there."""
    async with Pusher(kafka.brokers, await kafka.topic(), sync=True) as pusher:
        places = [await (await pusher.push(b"12345", key=b"same")) for _ in range(8)]
    assert [place.partition for place in places] == [0, 1, 2, 3] * 2


async def test_a_hash_keeps_a_key_in_its_partition_and_in_order(kafka: MockKafka) -> None:
    """Order by key, over chunks."""
    topic = await kafka.topic()
    async with Pusher(kafka.brokers, topic, balancer="hash", chunk_size=20) as pusher:
        for number in range(50):
            await pusher.push(str(number), key=f"order-{number % 3}")
    found = await kafka.messages(topic, 50)
    for key in (b"order-0", b"order-1", b"order-2"):
        mine = [message for message in found if message.key() == key]
        assert len({message.partition() for message in mine}) == 1
        numbers = [int(message.value()) for message in mine]
        assert numbers == sorted(numbers)


async def test_without_acknowledgements_nobody_says_where_it_is(kafka: MockKafka) -> None:
    """`acks=0`, the value of go-queue."""
    topic = await kafka.topic()
    async with Pusher(kafka.brokers, topic, acks=0, sync=True) as pusher:
        place = await (await pusher.push(b"a"))
        assert place.offset is None
    assert len(await kafka.messages(topic, 1)) == 1


async def test_the_trace_goes_along(kafka: MockKafka) -> None:
    """As W3C's `traceparent`, replacing one that was given; not when it is switched off."""
    topic = await kafka.topic()
    async with (
        Pusher(kafka.brokers, topic, sync=True, balancer=lambda *_: 0) as pusher,
        Pusher(kafka.brokers, topic, sync=True, balancer=lambda *_: 0, trace=False) as silent,
    ):
        with Recorder().tracer.start_as_current_span("order") as span:
            await pusher.push(b"a", headers={"traceparent": "mine", "other": "kept"})
            await silent.push(b"b")
    first, second = await kafka.messages(topic, 2)
    headers = dict(first.headers())
    context = span.get_span_context()
    assert trace.format_trace_id(context.trace_id).encode() in headers["traceparent"]
    assert headers["other"] == b"kept"
    assert not second.headers()


# --- what goes wrong ---------------------------------------------------------------------------


class _Broken:
    """A balancer that does not work; for which message is said by its key."""

    def __call__(self, key: bytes, size: int, partitions: Sequence[int]) -> int:
        if key == b"bad":
            raise LookupError("no partition")
        return partitions[0]


async def test_an_error_that_nobody_saw_is_raised_by_flush_once(kafka: MockKafka) -> None:
    """Go-queue writes a log line; here it is not lost."""
    async with Pusher(kafka.brokers, await kafka.topic(), balancer=_Broken()) as pusher:
        await pusher.push(b"a")
        await pusher.push(b"b", key="bad")
        await pusher.push(b"c")
        with pytest.raises(
            PushError, match=r"a message is not stored in .*: LookupError: no partition"
        ) as error:
            await pusher.flush()
        (failure,) = error.value.failures
        assert (failure.key, failure.value) == (b"bad", b"b")
        await pusher.flush()
        assert pusher.stats.stored == 2
        assert pusher.stats.failed == 1


async def test_an_error_that_nobody_saw_is_raised_by_closing(kafka: MockKafka) -> None:
    """The last chance to hear of it; many are counted, and the first of them shown."""
    pusher = Pusher(kafka.brokers, await kafka.topic(), balancer=_Broken())
    await pusher.start()
    for _ in range(150):
        await pusher.push(b"a", key="bad")
    with pytest.raises(PushError, match="150 messages are not stored") as error:
        await pusher.aclose()
    assert len(error.value.failures) == 100
    await pusher.aclose()


async def test_who_awaits_a_delivery_hears_of_its_error_and_nobody_else(kafka: MockKafka) -> None:
    """Seen is seen: flush does not repeat it."""
    async with Pusher(kafka.brokers, await kafka.topic(), balancer=_Broken(), flush_interval=0) as pusher:
        delivery = await pusher.push(b"a", key="bad")
        with pytest.raises(PushError, match="no partition") as error:
            await delivery
        assert isinstance(error.value.__cause__, LookupError)
        await pusher.flush()


async def test_a_callback_hears_of_errors_instead(kafka: MockKafka, caplog: pytest.LogCaptureFixture) -> None:
    """For programs that push and never look back; one that fails is logged."""
    heard: list[PushError] = []

    async def on_error(error: PushError) -> None:
        heard.append(error)
        raise KeyError

    async with Pusher(kafka.brokers, await kafka.topic(), balancer=_Broken(), on_error=on_error) as pusher:
        await pusher.push(b"a", key="bad")
        await pusher.flush()
    assert [error.failures[0].value for error in heard] == [b"a"]
    events = {getattr(record, "event", "") for record in caplog.records if record.name == "asyncq.kq"}
    assert events == {"kq_not_stored", "callback_failed"}


async def test_a_synchronous_push_raises(kafka: MockKafka) -> None:
    """And then nothing is left for flush."""
    async with Pusher(kafka.brokers, await kafka.topic(), balancer=_Broken(), sync=True) as pusher:
        with pytest.raises(PushError, match="no partition"):
            await pusher.push(b"a", key="bad")
        await pusher.flush()


async def test_the_error_of_a_block_is_not_hidden_by_ours(kafka: MockKafka) -> None:
    """Ours is in the log."""

    async def fail() -> None:
        async with Pusher(kafka.brokers, await kafka.topic(), balancer=_Broken()) as pusher:
            await pusher.push(b"a", key="bad")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()


async def test_push_waits_for_room(kafka: MockKafka) -> None:
    """Memory is bounded: what is on its way is never more than `max_pending`."""
    async with Pusher(
        kafka.brokers, await kafka.topic(), max_pending=100, flush_interval=NEVER, chunk_size=10_000
    ) as pusher:
        await pusher.push(b"x" * 60, key="k")
        late = asyncio.ensure_future(pusher.push(b"y" * 60, key="k"))
        await asyncio.sleep(0)
        assert pusher.stats.pending == 1
        await pusher.flush()
        await late
        assert pusher.stats.pending == 1


async def test_closing_refuses_those_that_wait_for_room(kafka: MockKafka) -> None:
    """They have not been pushed, and hear it."""
    pusher = Pusher(kafka.brokers, await kafka.topic(), max_pending=10, flush_interval=NEVER)
    await pusher.start()
    await pusher.push(b"x" * 20, key="k")
    late = asyncio.ensure_future(pusher.push(b"y", key="k"))
    await asyncio.sleep(0)
    await pusher.aclose()
    with pytest.raises(ClosedError):
        await late
    assert pusher.stats.pending_bytes == 0


async def test_bad_messages_are_refused_before_they_are_sent(kafka: MockKafka) -> None:
    """The text says what is wrong, all of it."""
    async with Pusher(kafka.brokers, await kafka.topic(), max_message=100) as pusher:
        bad: Any = {"a": 1}
        with pytest.raises(ConfigError, match=r"value=.*expected bytes or text"):
            await pusher.push(bad)
        with pytest.raises(ConfigError, match=r"expected at most 100 \(`max_message`\)"):
            await pusher.push(b"x" * 101)
        with pytest.raises(ConfigError, match="2 values are wrong"):
            await pusher.push(b"x", key=bad, headers={"h": bad})
        with pytest.raises(ConfigError, match="UTF-8"):
            await pusher.push("\udc80")
        assert pusher.stats.pushed == 0


async def test_a_pusher_is_used_between_start_and_end(kafka: MockKafka) -> None:
    """Before and after, an error says which it is."""
    pusher = Pusher(kafka.brokers, await kafka.topic())
    with pytest.raises(NotStartedError, match="the pusher"):
        await pusher.push(b"a")
    async with pusher:
        with pytest.raises(AlreadyRunningError):
            await pusher.start()
    with pytest.raises(ClosedError):
        await pusher.push(b"a")
    with pytest.raises(ClosedError):
        await pusher.start()


async def test_a_topic_that_is_not_there_is_named_with_one_that_is_like_it(kafka: MockKafka) -> None:
    """Go-queue writes a log line for each chunk, and loses it."""
    topic = await kafka.topic()
    with pytest.raises(TopicNotFoundError, match=f"there is no topic '{topic}x'; did you mean") as error:
        await Pusher(kafka.brokers, topic + "x").start()
    assert topic in error.value.near


async def test_a_topic_is_made_on_request(kafka: MockKafka) -> None:
    """Where Kafka does so for those who ask."""
    async with Pusher(kafka.brokers, "made-on-request", allow_auto_topic_creation=True, sync=True) as pusher:
        await pusher.push(b"a")
    assert len(await kafka.messages("made-on-request", 1)) == 1


def _nobody() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


async def test_brokers_that_are_away_are_named_in_one_error() -> None:
    """Before anything is pushed."""
    one, other = _nobody(), _nobody()
    with pytest.raises(KafkaUnavailableError, match=f"cannot use Kafka at {one}, {other}: ") as error:
        await Pusher([one, other], "t").start()
    assert [broker for broker, _ in error.value.reasons] == [one, other]


async def test_one_broker_that_answers_is_enough(kafka: MockKafka) -> None:
    """The list is where to begin to ask."""
    async with Pusher([_nobody(), *kafka.brokers], await kafka.topic(), sync=True) as pusher:
        await pusher.push(b"a")


async def test_a_broker_that_does_not_answer_is_given_up() -> None:
    """A port that somebody else listens at must not hold up the program for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(KafkaUnavailableError, match="no answer in time"):
            await Pusher([f"127.0.0.1:{port}"], "t", connect_timeout=0.2).start()


async def test_a_cancelled_push_leaves_no_trace(kafka: MockKafka) -> None:
    """It was not pushed, so nothing is counted and no room is taken."""
    async with Pusher(kafka.brokers, await kafka.topic(), max_pending=10, flush_interval=NEVER) as pusher:
        await pusher.push(b"x" * 20, key="k")
        late = asyncio.ensure_future(pusher.push(b"y", key="k"))
        await asyncio.sleep(0)
        late.cancel()
        await asyncio.wait([late])
        await pusher.flush()
        assert pusher.stats.pushed == 1
        await wait_until(lambda: pusher.stats.pending_bytes == 0, "the room to be free")


async def test_closing_while_it_starts_leaves_it_closed(kafka: MockKafka) -> None:
    """And disconnected."""
    pusher = Pusher(kafka.brokers, await kafka.topic())
    starting = asyncio.ensure_future(pusher.start())
    await asyncio.sleep(0)
    await pusher.aclose()
    with pytest.raises(ClosedError):
        await starting
    with pytest.raises(ClosedError):
        await pusher.push(b"a")
