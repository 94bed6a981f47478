"""What a killed server of one language held, the other one runs.

Go takes back a lease a minute after it was last extended, when it starts or once a minute. So a test does not
wait: it moves the leases into the past, and lets the server that recovers start after that.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.support.fleet import Fleet
from tests.support.ledger import Ledger
from tests.support.waiting import wait_until_sync

from .driving import Go
from .go_side import GoSide
from .python_side import PythonSide
from .sides import agreed, script

LEASE = "asynq:{default}:lease"
PASSED = 65
"""Seconds: the lease, and what is allowed for clocks that differ, are over."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Where Python's handlers note what they did."""
    made = Ledger(tmp_path / "ledger")
    yield made
    made.close()


@pytest.fixture
def fleet(redis_url: str, ledger: Ledger) -> Iterator[Fleet]:
    """Python servers that can be killed."""
    with Fleet(redis_url, ledger, wire="asynq") as started:
        yield started


@pytest.fixture
async def other_go(start_go: Callable[[], Awaitable[Go]]) -> AsyncIterator[GoSide]:
    """A second process of Go's, to be killed."""
    return GoSide(await start_go())


def let_time_pass(client: Redis, key: str = LEASE, seconds: float = PASSED) -> None:
    """Move all instants in a sorted set into the past."""
    members = client.zrange(key, 0, -1)
    assert members
    for member in members:
        client.zincrby(key, -seconds, member)


TASKS = 5


async def test_python_runs_what_a_killed_go_server_held(
    other_go: GoSide, python: PythonSide, redis_client: Redis
) -> None:
    """With no retry counted: nobody knows that a handler failed."""
    await other_go.serve()
    tasks = [
        await python.enqueue("a", script(act="block"), task_id=f"t{n}", retention=60) for n in range(TASKS)
    ]
    for task in tasks:
        await other_go.run(task)
    await other_go.go.kill()
    let_time_pass(redis_client)
    for task in tasks:
        orphan = await python.inspector.tasks.get("default", task)
        assert orphan.state == "active"
        assert orphan.is_orphaned
    await python.serve()
    for task in tasks:
        assert (await python.run(task)).retried == 0
    assert redis_client.llen("asynq:{default}:active") == TASKS


async def test_python_leaves_a_go_server_what_it_may_still_hold(
    other_go: GoSide, python: PythonSide, redis_client: Redis
) -> None:
    """Its clock may be wrong by half a minute, as Go's servers allow each other."""
    await other_go.serve()
    task = await python.enqueue("a", script(act="block"), task_id="held")
    await other_go.run(task)
    await other_go.go.kill()
    let_time_pass(redis_client, seconds=45)
    await python.serve()
    await python.run(await python.enqueue("a", b"1"))
    await agreed([python], task, state="active")


async def test_go_runs_what_a_killed_python_server_held(
    golang: GoSide, fleet: Fleet, ledger: Ledger, redis_client: Redis
) -> None:
    """As Go does it: with the error of a lost lease, and a retry counted."""
    member = fleet.start()
    payload = json.dumps({"until": "/nowhere"}).encode()
    tasks = [await golang.enqueue("work", payload, task_id=f"t{n}", retention=60) for n in range(4)]
    wait_until_sync(lambda: ledger.count("begin") == len(tasks), "Python to be at work")
    fleet.kill(member)
    let_time_pass(redis_client)
    for listed in await golang.go("list", state="active", queue="default"):
        assert listed["is_orphaned"]
    await golang.serve()
    for task in tasks:
        assert (await golang.run(task)).retried == 1
        await agreed([golang], task, state="completed", last_error="lease expired")


async def test_a_python_server_that_was_frozen_leaves_go_its_task(
    golang: GoSide, fleet: Fleet, ledger: Ledger, redis_client: Redis, tmp_path: Path
) -> None:
    """What it brings too late is refused: the fence holds though Go knows nothing of it."""
    member = fleet.start()
    gate = tmp_path / "gate"
    payload = json.dumps({"until": str(gate)}).encode()
    task = await golang.enqueue("work", payload, task_id="t", retention=60)
    wait_until_sync(lambda: ledger.count("begin") == 1, "Python to be at work")
    member.pause()
    let_time_pass(redis_client)
    await golang.serve()
    view = await agreed([golang], task, state="completed", retried=1)
    await golang.shut_down()
    gate.touch()
    member.resume()
    late = {"not_owner", "lease_lost"}
    wait_until_sync(lambda: late & {e.detail for e in ledger.entries()}, "Python to see that it is too late")
    assert await golang.view(task) == view


async def test_python_stands_a_late_go_server(
    golang: GoSide, python: PythonSide, redis_client: Redis, tmp_path: Path
) -> None:
    """Go has no fence: it settles what Python runs again by now. Python drops its outcome and goes on."""
    gate, later = tmp_path / "gate", tmp_path / "later"
    # With one slot, which is taken: Go looks every 10 ms, and may be quicker when the task waits again.
    await golang.serve(shutdown=10, concurrency=1)
    payload = script(go_until=str(gate), python_until=str(later))
    task = await golang.enqueue("a", payload, task_id="t", retention=60)
    await golang.run(task)
    let_time_pass(redis_client)
    await python.serve()
    await python.run(task)
    gate.touch()
    await golang.go.event("end", task=task)
    await golang.shut_down()
    view = await agreed([golang, python], task, state="completed")
    later.touch()
    await python.shut_down()
    assert await golang.view(task) == view
    await python.serve()
    await python.run(await python.enqueue("a", b"2", task_id="next"))
    await agreed([golang, python], "next", state=None)
    assert not redis_client.exists(LEASE, "asynq:{default}:active", "asynq:{default}:pending")


async def test_python_aggregates_what_a_killed_go_server_was_aggregating(
    other_go: GoSide, python: PythonSide, redis_client: Redis
) -> None:
    """The tasks go back into their group, and the group is known again."""
    await other_go.serve(group={"max_size": 2, "hold": 600})
    for number in (b"1", b"2"):
        await python.enqueue("part", number, group="g")
    await other_go.parts("g")
    await other_go.go.kill()
    let_time_pass(redis_client, "asynq:{default}:aggregation_sets", 150)
    await python.serve(group={"max_size": 2})
    assert sorted(await python.parts("g")) == [b"1", b"2"]


async def test_go_aggregates_what_a_killed_python_server_was_aggregating(
    golang: GoSide, fleet: Fleet, ledger: Ledger, redis_client: Redis
) -> None:
    """Go puts the tasks back and forgets the group (a defect of its own); any further task brings it back."""
    member = fleet.start(aggregate=True, group_max_size=2)
    for number in range(2):
        payload = json.dumps({"number": number, "hold": 600}).encode()
        await golang.enqueue("part", payload, group="g")
    wait_until_sync(lambda: ledger.count("aggregating") == 1, "Python to aggregate")
    fleet.kill(member)
    let_time_pass(redis_client, "asynq:{default}:aggregation_sets", 150)
    await golang.serve(group={"max_size": 3})
    wait_until_sync(lambda: redis_client.zcard("asynq:{default}:g:g") == 2, "Go to put them back")
    await golang.enqueue("part", b"3", group="g")
    assert len(await golang.parts("g")) == 3
