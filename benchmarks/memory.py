"""How much memory does a pending task take?

The issue's number: at most 0.75 of Go asynq's for the same payload of 100 bytes, as
bytes of `used_memory` for each of many pending tasks, place in the queue included. On the
embedded server and on the system's, because their allocators differ. Go's tasks are
enqueued by Go asynq itself if Go is there, and otherwise written as it writes them
(`codec.py`), which gives the same number.
"""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable

from _bench import Bench, RedisServer, run
from _go import GoAsynq, go_asynq
from _product import fill
from codec import LAYOUTS, settled_memory, task_ids, write_tasks

GO_LAYOUT = next(iter(LAYOUTS))


async def bytes_each(bench: Bench, count: int, enqueue: Callable[[], Awaitable[object]]) -> float:
    """Bytes for each of the `count` tasks that `enqueue` puts in."""
    bench.server.flush()
    before = settled_memory(bench)
    await enqueue()
    used = (settled_memory(bench) - before) / count
    bench.server.flush()
    return used


async def on_one_server(bench: Bench, go: GoAsynq | None, name: str) -> None:
    """All layouts on the benchmark's present server."""
    count = bench.size(100_000)

    async def by_hand() -> None:
        prefix, length, layout = LAYOUTS[GO_LAYOUT]
        ids = task_ids(length, count)
        for start in range(0, count, 1000):
            write_tasks(bench, prefix, ids[start : start + 1000], layout)

    # What the first call of a client brings is not of the tasks: its script, compiled, is 0.3 MB.
    await fill(bench.server.url, 1000)
    if go is not None:
        await go.call(bench, "fill", 1000, 100)
    rows = {
        "asyncq": {"bytes": await bytes_each(bench, count, lambda: fill(bench.server.url, count))},
        "Go asynq's layout, by hand": {"bytes": await bytes_each(bench, count, by_hand)},
    }
    theirs = rows["Go asynq's layout, by hand"]["bytes"]
    if go is not None:
        program = go
        used = await bytes_each(bench, count, lambda: program.call(bench, "fill", count, 100))
        rows["Go asynq"] = {"bytes": used}
        theirs = used
    for row in rows.values():
        row["of Go asynq"] = row["bytes"] / theirs
    bench.table(f"A pending task with 100 bytes, {name}", rows)
    bench.judge(f"memory of Go asynq's, {name}", rows["asyncq"]["of Go asynq"], most=0.75)


async def measure(bench: Bench) -> None:
    """The embedded server, then the system's."""
    go = go_asynq(bench)
    await on_one_server(bench, go, bench.server.version())
    if bench.kind == "embedded" and (shutil.which("redis-server") or shutil.which("valkey-server")):
        own, bench.server = bench.server, RedisServer("system")
        try:
            await on_one_server(bench, go, bench.server.version())
        finally:
            bench.server.stop()
            bench.server = own


if __name__ == "__main__":
    run("memory", measure, rounds=1)
