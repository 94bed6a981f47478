"""`asyncq task run`, `retry`, `archive`, `delete` and `cancel`: for tasks by id, and for all that match."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from asyncq.cli.choosing import Choice, choice_options, read_ids
from asyncq.cli.connecting import CLEAN, PARTLY
from asyncq.cli.desk import Desk, at_desk
from asyncq.cli.formats import DURATION
from asyncq.cli.later import Later
from asyncq.cli.output import Answers
from asyncq.cli.shapes import record
from asyncq.cli.terminal import ProgressLine, clean, confirm, counted, require_answer

if TYPE_CHECKING:
    from asyncq import errors
    from asyncq.inspector import BulkReport
else:
    errors = Later("asyncq.errors")

_RUNNABLE: Final = ("scheduled", "retry", "archived", "completed", "aggregating")
_ARCHIVABLE: Final = ("pending", "scheduled", "retry", "aggregating")
_DELETABLE: Final = ("pending", "scheduled", "retry", "archived", "completed", "aggregating")
_RETRYABLE: Final = ("archived", "retry")
_CANCELLABLE: Final = ("active", "pending", "scheduled", "retry", "aggregating")


_STATES: Final = {"run": _RUNNABLE, "archive": _ARCHIVABLE, "delete": _DELETABLE}

_FEW: Final = 10
"""Tasks that are each a change of its own, with its own record in the trail."""


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One thing that can be done to tasks."""

    verb: str  #: in the infinitive: "run"
    done: str  #: and when it is done: "run"
    asks: bool  #: whether it cannot be taken back
    action: Literal["run", "archive", "delete"] | None = None  #: for `tasks.apply`
    outcome: str = ""  #: the word for what becomes of one then

    @property
    def question(self) -> str:
        """The beginning of the question."""
        return self.verb.capitalize()


RUN: Final = Deed(verb="run", done="run", asks=False, action="run", outcome="pending")
AFRESH: Final = Deed(verb="run", done="run", asks=False)
ARCHIVE: Final = Deed(verb="archive", done="archived", asks=False, action="archive", outcome="archived")
DELETE: Final = Deed(verb="delete", done="deleted", asks=True, action="delete", outcome="deleted")
CANCEL: Final = Deed(verb="cancel", done="cancelled", asks=True)

_ToOne = Callable[[str, str], Awaitable[str]]
"""Does it to a task of a queue, and returns the word for what became of it."""

_ToAll = Callable[..., Awaitable["BulkReport"]]
"""Does it to all tasks of a queue in a state, as `tasks.run_all` does."""


async def do(desk: Desk, deed: Deed, choice: Choice, one: _ToOne, all_of: _ToAll) -> int:
    """Do it to what was chosen."""
    if choice.ids:
        return await _do_each(desk, deed, choice, one)
    return await sweep(desk, deed, choice, all_of, await choice.places(desk.inspector))


async def _do_each(desk: Desk, deed: Deed, choice: Choice, one: _ToOne) -> int:
    ids = read_ids(choice.ids)
    if deed.asks and len(ids) > 1 and not choice.dry_run:
        confirm(f"{deed.question} {counted(len(ids), 'task')}?", yes=choice.yes)

    queue_given = choice.queues[0] if choice.queues else None
    if len(ids) > _FEW and deed.action is not None and not choice.dry_run:
        return await _apply(desk, deed, deed.action, ids, queue_given)

    async def act(task_id: str, answers: Answers) -> None:
        queue = await desk.queue_of(task_id, queue_given)
        if choice.dry_run:
            info = await desk.inspector.tasks.get(queue, task_id)
            word, text = "dry_run", f"{info.state.value}, would be {deed.done} if its state allows it"
        else:
            word = await one(queue, task_id)
            text = word
        answers.add(f"{task_id}: {text}", {"queue": queue, "id": task_id, "outcome": word}, name=task_id)

    return await desk.each(ids, act)


