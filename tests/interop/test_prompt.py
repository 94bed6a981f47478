"""An idle server of ours begins at once with what Go enqueues, though Go tells nobody."""

from __future__ import annotations

import statistics
import time

from asyncq import Mux, Server, Task
from tests.integration.serving import inside
from tests.support.waiting import wait_until

from .driving import Go

_NEVER = 300.0


async def test_what_go_enqueues_is_heard(go: Go, redis_url: str) -> None:
    """Now, and for a second that comes earlier than all that was known."""
    began: dict[str, float] = {}
    late: list[float] = []
    mux = Mux()

    @mux.handle("mail")
    async def mail(task: Task) -> None:
        began[task.id] = time.perf_counter()

    server = Server(
        redis_url,
        wire="asynq",
        queues=["default", "low"],
        concurrency=10,
        task_check_interval=_NEVER,
        delayed_check_interval=_NEVER,
    )
    async with server.running(mux):
        (watcher,) = inside(server).watchers
        await wait_until(lambda: watcher.hears, "the server to hear")
        for number in range(20):
            sent = time.perf_counter()
            options = {"queue": ("default", "low")[number % 2], "task_id": f"now-{number}"}
            await go("enqueue", type="mail", payload=b"", options=options)
            await wait_until(lambda number=number: f"now-{number}" in began, "it to run")
            late.append(began[f"now-{number}"] - sent)
        for name, seconds in (("later", 3600), ("soon", 1)):
            await go("enqueue", type="mail", payload=b"", options={"process_in": seconds, "task_id": name})
        await wait_until(lambda: "soon" in began, "the delayed one to run")
        assert "later" not in began
    # With Go's own round trips in it, on a machine that may be busy; no look now and then is as soon.
    assert statistics.median(late) < 0.1
