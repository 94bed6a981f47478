"""`asyncq task ls` and `show`: what tasks there are, and all about one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

import click

from asyncq.cli.choosing import STATES, filter_options, queue_option
from asyncq.cli.connecting import complete_queues
from asyncq.cli.desk import Desk, at_desk
from asyncq.cli.formats import away, clock, span
from asyncq.cli.later import Later
from asyncq.cli.output import Answers, Column, View, details
from asyncq.cli.shapes import readable, task_shape

if TYPE_CHECKING:
    import json

    from asyncq.inspector import TaskPage
    from asyncq.task_info import Attempt, TaskInfo
else:
    json = Later("json")

_COLOURS: Final = {"archived": "red", "retry": "yellow", "completed": "green", "active": "cyan"}

_MOST_SHOWN: Final = 200
"""Characters of a payload or an error in a table, where nothing else cuts it."""


def text_of(value: Any) -> str:
    """A payload or a result as one line of JSON."""
    return json.dumps(value, ensure_ascii=False)


def _first(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 1] + "…"


def _when(info: TaskInfo) -> str:
    state = info.state.value
    if state in ("scheduled", "retry"):
        return away(info.next_process_at)
    if state == "archived":
        return away(info.last_failed_at)
    if state == "active":
        return away(info.delivered_at)
    return away(info.completed_at if state == "completed" else info.enqueued_at)


def _payload(info: TaskInfo) -> str:
    return _first(
        f"unreadable: {info.unreadable}" if info.unreadable else text_of(readable(lambda: info.payload))
    )


TASKS: Final = View(
    columns=(
        Column("ID", lambda info: info.id),
        Column("TYPE", lambda info: info.type, is_elastic=True),
        Column("STATE", lambda info: info.state.value, colour=lambda info: _COLOURS.get(info.state.value)),
        Column("WHEN", _when),
        Column("RETRIED", lambda info: f"{info.retried}/{info.max_retry}", is_number=True),
        Column("PAYLOAD", _payload, is_elastic=True),
        Column("ERROR", lambda info: _first(info.last_error), is_elastic=True),
    ),
    shape=task_shape,
    name=lambda info: info.id,
    none="There are no such tasks.",
)


@click.command()
@click.option(
    "-q",
    "--queue",
    metavar="NAME",
    default="default",
    show_default=True,
    shell_complete=complete_queues,
    help="The queue.",
)
@click.option(
    "-s",
    "--state",
    "states",
    type=click.Choice(STATES),
    multiple=True,
    help="In this state; may be given again. Otherwise in any but aggregating.",
)
@filter_options
@click.option("--size", type=click.IntRange(1, 1000), default=30, show_default=True, help="Tasks of a state.")
@click.option("--page", type=click.IntRange(1), help="Which page, from 1; of one state without filters.")
@click.option("--cursor", help="Go on where a page ended; it says how.")
@click.option("--all", "every", is_flag=True, help="All of them, however many.")
@click.option("--newest-first", is_flag=True, help="The other way round.")
@at_desk
async def ls(desk: Desk, /, **options: Any) -> int:
    """List the tasks of a queue.

    Pending tasks come in the order in which they will be taken, others by the time that their state is
    about: due, archived, succeeded. WHEN is that time, of active tasks when they began, and of pending ones
    when they were enqueued. With filters a page looks at 2,000 tasks at the most; then it says how to go on.
    """
    wish = _Wish(options)
    sheet = desk.sheet(TASKS)
    total, scanned, cursor = 0, 0, None
    for state in wish.states:
        async for page in _pages(desk, wish, state):
            sheet.add(page.tasks)
            total = total + page.total if page.cursor is None or not wish.every else total
            scanned += page.scanned
            cursor = page.cursor
            if cursor is not None and not wish.every:
                more = f"{len(page)} of {page.total:,} {state}"
                desk.note(f"{more}; go on with --state {state} --cursor {cursor}")
    return sheet.end(total=total, scanned=scanned, cursor=cursor if len(wish.states) == 1 else None)


class _Wish:
    """What was asked for."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.queue: str = options["queue"]
        self.every: bool = options["every"]
        self.page: int | None = options["page"]
        self.cursor: str | None = options["cursor"]
        self.states: tuple[str, ...] = options["states"]
        if not self.states:
            self.states = ("aggregating",) if options["group"] else STATES[:-1]
        self.how = {"size": options["size"], "newest_first": options["newest_first"]}
        named = {"type": options["type_"]} | {
            name: options[name] for name in ("error", "cause", "since", "until")
        }
        self.filters = {name: value for name, value in named.items() if value is not None}
        if (self.page or self.cursor) and len(self.states) != 1:
            raise click.UsageError("--page and --cursor are of one --state.")
        if (self.page or self.cursor) and self.every:
            raise click.UsageError("--all begins at the beginning: without --page and --cursor.")
        if "aggregating" in self.states:
            if not options["group"]:
                raise click.UsageError("--state aggregating needs a --group; `asyncq group ls` has them.")
            self.filters["group"] = options["group"]
        if options["group"] and self.states != ("aggregating",):
            raise click.UsageError("--group is of --state aggregating alone.")


