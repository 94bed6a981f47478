"""Locks of unique tasks, over both languages."""

from __future__ import annotations

import pytest
from redis import Redis

from .sides import RefusedError, Side, agreed, script

Pair = tuple[Side, Side]


@pytest.mark.parametrize("payload", [b'{"id": 1}', b""], ids=["with a payload", "without"])
async def test_a_lock_of_the_one_holds_for_the_other(pair: Pair, payload: bytes) -> None:
    """Until the task has succeeded; then either may take it."""
    producer, other = pair
    task = await producer.enqueue("a", payload, unique=600)
    for side in pair:
        with pytest.raises(RefusedError, match="duplicate"):
            await side.enqueue("a", payload, unique=600)
    await other.enqueue("b", payload, unique=600)
    await other.serve()
    await other.run(task)
    await agreed(pair, task, state=None)
    await other.shut_down()
    await other.enqueue("a", payload, unique=600)
    with pytest.raises(RefusedError, match="duplicate"):
        await producer.enqueue("a", payload, unique=600)


async def test_a_retry_keeps_its_lock(pair: Pair) -> None:
    """What failed will run again, so another one would be too many."""
    producer, worker = pair
    payload = script(act="fail", text="no")
    task = await producer.enqueue("a", payload, unique=600)
    await worker.serve(retry_delay=600)
    await agreed(pair, task, state="retry")
    with pytest.raises(RefusedError, match="duplicate"):
        await worker.enqueue("a", payload, unique=600)


async def test_the_lock_of_a_delayed_task_lasts_until_then(pair: Pair, redis_client: Redis) -> None:
    """Its life is the delay and what was asked for."""
    producer, other = pair
    await producer.enqueue("a", b"1", unique=60, process_in=3600)
    with pytest.raises(RefusedError, match="duplicate"):
        await other.enqueue("a", b"1", unique=60)
    (lock,) = redis_client.scan_iter("asynq:{default}:unique:*")
    assert 3655 <= redis_client.ttl(lock) <= 3661


async def test_deleting_a_task_frees_its_lock(pair: Pair) -> None:
    """Whoever deletes it."""
    producer, other = pair
    task = await producer.enqueue("a", b"1", unique=600)
    await other.act("delete", task)
    await agreed(pair, task, state=None)
    await producer.enqueue("a", b"1", unique=600)