async def _apply(
    desk: Desk, deed: Deed, action: Literal["run", "archive", "delete"], ids: list[str], queue: str | None
) -> int:
    """Do it to many by their ids, as one change of each queue: a record of each would fill the trail."""
    by_queue: dict[str, list[str]] = {}
    for task_id in ids:
        by_queue.setdefault(await desk.queue_of(task_id, queue), []).append(task_id)
    words: dict[tuple[str, str], str] = {}
    for name, some in by_queue.items():
        found = await desk.inspector.tasks.apply(action, name, some)
        words |= {(name, task_id): word for task_id, word in found.items()}

    async def tell(one: tuple[str, str], answers: Answers) -> None:
        name, task_id = one
        if words[one] == "missing":
            raise errors.TaskNotFoundError(name, task_id)
        if words[one] != "done":
            raise errors.TaskStateError(name, task_id, words[one], _STATES[action])
        item = {"queue": name, "id": task_id, "outcome": deed.outcome}
        answers.add(f"{task_id}: {deed.outcome}", item, name=task_id)

    return await desk.each(words, tell)


async def sweep(
    desk: Desk, deed: Deed, choice: Choice, all_of: _ToAll, places: Sequence[tuple[str, str]]
) -> int:
    """Do it to all that match in some places, one after the other."""
    if deed.asks and not choice.dry_run and not choice.yes:
        await _ask(deed, choice, all_of, places)
    work = _Sweep(desk, deed, choice)
    return await work.make(all_of, places)


async def _ask(deed: Deed, choice: Choice, all_of: _ToAll, places: Sequence[tuple[str, str]]) -> None:
    require_answer(f"{deed.question} all these tasks?")
    found: dict[tuple[str, str], int] = {}
    for queue, state in places:
        report = await all_of(queue, state, dry_run=True, **_limited(choice), **choice.filters)
        found[queue, state] = report.matched
    parts = [f"{counted(n, f'{state} task')} of {queue}" for (queue, state), n in found.items() if n]
    if parts:
        confirm(f"{deed.question} {', '.join(parts)}?", yes=False)


def _limited(choice: Choice) -> dict[str, Any]:
    return {"limit": choice.limit} if choice.limit else {}


class _Sweep:
    """One run of bulk work over several places."""

    def __init__(self, desk: Desk, deed: Deed, choice: Choice) -> None:
        self._desk = desk
        self._deed = deed
        self._choice = choice
        self._line = ProgressLine()
        self._answers = desk.answers()
        self._spent = 0

    async def make(self, all_of: _ToAll, places: Sequence[tuple[str, str]]) -> int:
        """Go over the places. What was done when it is interrupted is said."""
        choice, answers, is_whole = self._choice, self._answers, True
        try:
            for queue, state in places:
                limit = {} if choice.limit is None else {"limit": choice.limit - self._spent}
                report = await self._one(all_of, queue, state, limit)
                is_at_limit = bool(limit) and _count(report) >= limit["limit"]
                is_whole = is_whole and (report.is_complete or is_at_limit)
                self._spent += _count(report)
                answers.add(self._sentence(report), shape(report), name=queue)
                if is_at_limit:
                    break
        finally:
            answers.end()
        return CLEAN if is_whole else PARTLY

    async def _one(self, all_of: _ToAll, queue: str, state: str, limit: dict[str, int]) -> BulkReport:
        latest: list[BulkReport] = []

        def on_progress(report: BulkReport) -> None:
            latest[:] = [report]
            self._line.show(f"{queue}: {self._deed.verb} {state}", report.scanned, report.total)

        try:
            return await all_of(
                queue, state, on_progress=on_progress, **limit, **self._choice.manner, **self._choice.filters
            )
        except BaseException:
            # A Ctrl-C mostly, or Redis went away: what is done is done, and the operator wants to know it.
            self._line.clear()
            if latest and not self._choice.dry_run:
                text = self._sentence(latest[0])
                click.echo(f"Stopped half-way. {clean(text)} The rest is as it was.", err=True)
                if not self._desk.is_for_people:
                    self._answers.add("", shape(latest[0]), name=queue)
            raise
        finally:
            self._line.clear()

    def _sentence(self, report: BulkReport) -> str:
        total = counted(report.total, f"{report.state} task")
        if report.dry_run:
            return f"{report.queue}: {report.matched:,} of {total} would be {self._deed.done}."
        text = f"{report.queue}: {report.done:,} of {total} {self._deed.done}"
        if report.skipped:
            reasons = ", ".join(f"{number} {reason}" for reason, number in report.reasons.items())
            text += f", {report.skipped:,} left alone ({reasons})"
        return text + "."