async def _pages(desk: Desk, wish: _Wish, state: str) -> AsyncIterator[TaskPage]:
    cursor = wish.cursor
    page_number = wish.page
    tasks: Any = desk.inspector.tasks  # the names of states are checked by it, and not by types here
    while True:
        page = await tasks.list(
            wish.queue, state, page=page_number, cursor=cursor, **wish.how, **wish.filters
        )
        yield page
        cursor = page.cursor
        if cursor is None or not wish.every:
            return


FOUND: Final = View(
    columns=(Column("QUEUE", lambda info: info.queue, is_elastic=True), *TASKS.columns),
    shape=task_shape,
    name=lambda info: info.id,
    none="Nothing was found.",
)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="QUERY...")
@click.option("--size", type=click.IntRange(1, 1000), default=30, show_default=True, help="Tasks of a page.")
@click.option(
    "--scan", type=click.IntRange(1), default=2000, show_default=True, help="Tasks that are looked at."
)
@click.option("--cursor", help="Go on where a page ended; it says how.")
@at_desk
async def find(desk: Desk, words: tuple[str, ...], *, size: int, scan: int, cursor: str | None) -> int:
    """Look for tasks in all queues and states: by words, or by what is said of them.

    \b
      asyncq task find type:'email:*' state:retry error:timeout since:2h
      asyncq task find payload.user.id:42

    Keys are queue, state, type, id, error, payload, group, cause, since and until; words without a key are
    looked for in id, type, error and payload. Redis has no index of these, so a page reads --scan tasks at
    the most, and then says how to go on.
    """  # noqa: D301 - the \b is click's: do not wrap this
    page = await desk.inspector.search.find(
        " ".join(words), size=size, scan=scan, cursor=cursor, partial=True
    )
    sheet = desk.sheet(FOUND)
    sheet.add(page.tasks)
    if page.cursor is not None:
        desk.note(f"Looked at {page.scanned:,} tasks; go on with --cursor {page.cursor}")
    return sheet.end(page.missing, total=page.total, scanned=page.scanned, cursor=page.cursor)


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@queue_option
@at_desk
async def show(desk: Desk, ids: tuple[str, ...], *, queue: str | None) -> int:
    """Show all about tasks: payload, headers, times, errors, progress, result."""

    async def act(task_id: str, answers: Answers) -> None:
        info = await desk.inspector.tasks.get(await desk.queue_of(task_id, queue), task_id)
        if desk.is_for_people:
            _tell(info)
            click.echo("")
        else:
            answers.add("", task_shape(info), name=info.id)

    return await desk.each(ids, act)


def _tell(info: TaskInfo) -> None:
    progress = readable(lambda: info.progress)
    result = readable(lambda: info.result)
    orphaned = " (its lease ran out: it is about to be taken back)" if info.is_orphaned else ""
    details(
        [
            ("id", info.id),
            ("queue", info.queue),
            ("type", info.type),
            ("state", info.state.value + orphaned + (f" ({info.reason})" if info.reason else "")),
            ("group", info.group),
            ("delivered", clock(info.delivered_at, never="")),
            ("enqueued", clock(info.enqueued_at, never="")),
            ("due", clock(info.next_process_at, never="")),
            ("completed", clock(info.completed_at, never="")),
            ("retried", f"{info.retried} of {info.max_retry}"),
            ("deliveries", f"{info.deliveries}" + (f", {info.lost} lost" if info.lost else "")),
            ("failed", clock(info.last_failed_at, never="")),
            ("error", info.last_error),
            ("unreadable", info.unreadable),
            ("timeout", span(info.timeout) if info.timeout else "none"),
            ("deadline", clock(info.deadline, never="")),
            ("expires", clock(info.expires_at, never="")),
            ("retention", span(info.retention) if info.retention else ""),
            ("unique", info.unique_key),
            ("retry", info.retry_policy),
            ("headers", "\n".join(f"{name}: {text}" for name, text in info.headers.items())),
            ("payload", json.dumps(readable(lambda: info.payload), indent=2, ensure_ascii=False)),
            ("progress", text_of(progress) if progress is not None else ""),
            ("result", json.dumps(result, indent=2, ensure_ascii=False) if result is not None else ""),
            ("version", info.version),
            *((f"attempt {attempt.number}", _attempt(attempt)) for attempt in info.attempts),
        ]
    )


def _attempt(attempt: Attempt) -> str:
    took = ""
    if attempt.started_at is not None and attempt.ended_at is not None:
        took = f" after {span(max(0.0, (attempt.ended_at - attempt.started_at).total_seconds()))}"
    where = f" on {attempt.server_id}" if attempt.server_id else ""
    head = f"{attempt.outcome}{took}{where}, began {clock(attempt.started_at)}"
    return "\n".join([head, *filter(None, [attempt.error, attempt.traceback.rstrip()])])
