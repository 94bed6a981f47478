"""asynqmon on what Python has put into Redis: which tasks and queues it shows, and what its buttons do."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from tests.support.waiting import wait_until

from .asynqmon import Asynqmon
from .python_side import PythonSide
from .sides import agreed, script

STATES = ("pending", "scheduled", "retry", "archived", "completed", "aggregating", "active")


async def fill(python: PythonSide) -> dict[str, str]:
    """Bring one task into each state; its id by state. The server goes on with the active one."""
    made: dict[str, str] = {}
    acts = {"retry": "fail", "archived": "skip", "completed": "succeed", "active": "block"}
    for state, act in acts.items():
        payload = script(act=act, text="no luck", result="42")
        made[state] = await python.enqueue("mail:send", payload, retention=600, max_retry=5, timeout=600)
    await python.serve(retry_delay=3600, queues={"default": 1})
    for state, task in made.items():
        await agreed([python], task, state=state)
    await python.pause()
    made["pending"] = await python.enqueue("mail:send", b'{"user": 1}')
    made["scheduled"] = await python.enqueue("mail:send", b'{"user": 2}', process_in=3600)
    made["aggregating"] = await python.enqueue("mail:send", b'{"user": 3}', group="g")
    return made


async def test_a_queue_and_the_tasks_in_every_state_are_shown(asynqmon: Asynqmon, python: PythonSide) -> None:
    """The numbers of the dashboard, a list of each state, and the page of each task."""
    made = await fill(python)
    (queue,) = (await asynqmon.get("/queues"))["queues"]
    assert {state: queue[state] for state in STATES} == dict.fromkeys(STATES, 1)
    shown = ("queue", "size", "groups", "processed", "succeeded", "failed", "paused")
    assert [queue[name] for name in shown] == ["default", 7, 1, 3, 1, 2, True]
    assert queue["memory_usage_bytes"] > 0
    assert 0 <= queue["latency_msec"] < 10_000
    (today,) = (await asynqmon.get("/queue_stats"))["stats"]["default"][:1]
    assert (today["processed"], today["failed"]) == (3, 2)
    for state, task in made.items():
        listing = f"/queues/default/{state}_tasks"
        if state == "aggregating":
            listing = "/queues/default/groups/g/aggregating_tasks"
        (listed,) = (await asynqmon.get(listing))["tasks"]
        page = await asynqmon.get(f"/queues/default/tasks/{task}")
        assert (listed["id"], page["id"], page["state"]) == (task, task, state)
        assert page["type"] == listed["type"] == "mail:send"


async def test_what_became_of_a_task_is_shown(asynqmon: Asynqmon, python: PythonSide) -> None:
    """Errors, results, times: what somebody opens asynqmon for."""
    made = await fill(python)
    retry = await asynqmon.get(f"/queues/default/tasks/{made['retry']}")
    assert "no luck" in retry["error_message"]
    assert (retry["retried"], retry["max_retry"], retry["timeout_seconds"]) == (1, 5, 600)
    assert in_seconds(retry["next_process_at"]) == pytest.approx(3600, abs=5)
    assert in_seconds(retry["last_failed_at"]) == pytest.approx(0, abs=5)
    completed = await asynqmon.get(f"/queues/default/tasks/{made['completed']}")
    assert completed["result"] == "42"
    assert completed["ttl_seconds"] == pytest.approx(600, abs=5)
    assert in_seconds(completed["completed_at"]) == pytest.approx(0, abs=5)
    pending = await asynqmon.get(f"/queues/default/tasks/{made['pending']}")
    assert pending["payload"] == '{"user": 1}'
    (active,) = (await asynqmon.get("/queues/default/active_tasks"))["tasks"]
    assert active["is_orphaned"] is False
    assert (await asynqmon.get("/queues/default/groups"))["groups"] == [{"group": "g", "size": 1}]


@pytest.mark.parametrize(
    ("method", "state", "action", "after"),
    [
        ("DELETE", "pending", "", None),
        ("POST", "pending", ":archive", "archived"),
        ("POST", "scheduled", ":run", "pending"),
        ("POST", "retry", ":run", "pending"),
        ("POST", "retry", ":archive", "archived"),
        ("POST", "archived", ":run", "pending"),
        ("DELETE", "completed", "", None),
        ("DELETE", "aggregating", "", None),
    ],
)
async def test_a_button_does_what_it_says(
    asynqmon: Asynqmon, python: PythonSide, method: str, state: str, action: str, after: str | None
) -> None:
    """And our inspector sees it."""
    task = (await fill(python))[state]
    where = "groups/g/aggregating_tasks" if state == "aggregating" else f"{state}_tasks"
    status, answer = await asynqmon.call(method, f"/queues/default/{where}/{task}{action}")
    assert status in (200, 204), answer
    await agreed([python], task, state=after)


async def test_a_queue_is_paused_and_resumed(asynqmon: Asynqmon, python: PythonSide) -> None:
    """By asynqmon, and our server obeys."""
    await python.serve()
    await python.run(await python.enqueue("a", b"1"))
    assert (await asynqmon.call("POST", "/queues/default:pause"))[0] == 204
    task = await python.enqueue("a", b"2")
    assert (await python.inspector.queues.get("default")).is_paused
    await agreed([python], task, state="pending")
    assert (await asynqmon.call("POST", "/queues/default:resume"))[0] == 204
    await python.run(task)


async def test_a_queue_is_removed(asynqmon: Asynqmon, python: PythonSide) -> None:
    """An empty one, and not one with tasks."""
    task = await python.enqueue("a", b"1", queue="old")
    assert (await asynqmon.call("DELETE", "/queues/old"))[0] == 400
    await python.act("delete", task, "old")
    assert (await asynqmon.call("DELETE", "/queues/old"))[0] == 204

    async def is_gone() -> bool:
        return "old" not in await python.inspector.queues.names()

    await wait_until(is_gone, "the queue to be gone")
    # What Go may leave of it, the doctor can put right.
    assert (await python.inspector.repair(await python.inspector.audit())).is_clean


async def test_the_page_itself_is_served(asynqmon: Asynqmon) -> None:
    """It is the real one, with its interface in it."""
    assert "<title>Asynq" in await asynqmon.page()


def in_seconds(text: str) -> float:
    """How far from now an instant of asynqmon is."""
    return abs(datetime.fromisoformat(text).timestamp() - time.time())
