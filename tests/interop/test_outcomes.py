"""How an attempt ends in one language, and what the other makes of it."""

from __future__ import annotations

import time

import pytest

from tests.support.waiting import wait_until

from .sides import Side, agreed, script, soon

Pair = tuple[Side, Side]


async def test_a_failed_attempt_is_retried(pair: Pair) -> None:
    """With the error and the time of the failure in the message that both read."""
    producer, worker = pair
    task = await producer.enqueue("a", script(act="fail", text="no luck"), max_retry=5)
    await worker.serve(retry_delay=600)
    view = await agreed(pair, task, state="retry", retried=1, last_error="no luck")
    assert view is not None
    assert view.failed_at == pytest.approx(time.time(), abs=3)
    assert view.due == pytest.approx(time.time() + 600, abs=4)


async def test_retries_are_counted_on_by_the_other(pair: Pair) -> None:
    """The one fails, the other goes on where it left off, and the third attempt succeeds."""
    producer, worker = pair
    task = await producer.enqueue("a", script(act="fail", text="no", times=2), max_retry=5, retention=60)
    await producer.serve(retry_delay=600)
    await agreed(pair, task, state="retry", retried=1)
    await producer.shut_down()
    await worker.act("run", task)
    await worker.serve(retry_delay=600)
    assert (await worker.run(task)).retried == 1
    await agreed(pair, task, state="retry", retried=2)
    await worker.shut_down()
    await producer.act("run", task)
    await producer.serve()
    assert (await producer.run(task, 1)).retried == 2
    await agreed(pair, task, state="completed", retried=2, last_error="no")


@pytest.mark.parametrize(
    ("payload", "max_retry", "state"),
    [
        (script(act="fail", text="out"), 0, "archived"),
        (script(act="panic", text="out"), 0, "archived"),
        (script(act="skip", text="out"), 9, "archived"),
        (script(act="revoke", text="out"), 9, None),
    ],
    ids=["out of retries", "panic", "SkipRetry", "RevokeTask"],
)
async def test_the_end_of_a_task(pair: Pair, payload: bytes, max_retry: int, state: str | None) -> None:
    """Archived with its error, or gone."""
    producer, worker = pair
    task = await producer.enqueue("a", payload, max_retry=max_retry, retention=60)
    await worker.serve()
    await worker.run(task)
    view = await agreed(pair, task, state=state)
    if state is not None:
        assert view is not None
        assert "out" in view.last_error
        assert view.retried == 0


async def test_a_task_whose_time_is_up_is_retried(pair: Pair) -> None:
    """The timeout that the one gave stops the handler of the other."""
    producer, worker = pair
    task = await producer.enqueue("a", script(act="block"), timeout=1)
    await worker.serve(retry_delay=600)
    await worker.run(task)
    view = await agreed(pair, task, state="retry", retried=1)
    assert view is not None
    assert view.last_error


async def test_a_task_after_its_deadline_fails_unrun(pair: Pair) -> None:
    """No handler sees it; out of retries it is archived."""
    producer, worker = pair
    task = await producer.enqueue("a", b"1", deadline=soon(-1), max_retry=0)
    other = await producer.enqueue("a", b"2")
    await worker.serve()
    await worker.run(other)
    await agreed(pair, task, state="archived", last_error="deadline")
    assert [run.task for run in worker.runs()] == [other]


async def test_what_a_server_hands_back_is_taken_by_the_other(pair: Pair) -> None:
    """A server that leaves requeues what it could not finish, and no retry is counted."""
    producer, worker = pair
    task = await producer.enqueue("a", script(act="block"))
    await producer.serve(shutdown=0.2)
    await producer.run(task)
    await producer.shut_down()
    await agreed(pair, task, state="pending", retried=0, last_error="")
    await worker.serve()
    assert (await worker.run(task)).retried == 0


async def test_both_count_what_was_processed(pair: Pair) -> None:
    """The numbers of a queue are one account, kept by both."""
    producer, worker = pair
    for number in range(6):
        await producer.enqueue("a", script(act="skip" if number % 2 else "", text="no"))
    await worker.serve()

    async def is_counted() -> bool:
        numbers = [await side.numbers() for side in pair]
        return all(seen == {"processed": 6, "failed": 3, "archived": 3, "size": 3} for seen in numbers)

    await wait_until(is_counted, "the numbers of both")
