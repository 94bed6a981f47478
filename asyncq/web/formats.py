"""How numbers, times and sizes are written for people."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from asyncq._clock import now

NOTHING: Final = "\N{EN DASH}"
"""Stands where there is no value."""

_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units: `2h 5m`, `3.4s`, `12ms`; a dash for none."""
    if seconds is None or math.isnan(seconds):
        return NOTHING
    if math.isinf(seconds):
        return "for ever"
    seconds = max(0.0, seconds)
    if seconds == 0:
        return "0s"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms" if seconds >= 0.001 else "<1ms"
    if seconds < 10:
        return f"{seconds:.1f}s"
    left = int(seconds)
    parts: list[str] = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts)


def ago(instant: datetime | None) -> str:
    """How long ago, or in how long, something is."""
    if instant is None:
        return NOTHING
    seconds = now() - instant.timestamp()
    if abs(seconds) < 1:
        return "now"
    return f"{duration(seconds)} ago" if seconds > 0 else f"in {duration(-seconds)}"


def clock(instant: datetime | None, zone: ZoneInfo) -> str:
    """A date and time, to the second."""
    return NOTHING if instant is None else instant.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def number(value: float | None) -> str:
    """A number with spaces between its thousands, that do not break."""
    if value is None or not math.isfinite(value):
        return NOTHING
    text = f"{value:,d}" if isinstance(value, int) else f"{value:,.1f}"
    return text.replace(",", "\N{NARROW NO-BREAK SPACE}")


def rate(value: float | None) -> str:
    """How many a second."""
    if value is None:
        return NOTHING
    return f"{number(round(value) if value >= 100 else round(value, 1))}/s"


def size(count: float | None) -> str:
    """Bytes, in the unit that keeps them short."""
    if count is None:
        return NOTHING
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def percent(part: float, whole: float) -> str:
    """A share; a dash of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else NOTHING


def figure(value: float | None, unit: str) -> str:
    """A value of a chart, in its unit: seconds, a second, or plain."""
    if value is None:
        return NOTHING
    return duration(value) if unit == "s" else rate(value) if unit == "/s" else number(value)
