"""Durations, instants, rates and counts: as an operator writes them, and as one reads them."""

from __future__ import annotations

import re
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from asyncq.cli.later import Later

if TYPE_CHECKING:
    import json

    _Type = click.ParamType[Any]
else:
    json = Later("json")
    _Type = click.ParamType  # which older releases of click do not let be subscripted

_UNITS: Final = {
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 7 * 86400.0,
}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])", re.ASCII)
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)

_SHAPES: Final = "such as 90, 90s, 1h30m or 2d"
_INSTANT_SHAPES: Final = (
    "such as 2026-11-21T18:00:00Z, 2026-11-21T18:00+01:00 or '2026-11-21T18:00 Europe/Berlin'"
)


def read_duration(text: str) -> float | None:
    """Seconds of `90`, `1h30m` or `2d`; `None` for anything else."""
    if _NUMBER.fullmatch(text):
        return float(text)
    total, position = 0.0, 0
    while part := _PART.match(text, position):
        total += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    return total if position and position == len(text) else None


def read_instant(text: str) -> datetime | None:
    """An instant as ISO 8601 has it, its zone as an offset or by its name; `None` for anything else."""
    if text == "now":
        return datetime.now(UTC)
    day, _, zone = text.rpartition(" ")
    if day and re.fullmatch(r"[A-Za-z][\w+-]*(/[\w+-]+)*", zone, re.ASCII):
        return _in_zone(day, zone)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.utcoffset() is not None else None


def _in_zone(text: str, zone: str) -> datetime | None:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - few times are written so, and completion must be quick

    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=ZoneInfo(zone)) if found.tzinfo is None else None
    except (ValueError, LookupError, OSError):  # what no clock shows, and names that are no zone
        return None


class _Duration(_Type):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = read_duration(value) if isinstance(value, str) else float(value)
        if found is None:
            self.fail(f"{value!r} is no duration {_SHAPES}.", param, ctx)
        return found


class _Instant(_Type):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        found = value if isinstance(value, datetime) else read_instant(value)
        if found is None:
            self.fail(f"{value!r} is no time with a zone, {_INSTANT_SHAPES}.", param, ctx)
        return found


class _Moment(_Type):
    name = "time|duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        found = value if isinstance(value, datetime) else self._read(value)
        if found is None:
            self.fail(f"{value!r} is no time, {_INSTANT_SHAPES}, and no duration {_SHAPES}.", param, ctx)
        return found

    @staticmethod
    def _read(text: str) -> datetime | None:
        away = read_duration(text.removeprefix("+"))
        if away is None:
            return read_instant(text)
        try:
            distance = timedelta(seconds=away)
            return datetime.now(UTC) + (distance if text.startswith("+") else -distance)
        except OverflowError:
            return None


class _Rate(_Type):
    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number, slash, unit = str(value).partition("/")
        per = _UNITS.get(unit if slash else "s")
        if not _NUMBER.fullmatch(number) or per is None or float(number) <= 0:
            self.fail(f"{value!r} is no rate such as 50/s, 3000/m or 50, tasks a second.", param, ctx)
        return float(number) / per


class _Payload(_Type):
    """JSON, `@FILE` with JSON, or `-` for standard input."""

    name = "payload"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | bytes:
        if isinstance(value, bytes):
            return value
        text: str = value
        if text == "-":
            return sys.stdin.buffer.read()
        if not text.startswith("@"):
            return text
        try:
            with click.open_file(text[1:], "rb") as file:
                content: bytes = file.read()
        except OSError as error:
            self.fail(f"cannot read {text[1:]!r}: {error.strerror}.", param, ctx)
        return content


class _Header(_Type):
    name = "name=text"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        name, equals, text = str(value).partition("=")
        if not name.strip() or not equals:
            self.fail(f"{value!r} is no header such as trace=4711.", param, ctx)
        return name, text


DURATION: Final = _Duration()
INSTANT: Final = _Instant()
MOMENT: Final = _Moment()
"""An instant, or so long ago; with a `+` so long from now."""
RATE: Final = _Rate()
PAYLOAD: Final = _Payload()
HEADER: Final = _Header()


def read_json(text: str | bytes, name: str) -> Any:
    """What JSON says.

    Raises:
        BadParameter: It is none; with where it stops to be.
    """
    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise click.BadParameter("it is no UTF-8 text, and so no JSON.", param_hint=name) from error
    except ValueError as error:
        raise click.BadParameter(
            f"it is no JSON: {error}. Text has quotes there.", param_hint=name
        ) from error
    except RecursionError as error:
        raise click.BadParameter("it is nested too deep.", param_hint=name) from error


def span(seconds: float) -> str:
    """A duration in two units at the most: `850ms`, `4.2s`, `3m20s`, `2h5m`, `12d3h`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms" if seconds else "0s"
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, size, small, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size}{unit}" + (f"{rest}{small}" if rest else "")
    return f"{whole}s"


def away(at: datetime | None, *, never: str = "-") -> str:
    """How far an instant is from now: `3m ago`, `in 2h`."""
    if at is None:
        return never
    seconds = at.timestamp() - time.time()
    return f"in {span(seconds)}" if seconds >= 0 else f"{span(-seconds)} ago"


def clock(at: datetime | None, *, never: str = "-") -> str:
    """An instant for people, in UTC, with how far it is."""
    if at is None:
        return never
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({away(at)})"


def percent(part: int, whole: int) -> str:
    """A share, as far as there is a whole."""
    return f"{100 * part / whole:.1f}%" if whole else "-"


def size(count: int) -> str:
    """Bytes for people."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return ""
