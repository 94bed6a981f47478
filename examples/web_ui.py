"""The web UI, mounted in an application of your own, and the same as JSON for programs.

It prints:

    a stranger is sent to: /ops/queues/login?next=%2Fops%2Fqueues%2Fqueues
    anna sees: mails, 2 pending, with a server: False
    anna pauses it: {'changed': True}
    bob pauses it: 403 That is not allowed
    the trail: bob queue.pause refused
    the trail: anna queue.pause done
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from typing import Any

import uvicorn
from _example import example_url
from starlette.applications import Starlette
from starlette.routing import Mount

from asyncq import Client, Task
from asyncq.inspector import Rights
from asyncq.web import Principal, Tokens, app

ANNA, BOB = "the-secret-of-anna", "the-secret-of-bob!"


def ask(port: int, method: str, path: str, token: str = "") -> tuple[int, str, Any]:
    """Ask as a program does: the status, where it leads, and the JSON."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request(method, f"/ops/queues/{path}", headers=headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    is_json = "json" in answer.headers.get("content-type", "")
    return answer.status, answer.headers.get("location", ""), json.loads(text) if is_json else None


@asynccontextmanager
async def served(application: Starlette) -> AsyncGenerator[int]:
    """Serve an application on a port that is free."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(application, log_level="warning"))
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn says it in no other way
            await asyncio.sleep(0.01)
        yield int(listener.getsockname()[1])
        server.should_exit = True
        await serving


async def main(url: str) -> None:
    """Mount it, and ask it as a stranger, as anna and as bob."""
    people = {ANNA: Principal("anna", Rights.operator()), BOB: Principal("bob", Rights.viewer())}
    operations = app(url, auth=Tokens(people), environment="staging")
    async with Client(url) as client, served(Starlette(routes=[Mount("/ops/queues", operations)])) as port:
        await client.enqueue(Task("mail"), queue="mails")
        await client.enqueue(Task("mail"), queue="mails")

        _, where, _ = await asyncio.to_thread(ask, port, "GET", "queues")
        print("a stranger is sent to:", where)
        _, _, found = await asyncio.to_thread(ask, port, "GET", "api/v1/queues", ANNA)
        for queue in found["items"]:
            pending, is_served = queue["sizes"]["pending"], queue["is_served"]
            print(f"anna sees: {queue['name']}, {pending} pending, with a server: {is_served}")
        _, _, answer = await asyncio.to_thread(ask, port, "POST", "api/v1/queues/mails/pause", ANNA)
        print("anna pauses it:", answer)
        status, _, answer = await asyncio.to_thread(ask, port, "POST", "api/v1/queues/mails/pause", BOB)
        print("bob pauses it:", status, answer["title"])
        _, _, trail = await asyncio.to_thread(ask, port, "GET", "api/v1/audit", ANNA)
        for record in trail["items"]:
            print("the trail:", record["actor"], record["action"], record["outcome"])
    await operations.aclose()


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))
