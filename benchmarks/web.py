"""Does each page of the web UI take less than 200 ms, also with a million tasks and with many queues?

Asked in memory, so that no socket is in the numbers; "first" forgets what was sampled before each request,
"again" is what the second window pays. What Redis spends of it is told apart: everybody waits for that, and
for the longest call of all at a stretch. "whole" is a page with all of its figures, as its stream sends it:
above so many queues the first look is shown without (docs/adr/0027-thousands-of-queues.md).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import httpx2
from _bench import Bench, quantile, run
from _many import fill_quickly

from asyncq import Client, Task
from asyncq.web import NoAuth, WebApp, app, sampling

FULL, QUEUES = 1_000_000, (3_000, 10_000)
REQUESTS = 50
"""For each page; fewer with many queues, for which each takes longer."""

BUDGET_MS = 200.0
LARGE_BUDGET_MS = 1000.0
"""For more queues than the budget is about: slow, and still there."""

LONGEST_CALL_MS = 5.0
"""Nobody else is served by Redis meanwhile."""

LIVE = ("/", "/queues?sort=pending&order=desc&page=2")
"""Pages that show figures of all queues."""

PAGES = (
    "/", "/queues", "/queues?sort=pending&order=desc&page=2", "/queues?q=queue-1", "/queues/q", "/servers",
    "/tasks", "/tasks?state=archived&type=none", "/tasks?q=payload:none", "/failures", "/schedules",
    "/groups", "/redis", "/audit", "/settings", "/api/v1/queues", "/api/v1/queues/q",
    "/api/v1/queues/q/tasks?state=archived",
)  # fmt: skip


async def _asked(
    site: WebApp, browser: httpx2.AsyncClient, path: str, requests: int, *, is_first: bool
) -> list[float]:
    seen: list[float] = []
    for _ in range(requests):
        if is_first:
            site.site.samples.forget()
        began = time.perf_counter()
        answer = await browser.get(path)
        seen.append((time.perf_counter() - began) * 1e3)
        # What goes on beside it belongs to this look.
        await site.site.samples.settle()
        assert answer.status_code == 200, (path, answer.status_code, answer.text[-500:])
    return seen


async def _page(
    bench: Bench, site: WebApp, browser: httpx2.AsyncClient, path: str, requests: int
) -> Mapping[str, float]:
    redis = bench.server.control
    redis.slowlog_reset()
    with bench.spend() as spent:
        first = await _asked(site, browser, path, requests, is_first=True)
    longest: Any = redis.slowlog_get(1000)
    again = await _asked(site, browser, path, requests, is_first=False)
    return {
        "first p50 ms": quantile(first, 0.5),
        "first p99 ms": quantile(first, 0.99),
        "our CPU ms": spent.client_cpu / len(first) * 1e3,
        "Redis CPU ms": spent.redis_cpu / len(first) * 1e3,
        "longest call ms": max((call["duration"] for call in longest), default=0) / 1e3,
        "again p50 ms": quantile(again, 0.5),
    }


async def _whole(
    bench: Bench, site: WebApp, browser: httpx2.AsyncClient, path: str, requests: int
) -> Mapping[str, float]:
    """The same page, waited for until it has all of its figures."""
    was, sampling.FEW = sampling.FEW, 10**9
    try:
        return await _page(bench, site, browser, path, requests)
    finally:
        sampling.FEW = was


async def _screens(bench: Bench, title: str, most: float, share: float = 1.0) -> None:
    site = app(bench.server.url, auth=NoAuth())
    requests = bench.size(int(REQUESTS * share))
    transport = httpx2.ASGITransport(app=site, client=("127.0.0.1", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as browser:
        await browser.get("/")  # templates are compiled once
        rows = {path: await _page(bench, site, browser, path, requests) for path in PAGES}
        whole = {f"{path} (whole)": await _whole(bench, site, browser, path, requests) for path in LIVE}
    await site.aclose()
    bench.table(title, {**rows, **whole})
    slowest = max(rows, key=lambda path: rows[path]["first p99 ms"])
    bench.judge(f"{title}: slowest page, ms ({slowest})", rows[slowest]["first p99 ms"], most=most)
    # The same on a machine that does other things, too: nobody waits for less than is computed.
    costly = max(rows, key=lambda path: rows[path]["our CPU ms"] + rows[path]["Redis CPU ms"])
    cost = rows[costly]["our CPU ms"] + rows[costly]["Redis CPU ms"]
    bench.judge(f"{title}: CPU of the costliest page, ms ({costly})", cost, most=most)
    longest = max(rows, key=lambda path: rows[path]["longest call ms"])
    bench.judge(
        f"{title}: longest call to Redis, ms ({longest})",
        rows[longest]["longest call ms"],
        most=LONGEST_CALL_MS,
    )


async def measure(bench: Bench) -> None:
    """A million tasks in one queue, then thousands of queues beside it."""
    bench.server.control.config_set("slowlog-log-slower-than", 100)
    bench.server.control.config_set("slowlog-max-len", 1000)
    count = bench.size(FULL)
    for state in ("archived", "pending"):
        await fill_quickly(bench.server, "q", state, count // 2)
    await _screens(bench, f"{count:,} tasks", BUDGET_MS)
    there = 0
    budgets = (BUDGET_MS, LARGE_BUDGET_MS)
    for queues, budget, share in zip(map(bench.size, QUEUES), budgets, (0.4, 0.2), strict=True):
        async with Client(bench.server.url) as client:
            for number in range(there, queues):
                await client.enqueue(Task("bench:one"), queue=f"queue-{number}")
        there = queues
        await _screens(bench, f"{count:,} tasks and {queues:,} queues", budget, share)


if __name__ == "__main__":
    run("web", measure)
