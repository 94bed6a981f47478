"""Text for a terminal: tables, numbers and a line of progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Final

import click

_INTERVAL: Final = 0.1
"""Seconds between two pictures of the progress: more often is only flicker."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others, which are numbers, to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines: list[str] = []
    for number, row in enumerate([head, *rows]):
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        line = "  ".join([row[0].ljust(widths[0]), *cells[1:]])
        lines.append(click.style(line, bold=True) if number == 0 else line)
    return lines


def counted(number: int, thing: str) -> str:
    """A number and its thing: `1 task`, `2,000 tasks`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


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
        text = f"{step}  {done:,} of {total:,}" if total else step
        self._write(text)

    def clear(self) -> None:
        """Leave nothing of it."""
        if self._width:
            self._write("")
            click.echo("\r", nl=False, err=True)
            self._width = 0

    def _write(self, text: str) -> None:
        click.echo("\r" + text.ljust(self._width), nl=False, err=True)
        self._width = len(text)
