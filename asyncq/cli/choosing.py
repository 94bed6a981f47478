"""Which tasks a command is about: by id, or by queue, state and filters; and how bulk work is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from asyncq.cli.connecting import complete_queues
from asyncq.cli.formats import MOMENT, RATE

if TYPE_CHECKING:
    from asyncq.inspector import Inspector

_Function = TypeVar("_Function", bound=Callable[..., Any])

STATES: Final = ("active", "pending", "retry", "scheduled", "archived", "completed", "aggregating")

queue_option: Final = click.option(
    "-q",
    "--queue",
    metavar="NAME",
    shell_complete=complete_queues,
    help="The queue. Where it is left out, the one that has the task, if there is no other.",
)


def filter_options(function: _Function) -> _Function:
    """Add the filters that lists and bulk work share."""
    until = click.option("--until", type=MOMENT, help="Not after this; see --since.")
    since = click.option(
        "--since",
        type=MOMENT,
        help="Not before this time, or so long ago (+2h: from now): when it is due, was archived, succeeded, "
        "was enqueued, or began.",
    )
    error = click.option("--error", metavar="TEXT", help="Whose last error contains this, in whatever case.")
    cause = click.option(
        "--cause", metavar="CAUSE", help="That failed for this reason; see `asyncq failures`."
    )
    kind = click.option(
        "--type", "type_", metavar="TYPE", help="Of this type; * stands for any text: 'email:*'."
    )
    group = click.option("-g", "--group", metavar="NAME", help="The group; its tasks are aggregating.")
    return group(kind(error(cause(since(until(function))))))


def bulk_options(function: _Function) -> _Function:
    """Add how bulk work is done."""
    yes = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
    dry_run = click.option("--dry-run", is_flag=True, help="Only count what it would act upon.")
    limit = click.option("--limit", type=click.IntRange(1), help="Stop after so many tasks.")
    rate = click.option("--rate", type=RATE, help="At most so many tasks a second: 50/s, 3000/m.")
    return rate(limit(dry_run(yes(function))))


def choice_options(states: Sequence[str], default: Sequence[str] = ()) -> Callable[[_Function], _Function]:
    """Add ids and all else that says which tasks are meant."""

    def add(function: _Function) -> _Function:
        every = click.option("--all-queues", is_flag=True, help="Of all queues.")
        state = click.option(
            "-s",
            "--state",
            "states",
            type=click.Choice(states),
            multiple=True,
            default=default,
            show_default=bool(default),
            help="All tasks in this state; may be given again.",
        )
        queues = click.option(
            "-q",
            "--queue",
            "queues",
            metavar="NAME",
            multiple=True,
            shell_complete=complete_queues,
            help="The queue; may be given again.",
        )
        ids = click.argument("ids", nargs=-1, metavar="[ID]...")
        return ids(queues(every(state(filter_options(bulk_options(function))))))

    return add


@dataclass(kw_only=True)
class Choice:
    """What was asked for."""

    queues: tuple[str, ...]
    states: tuple[str, ...]
    ids: tuple[str, ...] = ()
    all_queues: bool = False
    group: str | None = None
    type_: str | None = None
    error: str | None = None
    cause: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    rate: float | None = None
    limit: int | None = None
    dry_run: bool = False
    yes: bool = False

    @property
    def filters(self) -> dict[str, Any]:
        """As the inspector takes them."""
        given = {
            "group": self.group,
            "type": self.type_,
            "error": self.error,
            "cause": self.cause,
            "since": self.since,
            "until": self.until,
        }
        return {name: value for name, value in given.items() if value is not None}

    @property
    def manner(self) -> dict[str, Any]:
        """How bulk work is done, without the limit, which is for all of it."""
        return {"dry_run": self.dry_run} | ({"rate": self.rate} if self.rate else {})

    def check(self, *, default_states: Sequence[str] = ()) -> None:
        """Refuse what contradicts itself, before anything is looked at.

        Raises:
            UsageError: With what to say instead.
        """
        if self.ids:
            self._check_ids(default_states)
            return
        if self.group is not None and self.states in ((), tuple(default_states)):
            self.states = ("aggregating",)
        if not self.states:
            raise click.UsageError("Say which tasks: their IDs, or --queue and --state.")
        if not self.queues and not self.all_queues:
            raise click.UsageError("Say of which queue: --queue NAME, or --all-queues.")
        if self.queues and self.all_queues:
            raise click.UsageError("--queue or --all-queues, not both.")
        if (self.group is not None) != (self.states == ("aggregating",)):
            raise click.UsageError("--state aggregating needs a --group, and --group no other state.")

    def _check_ids(self, default_states: Sequence[str]) -> None:
        odd = ["--" + name for name in self.filters]
        odd += ["--state"] if self.states not in ((), tuple(default_states)) else []
        odd += ["--all-queues"] if self.all_queues else []
        odd += ["--rate"] if self.rate else []
        odd += ["--limit"] if self.limit else []
        if odd:
            raise click.UsageError(f"Either IDs or {' and '.join(odd)}, not both.")
        if len(self.queues) > 1:
            raise click.UsageError("IDs are of one --queue.")

    async def places(self, inspector: Inspector) -> list[tuple[str, str]]:
        """Queues and states to go over."""
        queues = await inspector.queues.names() if self.all_queues else self.queues
        return [(queue, state) for queue in queues for state in self.states]


def read_ids(ids: Sequence[str]) -> list[str]:
    """The ids; `-` stands for those on standard input, one a line."""
    found: list[str] = []
    for one in ids:
        found += [line.strip() for line in sys.stdin if line.strip()] if one == "-" else [one]
    return list(dict.fromkeys(found))
