"""What a command answers: a table for people, JSON for scripts, ids for pipes.

JSON has one shape for all commands: an object whose `items` are what was found or done, one each, and whose
`missing` is what could not be looked at. `jsonl` has the items alone, one a line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from asyncq.cli.connecting import CLEAN, PARTLY
from asyncq.cli.later import Later
from asyncq.cli.terminal import clean, columns_of, cut, pad, width

if TYPE_CHECKING:
    import json

    from asyncq.errors import Missing
else:
    json = Later("json")

Form = Literal["table", "wide", "json", "jsonl", "id"]
FORMS: Final = ("table", "wide", "json", "jsonl", "id")

_GAP: Final = 2
_NARROWEST: Final = 8
"""Columns that are left of a text, however narrow the terminal is."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    title: str
    text: Callable[[Any], str]
    is_number: bool = False
    is_elastic: bool = False  #: cut where the terminal is too narrow
    colour: Callable[[Any], str | None] | None = None


@dataclass(frozen=True, kw_only=True)
class View:
    """How things of one kind are shown."""

    columns: Sequence[Column]
    shape: Callable[[Any], dict[str, Any]]  #: one of them as JSON
    name: Callable[[Any], str]  #: its id
    none: str  #: what is said where there are none


class Sheet:
    """A list on its way out: written as it comes, so that it may be longer than memory."""

    def __init__(self, form: Form, view: View) -> None:
        self._form = form
        self._view = view
        self._count = 0
        self._widths: list[int] = []
        self._limit = columns_of(sys.stdout) if form == "table" else 0

    def add(self, things: Iterable[Any]) -> None:
        """Write some of it. The first ones decide how wide columns are."""
        batch = list(things)
        view = self._view
        if self._form in ("table", "wide"):
            self._rows(batch)
        elif self._form == "id":
            for thing in batch:
                click.echo(clean(view.name(thing)))
        elif self._form == "jsonl":
            for thing in batch:
                click.echo(json.dumps(view.shape(thing)))
        else:
            for thing in batch:
                click.echo(",\n    " if self._count else '{\n  "items": [\n    ', nl=False)
                click.echo(_indented(view.shape(thing), "    "), nl=False)
                self._count += 1
            return
        self._count += len(batch)

    def end(self, missing: Sequence[Missing] = (), **facts: Any) -> int:
        """Write the end of it, and return the exit code.

        Args:
            missing: What could not be looked at.
            facts: More about the whole, for JSON.
        """
        if self._form == "json":
            click.echo("\n  ]" if self._count else '{\n  "items": []', nl=False)
            for name, value in {**facts, "missing": [one._asdict() for one in missing]}.items():
                click.echo(f",\n  {json.dumps(name)}: {_indented(value, '  ')}", nl=False)
            click.echo("\n}")
        elif not self._count and self._form in ("table", "wide"):
            click.echo(self._view.none, err=True)
        for one in missing:
            click.echo(click.style(f"not shown: {clean(str(one))}", fg="red"), err=True)
        return PARTLY if missing else CLEAN

    def _rows(self, things: list[Any]) -> None:
        columns = self._view.columns
        cells = [[clean(column.text(thing)) for column in columns] for thing in things]
        if not self._widths and cells:
            self._widths = self._fit(
                [
                    max(width(column.title), *(width(row[at]) for row in cells))
                    for at, column in enumerate(columns)
                ]
            )
            head = self._line([column.title for column in columns], [None] * len(columns))
            click.echo(click.style(head, bold=True))
        for thing, row in zip(things, cells, strict=True):
            colours = [column.colour(thing) if column.colour else None for column in columns]
            click.echo(self._line(row, colours))

    def _fit(self, widths: list[int]) -> list[int]:
        """Make elastic columns narrower, the widest first, until a line fits."""
        elastic = [at for at, column in enumerate(self._view.columns) if column.is_elastic]
        while self._limit and elastic and sum(widths) + _GAP * (len(widths) - 1) > self._limit:
            widest = max(elastic, key=lambda at: widths[at])
            if widths[widest] <= _NARROWEST:
                break
            widths[widest] -= 1
        return widths

    def _line(self, cells: Sequence[str], colours: Sequence[str | None]) -> str:
        left, parts = self._limit or sys.maxsize, list[str]()
        for at, (cell, columns) in enumerate(zip(cells, self._widths, strict=True)):
            column, room = self._view.columns[at], min(columns, left)
            if room <= 0:
                break
            is_last = at == len(self._widths) - 1
            shown = cut(cell, room) if self._limit else cell
            blanks = room if column.is_number or not is_last else 0
            text = pad(shown, blanks, is_number=column.is_number)
            parts.append(click.style(text, fg=colours[at]) if colours[at] else text)
            left -= room + _GAP
        return (" " * _GAP).join(parts)


def _indented(value: Any, by: str) -> str:
    return json.dumps(value, indent=2).replace("\n", "\n" + by)


class Answers:
    """What was done, one thing after the other: a sentence for each, or an item."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._items: list[dict[str, Any]] = []

    def add(self, sentence: str, item: dict[str, Any], *, name: str = "", colour: str | None = None) -> None:
        """Say what was done.

        Args:
            sentence: For people.
            item: For scripts.
            name: The id, for pipes.
            colour: Of the sentence.
        """
        if self._form == "json":
            self._items.append(item)
        elif self._form == "jsonl":
            click.echo(json.dumps(item))
        elif self._form == "id":
            click.echo(clean(name))
        else:
            click.echo(click.style(clean(sentence), fg=colour))

    def end(self) -> None:
        """Write what was kept until all of it was there."""
        if self._form == "json":
            click.echo(json.dumps({"items": self._items, "missing": []}, indent=2))


def details(rows: Iterable[tuple[str, str]]) -> None:
    """Names and what they are, one a line; where a value has several lines they stand below each other."""
    given = [(name, value) for name, value in rows if value]
    widest = max((len(name) for name, _ in given), default=0)
    for name, value in given:
        first, *more = [clean(line) for line in value.split("\n")]
        click.echo(f"{click.style(name.ljust(widest), bold=True)}  {first}")
        for line in more:
            click.echo(f"{' ' * widest}  {line}")
