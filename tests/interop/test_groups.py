"""Groups that one language fills and the other aggregates."""

from __future__ import annotations

import json

from .sides import Side, agreed

Pair = tuple[Side, Side]


async def test_a_full_group_becomes_one_task(pair: Pair) -> None:
    """Both see it gather; the one that aggregates makes a task of all, and the parts are gone."""
    producer, worker = pair
    payloads = [b"%d" % number for number in range(3)]
    tasks = [await producer.enqueue("part", payload, group="g") for payload in payloads]
    for task in tasks:
        await agreed(pair, task, state="aggregating", group="g")
    for side in pair:
        assert sorted(view.id for view in await side.views("aggregating", group="g")) == sorted(tasks)
        assert await side.groups() == {"g": 3}
    await worker.serve(group={"max_size": 3, "into": {"task_id": "whole", "retention": 60}})
    run = await worker.run("whole")
    assert json.loads(run.payload)["group"] == "g"
    await agreed(pair, "whole", state="completed")
    for task in tasks:
        await agreed(pair, task, state=None)
    for side in pair:
        assert await side.groups() == {}


async def test_both_fill_one_group(pair: Pair) -> None:
    """Which language a part came from makes no difference."""
    one, other = pair
    await one.enqueue("part", b"1", group="g")
    await other.enqueue("part", b"2", group="g")
    await other.serve(group={"max_size": 2})
    assert sorted(await other.parts("g")) == [b"1", b"2"]
