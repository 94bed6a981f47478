"""Shows rows in a table that somebody is looking at: the line under the cursor stays under it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.coordinate import Coordinate
from textual.widgets import DataTable

from asyncq.dash.rows import Column, Row

MARK = "*"


class Listing(DataTable[Text]):
    """A table of rows."""

    def __init__(self) -> None:
        super().__init__(id="list", cursor_type="row", zebra_stripes=True)
        self._columns_shown: tuple[Column, ...] = ()
        self._wanted = ""
        self.shown: list[Row] = []  #: what is in it

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.shown[self.cursor_row] if 0 <= self.cursor_row < len(self.shown) else None

    def want(self, key: str) -> None:
        """Put the cursor on this row with the next `show`."""
        self._wanted = key

    def show(self, columns: Sequence[Column], rows: list[Row], marked: set[str], width: int) -> None:
        """Show rows.

        Args:
            columns: All that there are; those for which the terminal is too narrow are left out.
            rows: In their order.
            marked: Keys of rows that are marked.
            width: Columns of the terminal.
        """
        fitting = tuple(column for column in columns if column.least <= width)
        places = [at for at, column in enumerate(columns) if column.least <= width]
        lines = [_line(row, fitting, places, is_marked=row.key in marked) for row in rows]
        is_same = fitting == self._columns_shown and [row.key for row in rows] == [
            row.key for row in self.shown
        ]
        if is_same and not self._wanted:
            self._change(lines)
        else:
            self._replace(fitting, rows, lines)
        self.shown = rows

    def _change(self, lines: list[list[Text]]) -> None:
        for at, cells in enumerate(lines):
            for column, cell in enumerate(cells):
                where = Coordinate(at, column)
                if self.get_cell_at(where) != cell:
                    self.update_cell_at(where, cell, update_width=True)

    def _replace(self, columns: tuple[Column, ...], rows: list[Row], lines: list[list[Text]]) -> None:
        current, at = self.current, self.cursor_row
        wanted = self._wanted or (current.key if current is not None else "")
        offset = self.scroll_offset
        if columns != self._columns_shown:
            self.clear(columns=True)
            for title in ("", *(column.title for column in columns)):
                self.add_column(title)
            self._columns_shown = columns
        else:
            self.clear()
        self.add_rows(lines)
        keys = [row.key for row in rows]
        row = keys.index(wanted) if wanted in keys else min(at, len(rows) - 1)
        self._wanted = ""
        if rows:
            self.scroll_to(y=offset.y, animate=False)
            self.move_cursor(row=max(0, row))


def _line(row: Row, columns: tuple[Column, ...], places: list[int], *, is_marked: bool) -> list[Text]:
    style = "bold" if is_marked else row.style
    cells = [Text(MARK if is_marked else " ", style="bold")]
    for column, at in zip(columns, places, strict=True):
        cell = Text(row.cells[at], style=style, no_wrap=True)
        cell.justify = "right" if column.is_number else "left"
        cells.append(cell)
    return cells
