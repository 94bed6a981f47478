"""Charts and estimates, from what servers measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from asyncq.inspector import QueueInfo
from asyncq.measures import MeasuredPoint, Pulse, Spread

SPANS: Final = (
    ("1h", "hour", 3600, 60),
    ("3h", "three hours", 10800, 180),
    ("1d", "day", 86400, 3600),
    ("7d", "week", 604800, 10800),
)
"""Name in the query, label, seconds back, seconds of a point."""

RECENT: Final = 5
"""Points of a minute that say how fast a queue is drained now."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart, as the macro `chart` takes it."""

    id: str
    title: str
    unit: str
    columns: tuple[tuple[str, str], ...]  #: label and tone of each line
    rows: list[tuple[float, tuple[float | None, ...]]]  #: Unix seconds, and a value of each line


_Values = Callable[[MeasuredPoint], tuple[float, ...]]


def charts(points: Sequence[MeasuredPoint]) -> list[Chart]:
    """What is drawn of these points."""

    def made(
        name: str, title: str, unit: str, columns: tuple[tuple[str, str], ...], values: _Values
    ) -> Chart:
        rows = [(one.at.timestamp(), tuple(_shown(value) for value in values(one))) for one in points]
        return Chart(f"chart-{name}", title, unit, columns, rows)

    return [
        made(
            "throughput",
            "Attempts a second",
            "/s",
            (("succeeded", "one"), ("failed", "two")),
            lambda one: (_a_second(one, one.processed - one.failed), _a_second(one, one.failed)),
        ),
        made(
            "backlog",
            "Tasks that wait to be taken",
            "",
            (("pending", "one"), ("active", "four")),
            lambda one: (one.pending, one.active),
        ),
        made("age", "Age of the oldest of them", "s", (("oldest", "three"),), lambda one: (one.oldest,)),
        made("wait", "Waiting time", "s", _PERCENTILES, lambda one: _percentiles(one.wait)),
        made("run", "Running time", "s", _PERCENTILES, lambda one: _percentiles(one.run)),
    ]


_PERCENTILES: Final[tuple[tuple[str, str], ...]] = (("p50", "one"), ("p95", "three"), ("p99", "two"))


def _percentiles(spread: Spread) -> tuple[float, ...]:
    return tuple(spread.percentile(percent) for percent in (50, 95, 99))


def _a_second(point: MeasuredPoint, count: int) -> float:
    return count / point.seconds if point.seconds else 0.0


def _shown(value: float) -> float | None:
    """A value with as many digits as a chart can show."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast tasks are worked off lately."""

    throughput: float  #: attempts a second
    failed: float  #: those that failed, a second

    def drain(self, info: QueueInfo) -> float:
        """Seconds until what is pending is worked off at this pace; infinite at none.

        A guess: what comes in meanwhile is not in it.
        """
        if not info.pending:
            return 0.0
        return info.pending / self.throughput if self.throughput else math.inf


def pace(points: Sequence[MeasuredPoint]) -> Pace:
    """The pace of the last minutes."""
    recent = points[-RECENT:]
    seconds = sum(one.seconds for one in recent)
    if not seconds:
        return Pace(0.0, 0.0)
    return Pace(sum(one.processed for one in recent) / seconds, sum(one.failed for one in recent) / seconds)


SPARK_WIDTH: Final = 57
SPARK_HEIGHT: Final = 16
_MARGIN: Final = 1
"""So that a line at the top or the bottom is as thick as elsewhere."""

_GROUND: Final = SPARK_HEIGHT - _MARGIN


@dataclass(frozen=True, slots=True)
class Spark:
    """A line no larger than a word, and the numbers that stand beside it."""

    total: int
    failed: int
    line: str  #: points of a line of SVG: all attempts
    bars: str  #: a path of SVG: a bar where some failed; empty when none did


def spark(pulse: Pulse) -> Spark | None:
    """What is drawn beside the name of a queue; nothing for one in which nothing was done."""
    most = max(pulse.processed, default=0)
    if not most:
        return None
    places = _places(pulse.processed, most)
    bars = zip(_places(pulse.failed, most), pulse.failed, strict=True)
    return Spark(
        pulse.total,
        pulse.total_failed,
        " ".join(f"{across},{up}" for across, up in places),
        "".join(f"M{across},{_GROUND}V{up}" for (across, up), failed in bars if failed),
    )


def _places(values: Sequence[int], most: int) -> list[tuple[str, str]]:
    """Where values are in the box, from left to right, as SVG writes it."""
    step = SPARK_WIDTH / max(1, len(values) - 1)
    height = _GROUND - _MARGIN
    return [(f"{at * step:.3g}", f"{_GROUND - value / most * height:.3g}") for at, value in enumerate(values)]
