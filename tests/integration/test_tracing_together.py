"""Traces of many tasks at once, of groups, and through another process."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind

from asyncq import Client, Server, Task, tracing
from asyncq.errors import TaskIdConflictError
from tests.conftest import AnyRedis
from tests.integration.serving import at_work
from tests.support.spans import Recorder, attributes, links, span_id


@pytest.fixture
def recorder() -> Recorder:
    """Nothing recorded yet."""
    return Recorder()


async def _nothing(task: Task) -> None:
    """Succeed."""


async def test_many_tasks_are_many_spans_or_one(any_redis: AnyRedis, recorder: Recorder) -> None:
    """As the program likes: a million spans for a million tasks help nobody."""
    mux = recorder.mux()
    mux.handle("work", _nothing)
    async with Client(any_redis.url, middleware=[recorder.producer()]) as client:

        async def send(count: int, **options: Any) -> int:
            outcomes = [
                one async for one in client.enqueue_many((Task("work") for _ in range(count)), **options)
            ]
            return sum(one.is_enqueued for one in outcomes)

        await send(3)
        assert [span.name for span in recorder.spans()] == ["send default"] * 3
        with tracing.batch(tracer_provider=recorder.provider) as span:
            assert span.is_recording()
            assert await send(5) == 5
            assert await send(2, task_id="same") == 1
        (batch,) = recorder.spans()[3:]
        assert (batch.name, batch.kind) == ("send default", SpanKind.PRODUCER)
        assert attributes(batch)["messaging.batch.message_count"] == 6
        assert attributes(batch)["messaging.asyncq.batch.refused"] == 1
        with tracing.batch("import", per_task=True, tracer_provider=recorder.provider):
            await send(2)
        *created, imported = recorder.spans()[4:]
        assert [span.name for span in created] == ["create default"] * 2
        assert (imported.name, imported.kind) == ("import", SpanKind.CLIENT)
        assert {span.parent.span_id for span in created if span.parent} == {span_id(imported)}
        async with Server(any_redis.url).running(mux):
            processed = await recorder.until("process", 11)
    parents = [span.parent.span_id for span in processed if span.parent]
    assert parents.count(span_id(batch)) == 6
    assert {span_id(span) for span in created} <= set(parents)


async def test_a_batch_that_fails_says_so(redis_url: str, recorder: Recorder) -> None:
    """And a batch without an SDK is nothing."""
    with tracing.batch() as span:
        assert not span.is_recording()
    with pytest.raises(KeyError), tracing.batch(tracer_provider=recorder.provider):
        raise KeyError("x")
    (batch,) = recorder.spans()
    assert attributes(batch)["error.type"] == "KeyError"


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_group_is_linked_to_those_who_sent_its_tasks(
    redis_url: str, recorder: Recorder, kind: str
) -> None:
    """And what comes of it goes on from there."""
    mux = recorder.mux()
    mux.handle("digest", _nothing)

    def gather(group: str, tasks: list[Task]) -> Task:
        return Task("digest", [task.payload for task in tasks], headers={"x": "y"})

    async def gather_later(group: str, tasks: list[Task]) -> Task:
        return gather(group, tasks)

    aggregate = tracing.aggregator(
        gather if kind == "thread" else gather_later, tracer_provider=recorder.provider
    )
    async with at_work(redis_url, mux, group_aggregator=aggregate, group_grace_period=0.05) as (client, _):
        client.use(recorder.producer())
        await client.enqueue(Task("mail", 1), group="g")
        await client.enqueue(Task("mail", 2), group="g")
        await recorder.until("process", 1)
    gathered = recorder.spans("aggregate")
    linked = {one for span in gathered for one in links(span)}
    assert linked == {span_id(span) for span in recorder.spans("send")}
    assert attributes(gathered[0])["messaging.asyncq.group"] == "g"
    first = recorder.spans("process")[0]
    assert first.parent is not None
    assert first.parent.span_id in {span_id(span) for span in gathered}


async def test_a_trace_goes_through_another_process(redis_url: str, recorder: Recorder) -> None:
    """Which is what it is all about."""
    program = (
        "import asyncio, json, sys\n"
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from asyncq import Mux, Server, Task, tracing\n"
        "trace.set_tracer_provider(TracerProvider())\n"
        "mux = Mux()\n"
        "mux.use(tracing.consumer())\n"
        "async def main(url):\n"
        "    done = asyncio.Event()\n"
        "    @mux.handle('work')\n"
        "    async def work(task):\n"
        "        context = trace.get_current_span().get_span_context()\n"
        "        print(json.dumps([f'{context.trace_id:032x}', dict(task.headers)]), flush=True)\n"
        "        done.set()\n"
        "    async with Server(url).running(mux):\n"
        "        await done.wait()\n"
        "asyncio.run(main(sys.argv[1]))\n"
    )
    async with Client(redis_url, middleware=[recorder.producer()]) as client:
        await client.enqueue(Task("work"))
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", program, redis_url],
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    in_trace, headers = json.loads(done.stdout)
    (sent,) = recorder.spans("send")
    context = trace.get_current_span(propagate.extract(headers)).get_span_context()
    assert context.span_id == span_id(sent)
    assert set(headers) == {"traceparent", "asyncq-sent-at"}
    # The child began within ten seconds of being sent, unless the machine is very busy.
    waited = headers["asyncq-sent-at"]
    assert float(waited) > 0
    assert len(in_trace) == 32


async def test_an_error_of_the_client_goes_through(redis_url: str, recorder: Recorder) -> None:
    """Unchanged, whether in a batch or not."""
    async with Client(redis_url, middleware=[recorder.producer()]) as client:
        await client.enqueue(Task("work"), task_id="one")
        with pytest.raises(TaskIdConflictError), tracing.batch(tracer_provider=recorder.provider):
            await client.enqueue(Task("work"), task_id="one")
    assert [span.name for span in recorder.spans()] == ["send default", "send"]
