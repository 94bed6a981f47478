"""What a server did, and what all servers did in the last hour.

It prints:

    this server: 6 attempts, 1 of them failed
    all servers, in the last hour: 6 attempts, in 60 points
    queue default: 6 attempts, 1 failed
    mail: 5 done, 0 failed
    report: 0 done, 1 failed
    metrics for Prometheus: True
"""

from __future__ import annotations

import asyncio

from _example import example_url
from prometheus_client import CollectorRegistry, generate_latest

from asyncq import Client, Inspector, Mux, Server, SkipRetry, Task
from asyncq.metrics import ServerCollector

mux = Mux()


@mux.handle("mail")
async def mail(_: Task) -> None:
    """Succeed."""


@mux.handle("report")
async def report(_: Task) -> None:
    """Fail."""
    raise SkipRetry("no data")


async def main(url: str) -> None:
    """Run some tasks, and look at the numbers."""
    async with Client(url) as client, Inspector(url) as inspector:
        for kind in [*["mail"] * 5, "report"]:
            await client.enqueue(Task(kind))
        server = Server(url)
        async with server.running(mux):
            measures = server.measures()
            while measures.processed < 6:
                await asyncio.sleep(0.01)
                measures = server.measures()
            registry = CollectorRegistry()
            registry.register(ServerCollector(server))
            page = generate_latest(registry).decode()
        print(f"this server: {measures.processed} attempts, {measures.failed} of them failed")

        points = await inspector.measures.history()
        attempts = sum(one.processed for one in points)
        print(f"all servers, in the last hour: {attempts} attempts, in {len(points)} points")
        for pulse in await inspector.measures.pulses(["default"]):
            print(f"queue {pulse.queue}: {pulse.total} attempts, {pulse.total_failed} failed")
        for one in await inspector.measures.types():
            if one.processed:
                print(f"{one.type}: {one.done} done, {one.failed} failed")
        print("metrics for Prometheus:", "asyncq_task_outcomes_total" in page)


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))
