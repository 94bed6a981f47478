"""What the inspector of one language does to the tasks of the other."""

from __future__ import annotations

import pytest
from redis import Redis

from tests.support.waiting import wait_until

from .sides import RefusedError, Side, agreed, script

Pair = tuple[Side, Side]
OPTIONS = {"pending": {}, "scheduled": {"process_in": 3600}, "aggregating": {"group": "g"}}


async def in_state(producer: Side, state: str, number: int = 0) -> str:
    """Bring a task into a state, with the producer's own means."""
    name = f"{state}-{number}"
    if state in OPTIONS:
        return await producer.enqueue("a", b"1", task_id=name, **OPTIONS[state])
    act = {"retry": "fail", "archived": "skip", "completed": "succeed", "active": "block"}[state]
    await producer.enqueue("a", script(act=act, text="no"), task_id=name, retention=600)
    if not number:
        await producer.serve(retry_delay=3600)
    await agreed([producer], name, state=state)
    return name


DONE = {
    ("run", "scheduled"): "pending",
    ("run", "retry"): "pending",
    ("run", "archived"): "pending",
    ("run", "completed"): "pending",
    ("run", "aggregating"): "pending",
    ("archive", "pending"): "archived",
    ("archive", "scheduled"): "archived",
    ("archive", "retry"): "archived",
    ("archive", "aggregating"): "archived",
    ("delete", "pending"): None,
    ("delete", "scheduled"): None,
    ("delete", "retry"): None,
    ("delete", "archived"): None,
    ("delete", "completed"): None,
    ("delete", "aggregating"): None,
}


@pytest.mark.parametrize(("action", "state"), DONE)
async def test_one_task_is_acted_upon(pair: Pair, action: str, state: str) -> None:
    """Both then see it where it belongs, and nowhere else."""
    producer, other = pair
    task = await in_state(producer, state)
    if state in ("retry", "archived", "completed"):
        await producer.shut_down()
    await other.act(action, task)
    await agreed(pair, task, state=DONE[action, state])
    for side in pair:
        assert await side.views(state, group="g" if state == "aggregating" else "") == []


@pytest.mark.parametrize(
    ("action", "state"),
    [("run", "active"), ("delete", "active"), ("archive", "archived"), ("run", "pending")],
)
async def test_what_may_not_be_is_refused(pair: Pair, action: str, state: str) -> None:
    """And changes nothing."""
    producer, other = pair
    task = await in_state(producer, state)
    with pytest.raises(RefusedError, match="wrong state"):
        await other.act(action, task)
    await agreed(pair, task, state=state)


ALL = [
    *(("run", state) for state in ("scheduled", "retry", "archived", "aggregating")),
    *(("archive", state) for state in ("pending", "scheduled", "retry", "aggregating")),
    *(
        ("delete", state)
        for state in ("pending", "scheduled", "retry", "archived", "completed", "aggregating")
    ),
]


@pytest.mark.parametrize(("action", "state"), ALL)
async def test_all_of_a_state_are_acted_upon(pair: Pair, action: str, state: str) -> None:
    """Three of them, made by the other language."""
    producer, other = pair
    tasks = [await in_state(producer, state, number) for number in range(3)]
    if state in ("retry", "archived", "completed"):
        await producer.shut_down()
    assert await other.act_on_all(action, state, group="g" if state == "aggregating" else "") == 3
    for task in tasks:
        await agreed(pair, task, state=DONE[action, state])


async def test_a_payload_is_changed_by_the_other(pair: Pair) -> None:
    """Go does it to scheduled tasks only; what else the message says stays."""
    producer, other = pair
    options = {"process_in": 3600, "max_retry": 7, "timeout": 90, "retention": 60}
    task = await producer.enqueue("a", b'{"n": 1}', {"k": "v"}, **options)
    before = await agreed(pair, task, state="scheduled")
    await other.edit(task, b'{"n": 2}')
    after = await agreed(pair, task, state="scheduled", payload=b'{"n": 2}', headers={"k": "v"})
    assert before is not None
    assert after is not None
    assert (after.max_retry, after.timeout, after.due) == (7, 90, before.due)
    await other.act("run", task)
    await producer.serve()
    assert (await producer.run(task)).payload == b'{"n": 2}'


async def test_a_running_attempt_is_cancelled(pair: Pair, redis_client: Redis) -> None:
    """The one asks, the other's handler stops; as Go has it, that is a failure and is tried again."""
    asker, worker = pair
    task = await asker.enqueue("a", script(act="block"), max_retry=5)
    await worker.serve(retry_delay=3600)
    await worker.run(task)
    # It is a message and no more: who does not listen yet does not hear it.
    await wait_until(lambda: redis_client.pubsub_numsub("asynq:cancel")[0][1], "the worker to listen")
    await asker.act("cancel", task)
    await agreed(pair, task, state="retry", retried=1, last_error="cancel")


async def test_a_paused_queue_rests_for_both(pair: Pair) -> None:
    """Nothing is taken until the other one lets it."""
    pauser, worker = pair
    first = await pauser.enqueue("a", b"1")
    await pauser.pause()
    await worker.serve(queues={"default": 1, "other": 1})
    # That something else was taken shows that the server has looked.
    second = await pauser.enqueue("a", b"2", queue="other")
    await worker.run(second)
    await agreed(pair, first, state="pending")
    await worker.unpause()
    await worker.run(first)
