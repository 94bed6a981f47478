"""Traces across the queue, recorded by OpenTelemetry's own SDK."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import attach, detach
from opentelemetry.trace import SpanKind, StatusCode
from redis import Redis

from asyncq import Client, Context, Mux, RetryIn, RevokeTask, Scheduler, Server, Task, TaskInfo, tracing
from asyncq.errors import ConfigError, DuplicateTaskError
from asyncq.sync import Client as SyncClient
from asyncq.tracing import conventions
from tests.conftest import AnyRedis
from tests.integration.serving import at_work, settled
from tests.support.spans import Recorder, attributes, links, span_id, trace_id
from tests.support.waiting import wait_until


@pytest.fixture
def recorder() -> Recorder:
    """Nothing recorded yet."""
    return Recorder()


async def test_a_prompt_task_is_part_of_the_trace_that_sent_it(
    any_redis: AnyRedis, recorder: Recorder
) -> None:
    """From the request to what its handler does, also when that enqueues again."""
    mux = recorder.mux()

    @mux.handle("first")
    async def first(task: Task) -> None:
        with recorder.tracer.start_as_current_span("inside"):
            await client.enqueue(Task("second", b"abc", queue="other"))

    @mux.handle("second")
    def second(task: Task) -> None:
        recorder.tracer.start_span("in a thread").end()

    queues = ["default", "other"]
    async with at_work(any_redis.url, mux, queues=queues) as (client, server):
        client.use(recorder.producer())
        with recorder.tracer.start_as_current_span("request"):
            info = await client.enqueue(Task("first", {"a": 1}), max_retry=7)
        await recorder.until("process other", 1)
        server_id = server.id
    by_name = {span.name: span for span in recorder.spans()}
    order = [
        "request",
        "send default",
        "process default",
        "inside",
        "send other",
        "process other",
        "in a thread",
    ]
    assert set(by_name) == set(order)
    for parent, child in itertools.pairwise(order):
        found = by_name[child].parent
        assert found is not None
        assert found.span_id == span_id(by_name[parent]), child
    assert len({trace_id(span) for span in by_name.values()}) == 1
    sent, processed = by_name["send default"], by_name["process default"]
    assert (sent.kind, processed.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert attributes(sent) == _said("send", info)
    found = attributes(processed)
    assert found.pop("messaging.asyncq.task.wait") >= 0
    assert found == _said("process", info) | {
        "messaging.client.id": server_id,
        "messaging.asyncq.task.attempt": 1,
        "messaging.asyncq.task.max_retry": 7,
    }


def _said(operation: str, info: TaskInfo) -> dict[str, object]:
    """Return what both ends say of a task."""
    return {
        "messaging.system": "asyncq",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": info.queue,
        "messaging.message.id": info.id,
        "messaging.message.body.size": len(info.raw),
        "messaging.asyncq.task.type": info.type,
    }


@pytest.mark.parametrize("wire", ["native", "asynq"])
async def test_retries_and_delayed_tasks_are_linked_and_have_traces_of_their_own(
    redis_url: str, redis_client: Redis, recorder: Recorder, wire: str
) -> None:
    """In both wires the context is in the headers."""
    mux = recorder.mux(child_within=0.25)

    @mux.handle("fails once")
    async def fails_once(task: Task, ctx: Context) -> None:
        if ctx.attempt == 1:
            raise ValueError("first")

    @mux.handle("later")
    async def later(task: Task) -> None:
        """Succeed."""

    server = Server(redis_url, retry=lambda *_: 0.01, wire=wire)
    client = Client(redis_url, wire=wire, middleware=[recorder.producer()])
    async with client, server.running(mux):
        await client.enqueue(Task("fails once"), queue="default")
        first, second = await recorder.until("process", 2)
        await client.enqueue(Task("later"), process_in=0.5)
        third = (await recorder.until("process", 3))[2]
    sent, sent_later = recorder.spans("send")
    assert first.parent is not None
    assert first.parent.span_id == span_id(sent)
    assert first.status.status_code is StatusCode.ERROR
    assert attributes(first)["error.type"] == "ValueError"
    assert [event.name for event in first.events] == ["exception"]
    for span, sender in ((second, sent), (third, sent_later)):
        assert span.parent is None
        assert trace_id(span) != trace_id(sender)
        assert links(span) == [span_id(sender)]
        assert span.status.status_code is StatusCode.UNSET
    assert (
        attributes(second)["messaging.asyncq.task.attempt"],
        attributes(third)["messaging.asyncq.task.wait"] >= 0.4,
    ) == (2, True)


@pytest.mark.parametrize(("within", "is_child"), [(0, False), (math.inf, True), (timedelta(minutes=1), True)])
async def test_who_wants_only_links_or_only_children_says_so(
    redis_url: str, recorder: Recorder, within: Any, *, is_child: bool
) -> None:
    """The conventions leave both open."""
    mux = recorder.mux(child_within=within)
    mux.handle("work", _nothing)
    async with at_work(redis_url, mux) as (client, _):
        client.use(recorder.producer())
        await client.enqueue(Task("work"))
        (span,) = await recorder.until("process", 1)
    (sent,) = recorder.spans("send")
    assert (span.parent is not None) is is_child
    assert list(links(span)) == ([] if is_child else [span_id(sent)])
    with pytest.raises(ConfigError, match="child_within"):
        tracing.consumer(child_within=-1)


async def _nothing(task: Task) -> None:
    """Succeed."""


async def test_each_end_is_told_apart(redis_url: str, recorder: Recorder) -> None:
    """What is no error must not look like one, or nobody looks any more."""
    mux, begun = recorder.mux(), asyncio.Event()

    @mux.handle("revoke")
    async def revoke(task: Task) -> None:
        raise ExceptionGroup("several", [RevokeTask("not needed")])

    @mux.handle("not yet")
    async def not_yet(task: Task) -> None:
        raise RetryIn(60, counts=False)

    @mux.handle("again")
    async def again(task: Task) -> None:
        raise RetryIn(60)

    @mux.handle("slow")
    async def slow(task: Task) -> None:
        await asyncio.Event().wait()

    @mux.handle("cut short")
    async def cut_short(task: Task) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with at_work(redis_url, mux, shutdown_timeout=0.0) as (client, _):
        for kind in ("revoke", "not yet", "again"):
            await client.enqueue(Task(kind))
        await client.enqueue(Task("slow"), timeout=0.05)
        await client.enqueue(Task("cut short"))
        await begun.wait()
        await recorder.until("process", 4)
    ends = {}
    for span in await recorder.until("process", 5):
        found = attributes(span)
        ends[found[conventions.TASK_TYPE]] = (found.get(conventions.OUTCOME), found.get("error.type"))
        is_error = span.status.status_code is StatusCode.ERROR
        assert is_error is ("error.type" in found)
    assert ends == {
        "revoke": ("revoked", None),
        "not yet": ("retry asked for", None),
        "again": ("retry asked for", f"{RetryIn.__module__}.RetryIn"),
        "slow": (None, "timeout"),
        "cut short": ("given back", None),
    }


async def test_what_was_refused_is_an_error_of_its_span(redis_url: str, recorder: Recorder) -> None:
    """And the queue is the one that it would have gone to, as far as anybody knows."""
    middleware = [recorder.producer()]
    async with Client(redis_url, middleware=middleware, defaults={"queue": "mail"}) as client:
        await client.enqueue(Task("work"), unique=60)
        with pytest.raises(DuplicateTaskError):
            await client.enqueue(Task("work"), unique=60)
    sent, refused = recorder.spans()
    assert (sent.name, attributes(sent)["messaging.destination.name"]) == ("send mail", "mail")
    assert attributes(refused)["error.type"].endswith("DuplicateTaskError")
    assert refused.status.status_code is StatusCode.ERROR


async def test_without_an_sdk_nothing_is_sent_and_nothing_made(redis_url: str) -> None:
    """A library that is installed for everybody must not cost those who do not use it."""
    seen: list[dict[str, str]] = []
    mux = Mux()
    mux.use(tracing.consumer())

    @mux.handle("work")
    async def work(task: Task) -> None:
        assert not trace.get_current_span().get_span_context().is_valid
        seen.append(dict(task.headers))

    async with at_work(redis_url, mux) as (client, _):
        client.use(tracing.producer())
        await client.enqueue(Task("work"))
        await wait_until(lambda: seen, "the task to run")
    assert seen == [{}]


async def test_schedulers_and_blocking_clients_take_part(redis_url: str, recorder: Recorder) -> None:
    """The span that is current in the thread of who blocks is the parent."""
    mux = recorder.mux()
    mux.handle("work", _nothing)
    scheduler = Scheduler(redis_url, middleware=[recorder.producer()])
    scheduler.register("@every 1s", Task("work", queue="ticks"))

    def block() -> None:
        client = SyncClient(redis_url, middleware=[recorder.producer()])
        with client, recorder.tracer.start_as_current_span("request"):
            client.enqueue(Task("work"))

    async with at_work(redis_url, mux, queues=["default", "ticks"]), scheduler.running():
        await asyncio.to_thread(block)
        await recorder.until("process default", 1)
        await recorder.until("process ticks", 1)
    request = recorder.spans("request")[0]
    assert {trace_id(span) for span in recorder.spans() if span.name.endswith("default")} == {
        trace_id(request)
    }
    ticked = recorder.spans("send ticks")[0]
    assert ticked.parent is None
    assert trace_id(recorder.spans("process ticks")[0]) == trace_id(ticked)


async def test_baggage_arrives_also_where_the_trace_does_not_go_on(
    redis_url: str, recorder: Recorder
) -> None:
    """It is the program's own, and has nothing to do with how long something waited."""
    mux, seen = recorder.mux(child_within=0), []

    @mux.handle("work")
    async def work(task: Task) -> None:
        seen.append(baggage.get_baggage("tenant"))

    token = attach(baggage.set_baggage("tenant", "acme"))
    try:
        async with at_work(redis_url, mux) as (client, _):
            client.use(recorder.producer())
            await client.enqueue(Task("work"))
            detach(token)
            token = None
            await wait_until(lambda: seen, "the task to run")
    finally:
        if token is not None:
            detach(token)
    assert seen == ["acme"]


