"""`asyncq enqueue`: put a task into a queue, or many."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from asyncq.cli.connecting import complete_queues
from asyncq.cli.desk import Desk, at_desk
from asyncq.cli.formats import DURATION, HEADER, INSTANT, PAYLOAD, clock, read_json
from asyncq.cli.output import Answers
from asyncq.cli.shapes import task_shape
from asyncq.cli.terminal import ProgressLine

if TYPE_CHECKING:
    from asyncq.inspector import Outcome
    from asyncq.task_info import TaskInfo

_PAYLOAD = "'PAYLOAD'"


@click.command()
@click.argument("type_", metavar="TYPE")
@click.argument("payload", type=PAYLOAD, required=False, metavar="[PAYLOAD]")
@click.option("--raw", is_flag=True, help="The payload is bytes as they are, and no JSON.")
@click.option("--lines", is_flag=True, help="The payload is JSON lines: a task for each line.")
@click.option(
    "-q", "--queue", metavar="NAME", shell_complete=complete_queues, help="The queue.  [default: default]"
)
@click.option("--id", "task_id", metavar="ID", help="An id of your own.")
@click.option("--process-at", type=INSTANT, help="Not before this time.")
@click.option("--process-in", type=DURATION, help="Or not before so long from now: 1h30m.")
@click.option("--max-retry", type=click.IntRange(0), help="How often it is tried again.  [default: 25]")
@click.option("--timeout", type=DURATION, help="Time for one attempt; 0 for no limit.  [default: 30m]")
@click.option("--deadline", type=INSTANT, help="After this it is not worth running.")
@click.option("--unique", type=DURATION, help="Refuse another one like it for so long.")
@click.option("--retention", type=DURATION, help="Keep it for so long after it succeeded.")
@click.option("--group", metavar="NAME", help="Gather it with others of this group.")
@click.option("--expires-at", type=INSTANT, help="Drop it if it was not started by then.")
@click.option("--expires-in", type=DURATION, help="Or after so long.")
@click.option("--retry", metavar="NAME", help="Name of a retry policy of the server.")
@click.option(
    "--header", "headers", type=HEADER, multiple=True, help="Text beside the payload; once for each."
)
@click.option("--dry-run", is_flag=True, help="Only check what was given.")
@at_desk
async def enqueue(desk: Desk, type_: str, *, payload: str | bytes | None, **options: Any) -> int:
    """Put a task of TYPE into a queue, and print its id.

    PAYLOAD is JSON, @FILE with JSON, or - for standard input; without it there is none.

    \b
      asyncq enqueue email:welcome '{"user_id": 42}' -q mail --process-in 5m
      asyncq enqueue email:welcome @users.jsonl --lines
    """  # noqa: D301 - the \b is click's: do not wrap this
    raw, lines, dry_run = options.pop("raw"), options.pop("lines"), options.pop("dry_run")
    headers = options.pop("headers")
    given = {name: value for name, value in options.items() if value is not None}
    if headers:
        given["headers"] = dict(headers)
    if raw and lines:
        raise click.UsageError("--raw or --lines, not both.")
    if (raw or lines) and payload is None:
        raise click.UsageError(f"--{'raw' if raw else 'lines'} says how PAYLOAD is meant; there is none.")
    task = importlib.import_module("asyncq.task").Task
    payloads = list(_lines(payload or b"") if lines else [_one(payload, raw=raw)])
    # All are made before the first is sent: what is wrong is refused before anything is done.
    tasks = [task(type_, one, **given) for one in payloads]
    if lines and not dry_run:
        return await _many(desk, tasks)

    async def act(one: Any, answers: Answers) -> None:
        if dry_run:
            answers.add("It can be enqueued.", {"type": one.type, "outcome": "dry_run"})
            return
        info = await desk.inspector.tasks.enqueue(one)
        answers.add(_sentence(info), task_shape(info), name=info.id)

    return await desk.each(tasks, act)


async def _many(desk: Desk, tasks: Sequence[Any]) -> int:
    """All lines as one change: a record of each would push everything else out of the trail."""
    line = ProgressLine()
    try:
        outcomes = await desk.inspector.tasks.enqueue_many(
            tasks, on_progress=lambda count: line.show("enqueue", count, len(tasks))
        )
    finally:
        line.clear()

    async def tell(one: Outcome, answers: Answers) -> None:
        if one.error is not None:
            raise one.error
        if one.info is not None:
            answers.add(_sentence(one.info), task_shape(one.info), name=one.info.id)

    return await desk.each(outcomes, tell)


def _one(payload: str | bytes | None, *, raw: bool) -> Any:
    if payload is None:
        return None
    if raw:
        return payload.encode() if isinstance(payload, str) else payload
    return read_json(payload, _PAYLOAD)


def _lines(payload: str | bytes) -> Iterator[Any]:
    text = payload.encode() if isinstance(payload, str) else payload
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield read_json(line, f"line {number}")


def _sentence(info: TaskInfo) -> str:
    due = f", due {clock(info.next_process_at)}" if info.state.value == "scheduled" else ""
    return f"{info.id}: {info.state.value} in {info.queue}{due}"
