"""Who may do what, what they are shown, and the trail that they leave.

It prints:

    val sees {'user': 7, 'card': '[hidden]'}
    'val' lacks the right 'task.run'
    'ann' lacks the right 'queue.pause' in queue 'mail'
    ann paused billing
    bob changed the user, and the card is still 4111
    trail:
      val task.run refused
      ann queue.pause refused
      ann queue.pause done
      bob task.edit done: payload is now {"user": 8, "card": "[hidden]"}
"""

from __future__ import annotations

import asyncio

from _example import example_url

from asyncq import Client, Inspector, Task
from asyncq.errors import NotAllowedError
from asyncq.inspector import Rights, hide_fields


async def main(url: str) -> None:
    """Let three people at one queue."""
    async with Client(url) as client, Inspector(url) as inspector:
        info = await client.enqueue(Task("pay", {"user": 7, "card": "4111"}), queue="billing", process_in=60)
        await client.enqueue(Task("welcome"), queue="mail")

        val = inspector.acting_as("val", rights=Rights.viewer(), redact=hide_fields("card"))
        print("val sees", (await val.tasks.get("billing", info.id)).payload)
        try:
            await val.tasks.run("billing", info.id)
        except NotAllowedError as error:
            print(error)

        ann = inspector.acting_as("ann", rights=Rights.operator(queues=["billing"]))
        try:
            await ann.queues.pause("mail")
        except NotAllowedError as error:
            print(error)
        await ann.queues.pause("billing")
        print("ann paused billing")

        bob = inspector.acting_as("bob", rights=Rights.admin(), redact=hide_fields("card"))
        form = (await bob.tasks.get("billing", info.id)).payload
        await bob.tasks.edit("billing", info.id, payload={**form, "user": 8})
        written = (await inspector.tasks.get("billing", info.id)).payload
        print("bob changed the user, and the card is still", written["card"])

        print("trail:")
        for record in reversed((await inspector.trail.list()).records):
            changed = "".join(f": {name} is now {now}" for name, (_, now) in record.changes.items())
            print(f"  {record.actor} {record.action} {record.outcome}{changed}")


if __name__ == "__main__":
    with example_url() as url:
        asyncio.run(main(url))
