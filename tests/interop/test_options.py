"""Every option of a task, from one language to the other."""

from __future__ import annotations

import time
from typing import Any

import pytest

from .sides import Side, agreed, script, soon

Pair = tuple[Side, Side]

PAYLOADS = {
    "JSON": b'{"user": "Zo\xc3\xab"}',
    "bytes": bytes(range(256)),
    "empty": b"",
    "long": b"x" * 100_000,
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
async def test_a_payload_arrives_as_it_is(pair: Pair, payload: bytes) -> None:
    """Whatever the bytes are; for Go they are always only bytes."""
    producer, worker = pair
    task = await producer.enqueue("mail:send", payload, task_id="t", retention=60)
    await agreed(pair, task, state="pending", payload=payload, type="mail:send")
    await worker.serve()
    run = await worker.run(task)
    assert (run.payload, run.type, run.task) == (payload, "mail:send", task)
    await agreed(pair, task, state="completed", payload=payload)


OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "none": ({}, {"max_retry": 25, "timeout": 1800, "deadline": None, "retention": 0}),
    "max_retry": ({"max_retry": 3}, {"max_retry": 3}),
    "no retries": ({"max_retry": 0}, {"max_retry": 0}),
    "timeout": ({"timeout": 90}, {"timeout": 90}),
    "retention": ({"retention": 600}, {"retention": 600}),
}


@pytest.mark.parametrize(("options", "seen"), OPTIONS.values(), ids=OPTIONS)
async def test_an_option_is_seen_by_both_and_by_the_handler(
    pair: Pair, options: dict[str, Any], seen: dict[str, Any]
) -> None:
    """Both inspectors and the other one's handler agree on what was said."""
    producer, worker = pair
    task = await producer.enqueue("a", b"1", **options)
    await agreed(pair, task, state="pending", **seen)
    before = time.time()
    await worker.serve()
    run = await worker.run(task)
    if "max_retry" in seen:
        assert run.max_retry == seen["max_retry"]
    if "timeout" in seen and not options.get("deadline"):
        assert run.deadline is not None
        assert run.deadline - before == pytest.approx(seen["timeout"], abs=3)
    await agreed(pair, task, state="completed" if options.get("retention") else None)


async def test_a_deadline_is_the_same_instant(pair: Pair) -> None:
    """To the second."""
    producer, worker = pair
    deadline = soon(500)
    task = await producer.enqueue("a", b"1", deadline=deadline)
    view = await agreed(pair, task, state="pending", deadline=int(deadline))
    assert view is not None
    await worker.serve()
    assert (await worker.run(task)).deadline == deadline


async def test_the_earlier_of_timeout_and_deadline_counts(pair: Pair) -> None:
    """Here the timeout does."""
    producer, worker = pair
    task = await producer.enqueue("a", b"1", deadline=soon(500), timeout=60)
    await agreed(pair, task, state="pending", timeout=60)
    await worker.serve()
    deadline = (await worker.run(task)).deadline
    assert deadline is not None
    assert deadline - time.time() == pytest.approx(60, abs=3)


async def test_headers_arrive(pair: Pair) -> None:
    """With empty names and values, too: protobuf always writes both."""
    producer, worker = pair
    headers = {"trace": "0af7651916cd", "empty": "", "snowman": "☃"}
    task = await producer.enqueue("a", b"1", headers)
    await agreed(pair, task, state="pending", headers=headers)
    await worker.serve()
    assert (await worker.run(task)).headers == headers


async def test_a_queue_of_its_own(pair: Pair) -> None:
    """The other one's server finds it, by weight as well as strictly."""
    producer, worker = pair
    task = await producer.enqueue("a", b"1", queue="low")
    await agreed(pair, task, "low", state="pending")
    await worker.serve(queues={"critical": 6, "low": 1}, strict=True)
    assert (await worker.run(task)).queue == "low"
    await agreed(pair, task, "low", state=None)


@pytest.mark.parametrize("how", ["process_at", "process_in"])
async def test_a_scheduled_task_is_due_at_the_same_second(pair: Pair, how: str) -> None:
    """Both see when, and the other one's server takes it when it is."""
    producer, worker = pair
    far = await producer.enqueue("a", b"1", **{how: soon(3600) if how == "process_at" else 3600})
    view = await agreed(pair, far, state="scheduled")
    assert view is not None
    assert view.due == pytest.approx(time.time() + 3600, abs=3)
    near = await producer.enqueue("a", b"1", **{how: soon(2) if how == "process_at" else 1})
    began = time.time()
    await worker.serve()
    await worker.run(near)
    # Go cuts the due time to whole seconds, and so is early by one at the most.
    assert time.time() - began < 10
    await agreed(pair, near, state=None)
    await agreed(pair, far, state="scheduled")


async def test_a_time_in_the_past_is_now(pair: Pair) -> None:
    """It is pending at once."""
    producer, _ = pair
    await agreed(pair, await producer.enqueue("a", b"1", process_at=soon(-5)), state="pending")


async def test_an_id_is_taken_only_once(pair: Pair) -> None:
    """By whichever language comes first."""
    producer, other = pair
    assert await producer.enqueue("a", b"1", task_id="mine") == "mine"
    with pytest.raises(Exception, match="conflict"):
        await other.enqueue("b", b"2", task_id="mine")
    await agreed(pair, "mine", state="pending", type="a", payload=b"1")


async def test_a_result_is_kept_and_read(pair: Pair) -> None:
    """What the one's handler writes, the other's inspector shows."""
    producer, worker = pair
    task = await producer.enqueue("a", script(result="sent to 3"), retention=60)
    await worker.serve()
    view = await agreed(pair, task, state="completed", result=b"sent to 3")
    assert view is not None
    assert view.completed_at == pytest.approx(time.time(), abs=3)
