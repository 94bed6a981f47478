"""Go with Go: what the other tests of this folder lean on does what it says."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.support.waiting import wait_until

from .driving import Go, GoCallError

SERVER = {"name": "a", "concurrency": 4, "check": 0.01, "delayed": 0.05, "retry_delay": 0, "shutdown": 1}


def script(**what: object) -> bytes:
    """Make the payload that tells Go's handler what to do."""
    return json.dumps(what).encode()


async def test_a_task_is_run_and_kept_with_its_result(go: Go) -> None:
    """Every option reaches Go's client, and the inspector shows the task."""
    deadline = int(time.time()) + 600
    await go("start_server", **SERVER, queues={"critical": 2})
    info = await go(
        "enqueue",
        type="mail",
        payload=script(result="sent"),
        headers={"trace": "7"},
        options={
            "queue": "critical",
            "max_retry": 3,
            "timeout": 60,
            "deadline": deadline,
            "unique": 100,
            "task_id": "one",
            "retention": 60,
        },
    )
    assert (info["id"], info["queue"], info["max_retry"]) == ("one", "critical", 3)
    run = await go.event("run", task="one")
    assert run["headers"] == {"trace": "7"}
    await go.event("end", task="one", outcome="ok")
    await go("shutdown_server", name="a")
    done = await go("task", queue="critical", id="one")
    assert (done["state"], done["result"], done["deadline"]) == ("completed", b"sent", deadline)


@pytest.mark.parametrize(
    ("act", "outcome", "state"),
    [
        ("fail", "no", "archived"),
        ("skip", "no: skip retry for the task", "archived"),
        ("revoke", "no: revoke task", None),
        ("panic", "panic", "archived"),
    ],
)
async def test_a_script_ends_as_it_says(go: Go, act: str, outcome: str, state: str | None) -> None:
    """Every way in which a handler of Go's can end."""
    await go("start_server", **SERVER)
    await go(
        "enqueue", type="x", payload=script(act=act, text="no"), options={"task_id": "t", "max_retry": 0}
    )
    end = await go.event("end", task="t")
    await go("shutdown_server", name="a")
    assert end["outcome"] == outcome
    if state is not None:
        assert (await go("task", queue="default", id="t"))["state"] == state
        return
    with pytest.raises(GoCallError) as refused:
        await go("task", queue="default", id="t")
    assert refused.value.kind == "task not found"


async def test_a_group_is_aggregated(go: Go) -> None:
    """Go's smallest grace period is a second, so these tests wait for the size."""
    await go("start_server", **SERVER, group={"grace": 1, "max_size": 2})
    for number in (b"1", b"2"):
        await go("enqueue", type="x", payload=number, options={"group": "g"})
    aggregate = await go.event("aggregate", group="g")
    # Go orders by whole seconds.
    assert sorted(aggregate["payloads"]) == [b"1", b"2"]
    assert (await go.event("run", type="aggregated"))["queue"] == "default"


async def test_a_scheduler_enqueues(go: Go) -> None:
    """Its entries and what it enqueued are shown."""
    task = {"type": "x", "options": {"queue": "q"}}
    # Twice its heartbeat is what Go keeps them for, in whole seconds; less is an error to Redis.
    ids = await go("start_scheduler", name="s", heartbeat=1, entries=[{"spec": "@every 1s", "task": task}])

    async def are_shown() -> bool:
        return [entry["id"] for entry in await go("entries")] == ids

    enqueued = await go.event("enqueued")
    await wait_until(are_shown, "the entries to be shown")
    assert [event["TaskID"] for event in await go("events", id=ids[0])] == [enqueued["task"]]


async def test_a_killed_process_says_so(start_go: Callable[[], Awaitable[Go]]) -> None:
    """Calls that nobody will answer fail at once, and what was running is left active."""
    go, other = await start_go(), await start_go()
    await go("start_server", **SERVER)
    await other("enqueue", type="x", payload=script(act="block"), options={"task_id": "t"})
    await go.event("run", task="t")
    await go.kill()
    with pytest.raises(ConnectionError):
        await go("queues")
    assert (await other("task", queue="default", id="t"))["state"] == "active"
