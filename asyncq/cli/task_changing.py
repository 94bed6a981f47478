"""`asyncq task edit`, `reschedule` and `wait`: one task that waits, or one that is waited for."""

from __future__ import annotations

import importlib
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from asyncq.cli.choosing import queue_option
from asyncq.cli.connecting import CLEAN, FINDINGS
from asyncq.cli.desk import Desk, at_desk
from asyncq.cli.formats import DURATION, HEADER, INSTANT, PAYLOAD, clock, read_json
from asyncq.cli.later import Later
from asyncq.cli.shapes import plain, task_shape
from asyncq.cli.terminal import ProgressLine, complain

if TYPE_CHECKING:
    import json

    from asyncq import errors
    from asyncq.task_info import Progress, TaskInfo
else:
    json = Later("json")
    errors = Later("asyncq.errors")

_ENDED_WELL: Final = frozenset({"done", "aggregated"})

_version = click.option(
    "--version", "version", help="Only if it is still what `task show` said this version of."
)


@click.command()
@click.argument("task_id", metavar="ID")
@queue_option
@click.option("--payload", type=PAYLOAD, help="JSON, @FILE with JSON, or - for standard input.")
@click.option("--raw", is_flag=True, help="The payload is bytes as they are, and no JSON.")
@click.option("--editor", is_flag=True, help="Change the payload in your editor.")
@click.option("--header", "headers", type=HEADER, multiple=True, help="All headers anew; once for each.")
@click.option("--no-headers", is_flag=True, help="Without headers.")
@click.option("--max-retry", type=click.IntRange(0), help="How often it is tried again at most.")
@click.option("--timeout", type=DURATION, help="Time for one attempt; 0 for no limit.")
@click.option("--deadline", type=INSTANT, help="After this it is not worth running.")
@click.option("--expires-at", type=INSTANT, help="Drop it if it was not started by then.")
@click.option("--retention", type=DURATION, help="Keep it for so long after it succeeded.")
@click.option("--retry", metavar="NAME", help="Name of its retry policy.")
@_version
@at_desk
async def edit(desk: Desk, task_id: str, *, queue: str | None, **options: Any) -> int:
    """Change a task that waits: its payload, headers or options. What is not named stays as it is.

    For pending, scheduled, retry, archived and aggregating tasks. A server takes it as it was, or as it is
    then.
    """
    named = await desk.queue_of(task_id, queue)
    version = options.pop("version")
    if options.pop("editor"):
        version = await _in_editor(desk, named, task_id, version, options)
    changes = _changes(options)
    info = await desk.inspector.tasks.edit(named, task_id, version=version, **changes)
    return _tell(desk, info, f"{info.id}: changed ({', '.join(sorted(changes))})")


async def _in_editor(
    desk: Desk, queue: str, task_id: str, version: str | None, options: dict[str, Any]
) -> str:
    """Let the operator change the payload; the version is that of what he sees."""
    if options["payload"] is not None or options["raw"]:
        raise click.UsageError("--editor or --payload, not both.")
    seen = await desk.inspector.tasks.get(queue, task_id)
    before = json.dumps(plain(seen.payload), indent=2, ensure_ascii=False)
    after = click.edit(before + "\n", extension=".json")
    if after is None or after.strip() == before:
        raise click.ClickException("nothing was changed.")
    options["payload"] = after
    return version or seen.version


def _changes(options: dict[str, Any]) -> dict[str, Any]:
    payload, raw = options.pop("payload"), options.pop("raw")
    headers, no_headers = options.pop("headers"), options.pop("no_headers")
    if headers and no_headers:
        raise click.UsageError("--header or --no-headers, not both.")
    changes = {name: value for name, value in options.items() if value is not None}
    if payload is not None:
        changes["payload"] = read_payload(payload, raw=raw)
    elif raw:
        raise click.UsageError("--raw says how --payload is meant.")
    if headers or no_headers:
        changes["headers"] = dict(headers)
    if not changes:
        raise click.UsageError("Say what to change: --payload, --max-retry, --timeout … (see --help).")
    return changes


def read_payload(given: str | bytes, *, raw: bool) -> Any:
    """A payload as it was given."""
    if raw:
        return given.encode() if isinstance(given, str) else given
    return read_json(given, "'--payload'")


def _tell(desk: Desk, info: TaskInfo, sentence: str) -> int:
    answers = desk.answers()
    answers.add(sentence, task_shape(info), name=info.id)
    answers.end()
    return CLEAN


@click.command()
@click.argument("task_id", metavar="ID")
@queue_option
@click.option("--at", type=INSTANT, help="At this time; one in the past is now.")
@click.option("--in", "delay", type=DURATION, help="Or so long from now: 1h30m.")
@_version
@at_desk
async def reschedule(
    desk: Desk,
    task_id: str,
    *,
    queue: str | None,
    at: datetime | None,
    delay: float | None,
    version: str | None,
) -> int:
    """Change when a task runs: one that is pending, scheduled, archived or to be tried again."""
    if (at is None) == (delay is None):
        raise click.UsageError("--at or --in, one of the two.")
    named = await desk.queue_of(task_id, queue)
    info = await desk.inspector.tasks.reschedule(named, task_id, at=at, delay=delay, version=version)
    return _tell(desk, info, f"{info.id}: {info.state.value}, due {clock(info.next_process_at)}")


@click.command()
@click.argument("task_id", metavar="ID")
@queue_option
@click.option("--timeout", type=DURATION, help="Wait so long at the most.  [default: for ever]")
@at_desk
async def wait(desk: Desk, task_id: str, *, queue: str | None, timeout: float | None) -> int:
    """Wait until a task is over, show its progress meanwhile, and print its result.

    Exit code: 0 it succeeded, 1 it failed for good, was cancelled, or was not over in time, 3 there is none.
    """
    named = await desk.queue_of(task_id, queue)
    client = importlib.import_module("asyncq.client").Client
    line, target = ProgressLine(), desk.target

    def on_progress(progress: Progress) -> None:
        line.show(f"{task_id} {progress.note}".strip(), round(progress.done), round(progress.total or 0))

    item: dict[str, Any] = {
        "queue": named,
        "id": task_id,
        "outcome": "completed",
        "result": None,
        "error": None,
    }
    async with client(
        target.url, prefix=target.prefix, wire=target.wire, patience=target.patience
    ) as waiting:
        try:
            limit = math.inf if timeout is None else timeout
            found = await waiting.result(task_id, limit, queue=named, on_progress=on_progress)
            item["result"] = plain(found)
        except errors.ResultNotKeptError as error:
            if error.how not in _ENDED_WELL:
                raise
            item["outcome"] = error.how
        except errors.TaskArchivedError as error:
            item |= {"outcome": "archived", "error": str(error)}
        except errors.ResultTimeoutError as error:
            item |= {"outcome": "timeout", "error": str(error)}
        finally:
            line.clear()
    answers = desk.answers()
    if item["error"] is not None:
        complain(item["error"])
    if item["error"] is None or not desk.is_for_people:
        result = json.dumps(item["result"], indent=2, ensure_ascii=False)
        answers.add(result if item["outcome"] == "completed" else item["outcome"], item, name=task_id)
    answers.end()
    return FINDINGS if item["error"] is not None else CLEAN
