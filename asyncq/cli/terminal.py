"""Text for a terminal: tables, numbers, a line of progress, and a question."""

from __future__ import annotations

import os
import signal
import sys
import time
import unicodedata
from collections.abc import Sequence
from typing import Final, TextIO

import click

_INTERVAL: Final = 0.1
"""Seconds between two pictures of the progress: more often is only flicker."""

_BAR: Final = 24
"""Characters of the bar."""

_JOINER: Final = "\u200d"
"""What makes one picture of several. The other invisible characters could hide or turn text."""


def clean(text: str) -> str:
    """Text as it can be shown: what would move the cursor, colour the rest or turn it round is escaped.

    Types, errors and payloads come from whoever may enqueue, and an operator's terminal obeys what it reads.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if _is_harmless(one) else _escaped(one) for one in text)


def _is_harmless(one: str) -> bool:
    return one == _JOINER or unicodedata.category(one) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _escaped(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")


def width(text: str) -> int:
    """Columns that cleaned text takes on a terminal."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(one: str) -> int:
    if unicodedata.category(one) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(one) in "WF" else 1


def cut(text: str, most: int) -> str:
    """Text of so many columns at the most; an ellipsis says that there was more."""
    if width(text) <= most:
        return text
    kept, taken = "", 0
    for one in text:
        taken += _columns(one)
        if taken > most - 1:
            break
        kept += one
    return kept + "…" if most > 0 else ""


def pad(text: str, columns: int, *, is_number: bool = False) -> str:
    """Text filled up with blanks, numbers to the right."""
    blanks = " " * (columns - width(text))
    return blanks + text if is_number else text + blanks


def columns_of(stream: TextIO) -> int:
    """Columns of the terminal behind a stream; 0 where there is none, and nothing need be cut."""
    if not stream.isatty():
        return 0
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal():
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except OSError:  # it says that it is one, and has no size
        return 0


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others, which are numbers, to the right."""
    widths = [max(width(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines: list[str] = []
    for number, row in enumerate([head, *rows]):
        cells = [
            pad(cell, columns, is_number=at > 0)
            for at, (cell, columns) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  ".join(cells)
        lines.append(click.style(line, bold=True) if number == 0 else line)
    return lines


def counted(number: int, thing: str) -> str:
    """A number and its thing: `1 task`, `2,000 tasks`, `3 entries`."""
    many = f"{thing[:-1]}ie" if thing.endswith("y") else thing
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {many}s"


def complain(text: str) -> None:
    """Say on stderr what went wrong, as click does with wrong usage."""
    click.echo("Error: " + "\n".join(map(clean, text.split("\n"))), err=True)


def require_answer(question: str) -> None:
    """See that there is somebody to ask.

    Raises:
        UsageError: Nobody is, and `--yes` was not given.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody is there to answer: add --yes.")


def ask(question: str) -> bool:
    """Ask, and return whether the answer was yes."""
    # A loop of asyncio keeps Ctrl-C for itself, and would wait for the answer.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return click.confirm(clean(question), err=True)
    finally:
        signal.signal(signal.SIGINT, handler)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is done that cannot be undone.

    Raises:
        UsageError: Nobody is there to ask, and `--yes` was not given.
        Abort: The answer was no.
    """
    if yes:
        return
    require_answer(question)
    if not ask(question):
        raise click.Abort


class ProgressLine:
    """One line on stderr that is written over, where stderr is a terminal."""

    def __init__(self) -> None:
        self._is_on: Final = sys.stderr.isatty()
        self._next_at = 0.0
        self._width = 0

    def show(self, step: str, done: int, total: int) -> None:
        """Say how far it is."""
        if not self._is_on or time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + _INTERVAL
        self._write(f"{step}  {_bar(done, total)}{done:,} of {total:,}" if total else step)

    def clear(self) -> None:
        """Leave nothing of it."""
        if self._width:
            self._write("")
            click.echo("\r", nl=False, err=True)
            self._width = 0

    def _write(self, text: str) -> None:
        click.echo("\r" + text.ljust(self._width), nl=False, err=True)
        self._width = len(text)


def _bar(done: int, total: int) -> str:
    full = min(_BAR, _BAR * done // total)
    return f"[{'#' * full}{'.' * (_BAR - full)}]  "
