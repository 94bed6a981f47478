"""What is drawn of what servers measured, and how its numbers are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from asyncq.dash.texts import NOTHING, span
from asyncq.inspector import MeasuredPoint, Spread

SETTLED: Final = 15.0
"""Seconds after which a point says something of now: before that hardly anything has come in."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One line."""

    title: str
    values: tuple[float, ...] = ()  #: the oldest first; 0 where there is nothing
    now: str = NOTHING
    least: str = NOTHING
    most: str = NOTHING

    def __str__(self) -> str:
        return f"{self.title}  {self.now}" + (
            f"  ·  {self.least} to {self.most}" if self.most != self.least else ""
        )


@dataclass(frozen=True, slots=True)
class _Line:
    title: str
    value: Callable[[MeasuredPoint], float]
    write: Callable[[float], str]

    def of(self, points: Sequence[MeasuredPoint], latest: int) -> Chart:
        values = [self.value(point) for point in points]
        known = [value for value in values if math.isfinite(value)]
        if not known:
            return Chart(self.title, (0.0,) * len(values))
        shown = tuple(value if math.isfinite(value) else 0.0 for value in values)
        now = self.write(values[latest]) if math.isfinite(values[latest]) else NOTHING
        return Chart(self.title, shown, now, self.write(min(known)), self.write(max(known)))


def _rate(value: float) -> str:
    return f"{value:,.0f}/s" if value >= 100 else f"{value:.2g}/s"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _failed(point: MeasuredPoint) -> float:
    return point.failed / point.seconds if point.seconds else 0.0


def _times(title: str, of: Callable[[MeasuredPoint], Spread]) -> list[_Line]:
    def line(name: str, percent: float) -> _Line:
        return _Line(f"{title}, {name}", lambda point: of(point).percentile(percent), span)

    return [line("median", 50), line("95%", 95), line("99%", 99)]


_WAIT: Final = _times("Wait", lambda point: point.wait)
_RUN: Final = _times("Run", lambda point: point.run)

LINES: Final = (
    _Line("Attempts", lambda point: point.throughput, _rate),
    _Line("Failures", _failed, _rate),
    _Line("Ready", lambda point: point.pending, _count),
    _Line("Oldest of them", lambda point: point.oldest, span),
    # Two columns: what tasks wait is beside what they take.
    *(line for pair in zip(_WAIT, _RUN, strict=True) for line in pair),
)


def charts_of(points: Sequence[MeasuredPoint]) -> tuple[Chart, ...]:
    """All lines of these points."""
    if not points:
        return tuple(Chart(line.title) for line in LINES)
    latest = -1 if points[-1].seconds >= SETTLED or len(points) == 1 else -2
    return tuple(line.of(points, latest) for line in LINES)