def _count(report: BulkReport) -> int:
    return report.matched if report.dry_run else report.done


def shape(report: BulkReport) -> dict[str, Any]:
    """A report as JSON."""
    return record(report)


_fresh: Final = click.option("--fresh", is_flag=True, help="With all their retries again.")


@click.command()
@choice_options(_RUNNABLE)
@_fresh
@at_desk
async def run(desk: Desk, *, fresh: bool, **options: Any) -> int:
    """Let tasks run now, behind what is pending: by their IDs (- reads them), or all that match.

    From every state but pending and active. A task keeps its count of retries, so one that used them up is
    tried once; unless it is --fresh.
    """
    choice = Choice(**options)
    choice.check()
    return await _run(desk, choice, fresh=fresh)


@click.command()
@choice_options(_RETRYABLE, default=("archived",))
@_fresh
@at_desk
async def retry(desk: Desk, *, fresh: bool, **options: Any) -> int:
    """Run tasks that failed once more: by their IDs (- reads them), or all that match.

    \b
      asyncq task retry -q mail --type 'email:*' --error Timeout --rate 50/s

    As `run`, of archived tasks if nothing else is said.
    """  # noqa: D301 - the \b is click's: do not wrap this
    choice = Choice(**options)
    choice.check(default_states=("archived",))
    return await _run(desk, choice, fresh=fresh)


async def _run(desk: Desk, choice: Choice, *, fresh: bool) -> int:
    tasks = desk.inspector.tasks

    async def one(queue: str, task_id: str) -> str:
        await tasks.run(queue, task_id, fresh=fresh)
        return "pending"

    async def all_of(queue: str, state: Any, **more: Any) -> BulkReport:
        return await tasks.run_all(queue, state, fresh=fresh, **more)

    return await do(desk, AFRESH if fresh else RUN, choice, one, all_of)


@click.command()
@choice_options(_ARCHIVABLE)
@at_desk
async def archive(desk: Desk, **options: Any) -> int:
    """Put tasks away, so that they do not run: by their IDs (- reads them), or all that match."""
    choice = Choice(**options)
    choice.check()
    tasks = desk.inspector.tasks

    async def one(queue: str, task_id: str) -> str:
        await tasks.archive(queue, task_id)
        return "archived"

    return await do(desk, ARCHIVE, choice, one, tasks.archive_all)


@click.command()
@choice_options(_DELETABLE)
@at_desk
async def delete(desk: Desk, **options: Any) -> int:
    """Delete tasks: by their IDs (- reads them), or all that match. Asks first for more than one."""
    choice = Choice(**options)
    choice.check()
    tasks = desk.inspector.tasks

    async def one(queue: str, task_id: str) -> str:
        await tasks.delete(queue, task_id)
        return "deleted"

    return await do(desk, DELETE, choice, one, tasks.delete_all)


@click.command()
@choice_options(_CANCELLABLE)
@click.option("--wait", type=DURATION, help="Wait so long until a task that runs has ended.")
@at_desk
async def cancel(desk: Desk, *, wait: float | None, **options: Any) -> int:
    """Cancel tasks: one that waits is archived, one that runs is stopped. By their IDs, or all that match.

    `requested` says that a server was asked to stop it. Asks first for more than one.
    """
    choice = Choice(**options)
    choice.check()
    tasks = desk.inspector.tasks

    async def one(queue: str, task_id: str) -> str:
        return await tasks.cancel(queue, task_id, wait=wait)

    async def all_of(queue: str, state: Any, **more: Any) -> BulkReport:
        return await tasks.cancel_all(queue, state, **more)

    return await do(desk, CANCEL, choice, one, all_of)
