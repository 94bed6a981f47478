"""A server says over HTTP whether it works, as an orchestrator asks it, and has a page of its own there.

It prints:

    /readyz 200 ready (active)
    /queues 200 default
    stopped
    /readyz 503 not ready: it was told to take no more tasks
    /healthz 200 alive (stopped)
"""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request

from _example import example_url

from asyncq import Mux, Server
from asyncq.server import Page, Request


def ask(url: str) -> str:
    """Stands for Kubernetes."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own address
            return f"{answer.status} {answer.read().decode().strip()}"
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {error.read().decode().strip()}"


async def main(url: str) -> None:
    """Port 0 takes a free one; in a cluster it would be a fixed one, on 0.0.0.0."""
    server = Server(url, probes="127.0.0.1:0")

    def queues(_: Request) -> Page:
        return Page(" ".join(server.config.queues))

    server.add_page("/queues", queues)
    async with server.running(Mux()):
        for path in ("/readyz", "/queues"):
            print(path, await asyncio.to_thread(ask, f"{server.probes_url}{path}"))
        await server.stop()
        print("stopped")
        for path in ("/readyz", "/healthz"):
            print(path, await asyncio.to_thread(ask, f"{server.probes_url}{path}"))


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))