async def test_a_task_that_is_passed_on_does_not_pass_on_its_old_trace(
    redis_url: str, redis_client: Redis, recorder: Recorder
) -> None:
    """A handler that enqueues its own task hands its headers on; the context must be the new one."""
    mux, seen = recorder.mux(), []

    @mux.handle("again")
    async def again(task: Task) -> None:
        seen.append(task.headers["traceparent"])
        if len(seen) == 1:
            await client.enqueue(task)

    async with at_work(redis_url, mux) as (client, _):
        client.use(recorder.producer())
        await client.enqueue(Task("again", headers={"mine": "kept"}))
        await recorder.until("process", 2)
        await settled(redis_client, done=2)
    assert len({one.split("-")[1] for one in seen}) == 1
    assert len({one.split("-")[2] for one in seen}) == 2


async def test_odd_headers_hurt_nobody(redis_url: str, recorder: Recorder) -> None:
    """They come from Redis, where anybody may have put them."""
    mux = recorder.mux()
    mux.handle("work", _nothing)
    headers = {"traceparent": "nonsense", "tracestate": ",,=", "asyncq-sent-at": "yesterday"}
    async with at_work(redis_url, mux) as (client, _):
        await client.enqueue(Task("work", headers=headers))
        (span,) = await recorder.until("process", 1)
    assert span.parent is None
    assert not span.links
    assert "messaging.asyncq.task.wait" not in attributes(span)


def test_log_records_say_their_trace(recorder: Recorder) -> None:
    """Beside the fields of the task."""
    record = logging.makeLogRecord({})
    assert tracing.TraceFilter().filter(record)
    assert not hasattr(record, "trace_id")
    with recorder.tracer.start_as_current_span("x") as span:
        tracing.TraceFilter().filter(record)
    found = vars(record)
    assert found["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert found["span_id"] == f"{span.get_span_context().span_id:016x}"
