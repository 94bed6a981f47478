"""What a command that looks at Redis works with: the inspector, and where its answer goes."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from asyncq.cli.connecting import CLEAN, PARTLY, Target, code_of, inspector_options, open_inspector, run
from asyncq.cli.later import Later
from asyncq.cli.output import FORMS, Answers, Form, Sheet, View
from asyncq.cli.terminal import clean, complain

if TYPE_CHECKING:
    from asyncq import errors
    from asyncq.inspector import Inspector
else:
    errors = Later("asyncq.errors")

_Work = Callable[..., Coroutine[Any, Any, int | None]]
_T = TypeVar("_T")


class Desk:
    """The inspector, and the form that the answer has."""

    def __init__(self, inspector: Inspector, target: Target, form: Form) -> None:
        self.inspector: Final = inspector
        self.target: Final = target
        self.form: Final = form

    @property
    def is_for_people(self) -> bool:
        """Whether text is wanted, and not data."""
        return self.form in ("table", "wide")

    def sheet(self, view: View) -> Sheet:
        """A list on its way out."""
        return Sheet(self.form, view)

    def answers(self) -> Answers:
        """What is done, one thing after the other."""
        return Answers(self.form)

    def note(self, text: str, *, colour: str | None = None) -> None:
        """Say something beside the answer, to people only."""
        if self.is_for_people:
            click.echo(click.style(clean(text), fg=colour), err=True)

    async def queue_of(self, task_id: str, queue: str | None) -> str:
        """The queue of a task: the one that was named, or else the only one that has it.

        Raises:
            UsageError: Several queues have a task with this id.
            NotFoundError: None has.
        """
        if queue is not None:
            return queue
        search = self.inspector.search
        found = await search.by_id(task_id, partial=True)
        if not found and found.missing:
            # It may be there; this says where.
            found = await search.by_id(task_id)
        queues = [info.queue for info in found]
        if len(queues) > 1:
            raise click.UsageError(f"Queues {', '.join(queues)} have a task {task_id!r}: say --queue.")
        if not queues:
            raise importlib.import_module("asyncq.cli.nowhere").NowhereError(task_id)
        return queues[0]

    async def each(self, things: Iterable[_T], act: Callable[[_T, Answers], Awaitable[None]]) -> int:
        """Do the same to each thing. One that cannot be done is told, and the others go on.

        Returns:
            The exit code: that of the error where nothing could be done, 6 where some could.
        """
        answers, codes = self.answers(), list[int]()
        try:
            for thing in things:
                try:
                    await act(thing, answers)
                    codes.append(CLEAN)
                except errors.BrokerError:
                    raise  # the others would fare no better
                except errors.AsyncqError as error:
                    complain(str(error))
                    codes.append(code_of(error))
        finally:
            answers.end()
        if CLEAN in codes:
            return PARTLY if any(codes) else CLEAN
        return codes[0] if codes else CLEAN


def at_desk(work: _Work) -> Callable[..., None]:
    """Make a command of a coroutine that is called with a `Desk` and the command's own options.

    Adds the options that all such commands have. What the coroutine returns is the exit code.
    """

    @inspector_options
    @click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
    @click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice(FORMS),
        default="table",
        help="A table (wide: not cut to the terminal), JSON, an item a line, or ids alone.",
    )
    @click.pass_context
    @functools.wraps(work)
    def command(ctx: click.Context, /, **options: Any) -> None:
        target = Target.take(options)
        form: Form = "json" if options.pop("as_json") else options["form"]
        del options["form"]
        ctx.exit(run(_sit_down(work, target, form, options)))

    return cast("Callable[..., None]", command)


async def _sit_down(work: _Work, target: Target, form: Form, options: dict[str, Any]) -> int:
    with _warnings_shown():
        async with open_inspector(target) as inspector:
            return await work(Desk(inspector, target, form), **options) or CLEAN


@contextlib.contextmanager
def _warnings_shown() -> Generator[None]:
    """Show what the library logs as an error, and keep back the rest: the command tells it already."""
    logging = importlib.import_module("logging")
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    handler.setFormatter(logging.Formatter("Warning: %(message)s"))
    log = logging.getLogger("asyncq")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
