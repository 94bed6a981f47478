"""Look after a queue from a shell: what failed is found, counted, and run again.

It prints:

    $ asyncq queue ls -o id
    mail
    $ asyncq task ls -q mail -s archived --error Timeout -o jsonl
    email:welcome {'user_id': 1} exhausted
    email:welcome {'user_id': 3} exhausted
    $ asyncq task retry -q mail --error Timeout --dry-run
    mail: 2 of 3 archived tasks would be run.
    $ asyncq task retry -q mail --error Timeout --rate 50/s
    mail: 2 of 3 archived tasks run.
    $ asyncq task delete -q mail -s archived
    exit code 2, as nobody can be asked: add --yes
    $ asyncq task delete -q mail -s archived --yes
    mail: 1 of 1 archived task deleted.
    $ asyncq queue pause mail
    mail: paused
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress

from _example import example_url

from asyncq import Client, Mux, Server, Task
from asyncq.errors import TaskArchivedError

mux = Mux()


@mux.handle("email:welcome")
async def welcome(task: Task) -> None:
    """Fail, each mail for a reason of its own."""
    reason = "the mailbox is full" if task.payload["user_id"] == 2 else "Timeout of smtp.example"
    raise OSError(reason)


async def fail(url: str) -> None:
    """Let three mails fail for good."""
    server = Server(url, queues=["mail"], concurrency=1, log_level="critical")
    async with Client(url) as client, server.running(mux):
        for user_id in (1, 2, 3):
            info = await client.enqueue(
                Task("email:welcome", {"user_id": user_id}), queue="mail", max_retry=0
            )
            with suppress(TaskArchivedError):
                await client.result(info)


def shell(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a shell does."""
    print("$ asyncq", *arguments)
    return subprocess.run(
        [sys.executable, "-m", "asyncq", *arguments],
        env={**os.environ, "ASYNCQ_URL": url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


with example_url() as url:
    asyncio.run(fail(url))
    print(shell(url, "queue", "ls", "-o", "id").stdout, end="")
    found = shell(url, "task", "ls", "-q", "mail", "-s", "archived", "--error", "Timeout", "-o", "jsonl")
    for line in found.stdout.splitlines():
        task = json.loads(line)
        print(task["type"], task["payload"], task["reason"])
    print(shell(url, "task", "retry", "-q", "mail", "--error", "Timeout", "--dry-run").stdout, end="")
    print(shell(url, "task", "retry", "-q", "mail", "--error", "Timeout", "--rate", "50/s").stdout, end="")
    refused = shell(url, "task", "delete", "-q", "mail", "-s", "archived")
    print(f"exit code {refused.returncode}, as nobody can be asked: add --yes")
    print(shell(url, "task", "delete", "-q", "mail", "-s", "archived", "--yes").stdout, end="")
    print(shell(url, "queue", "pause", "mail").stdout, end="")
