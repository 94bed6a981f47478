"""Metrics of what is sent and processed, read from OpenTelemetry's own SDK."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from redis import Redis

from asyncq import Client, Mux, RetryIn, RevokeTask, Task, tracing
from asyncq.errors import DuplicateTaskError
from asyncq.measures import OTHER
from asyncq.sync import Client as SyncClient
from asyncq.tracing._meters import MOST, Bounded
from tests.integration.serving import at_work, settled

SENT = "messaging.client.sent.messages"
SENDING = "messaging.client.operation.duration"
CONSUMED = "messaging.client.consumed.messages"
PROCESSING = "messaging.process.duration"

Point = HistogramDataPoint | NumberDataPoint


class Counters:
    """Collects the metrics of a provider of its own: the program's can be set but once."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def read(self) -> dict[str, list[Point]]:
        """All points, by the name of their metric."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        return {metric.name: list(metric.data.data_points) for metric in metrics}  # type: ignore[arg-type]

    def counts(self, name: str, *labels: str) -> dict[tuple[Any, ...], int]:
        """How many, by the values of some labels; `None` where a point has not got one."""
        found = dict[tuple[Any, ...], int]()
        for point in self.read().get(name, []):
            values = dict(point.attributes or {})
            key = tuple(values.get(label) for label in labels)
            count = point.count if isinstance(point, HistogramDataPoint) else int(point.value)
            found[key] = found.get(key, 0) + count
        return found


@pytest.fixture
def counters() -> Counters:
    """Nothing counted yet."""
    return Counters()


async def test_what_is_sent_and_processed_is_counted(
    redis_url: str, redis_client: Redis, counters: Counters
) -> None:
    """By queue, and with how it ended; no tracing is needed for it."""
    mux = Mux()
    mux.use(tracing.consumer(meter_provider=counters.provider))

    @mux.handle("work")
    async def work(task: Task) -> None:
        if task.payload == "fails":
            raise ConnectionError("away")
        if task.payload == "is over":
            raise RevokeTask("not needed any more")
        if task.payload == "later":
            raise RetryIn(60, counts=False)

    async with at_work(redis_url, mux, queues=["default", "mail"]) as (client, _):
        client.use(tracing.producer(meter_provider=counters.provider))
        await client.enqueue(Task("work"), queue="mail", unique=60)
        for payload in ("fails", "is over", "later"):
            await client.enqueue(Task("work", payload))
        await settled(redis_client, "mail", done=1)
        await settled(redis_client, retry=2, revoked=1)
        await client.enqueue(Task("other"), queue="mail", unique=60, process_in=60)
        with pytest.raises(DuplicateTaskError):
            await client.enqueue(Task("other"), queue="mail", unique=60, process_in=60)
    by_end = ("messaging.destination.name", "error.type")
    duplicate = f"{DuplicateTaskError.__module__}.DuplicateTaskError"
    sent = {("mail", None): 2, ("default", None): 3, ("mail", duplicate): 1}
    assert counters.counts(SENT, *by_end) == counters.counts(SENDING, *by_end) == sent
    assert counters.counts(CONSUMED, "messaging.asyncq.task.type") == {("work",): 4}
    assert counters.counts(PROCESSING, *by_end, "messaging.asyncq.outcome") == {
        ("mail", None, None): 1,
        ("default", "ConnectionError", None): 1,
        ("default", None, "revoked"): 1,
        ("default", None, "retry asked for"): 1,
    }
    for name, operation in (
        (SENT, "send"),
        (SENDING, "send"),
        (CONSUMED, "process"),
        (PROCESSING, "process"),
    ):
        for point in counters.read()[name]:
            labels = dict(point.attributes or {})
            assert (labels["messaging.system"], labels["messaging.operation.name"]) == ("asyncq", operation)
    assert all(isinstance(point, HistogramDataPoint) for point in counters.read()[PROCESSING])


def test_blocking_code_and_many_at_once_are_counted_too(redis_url: str, counters: Counters) -> None:
    """Each task of a batch, whether or not there is a span for each."""
    with SyncClient(redis_url, middleware=[tracing.producer(meter_provider=counters.provider)]) as client:
        outcomes = list(client.enqueue_many(Task("work", number) for number in range(20)))
    assert all(outcome.is_enqueued for outcome in outcomes)
    assert counters.counts(SENT, "messaging.destination.name") == {("default",): 20}


async def test_without_a_provider_nothing_is_counted(redis_url: str) -> None:
    """It has to be asked for."""
    counters = Counters()
    async with Client(redis_url, middleware=[tracing.producer()]) as client:
        await client.enqueue(Task("work"))
    assert counters.read() == {}


def test_labels_are_bounded() -> None:
    """Whoever enqueues says what types there are."""
    label = Bounded()
    assert [label(f"type {number}") for number in range(MOST)] == [f"type {number}" for number in range(MOST)]
    assert label("one more") == OTHER
    assert label("type 0") == "type 0"
