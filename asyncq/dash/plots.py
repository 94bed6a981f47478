"""Draws charts: a line of bars each, beside one another where there is room for that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from textual.app import ComposeResult
from textual.containers import Grid, Vertical
from textual.widgets import Sparkline, Static

from asyncq.dash.charts import LINES, Chart

WIDE: Final = 90
"""Columns of a terminal in which two charts fit beside one another."""


class Plots(Grid):
    """As many charts as there are lines."""

    def __init__(self) -> None:
        super().__init__(id="plots")
        self._shown: tuple[Chart, ...] = ()

    def compose(self) -> ComposeResult:
        """Make them, empty."""
        for line in LINES:
            with Vertical(classes="plot"):
                yield Static(line.title, markup=False)
                yield Sparkline([])

    def show(self, charts: Sequence[Chart], width: int) -> None:
        """Draw charts.

        Args:
            charts: One for each line.
            width: Columns of the terminal.
        """
        self.set_class(width < WIDE, "narrow")
        if tuple(charts) == self._shown:
            return
        self._shown = tuple(charts)
        plots = zip(self.query(Static), self.query(Sparkline), charts, strict=False)
        for title, line, chart in plots:
            title.update(str(chart))
            line.data = chart.values
