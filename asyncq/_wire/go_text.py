"""Text as Go writes it: durations, dates, quoted text, and the options of scheduler entries made of them.

The options of an entry are in its record as the calls that made them: `Queue("low")`, `Timeout(1m30s)`. Ours
are written so that Go's reader gets them right, which takes an argument to end at the first `)`: inside of
quotes that is escaped. What only we know is written in the same way; Go passes it over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Final

from asyncq._clock import parse_duration
from asyncq._wire.protobuf import utf8
from asyncq.errors import ConfigError, WireError

# --- durations -------------------------------------------------------------------


def write_duration(seconds: float) -> str:
    """A duration in Go's form: `1h30m0s`, `1.5s`, `300ms`; to the nanosecond."""
    nanos = round(seconds * 1e9)
    sign, nanos = ("-", -nanos) if nanos < 0 else ("", nanos)
    if nanos == 0:
        return "0s"
    for size, unit in ((10**3, "ns"), (10**6, "µs"), (10**9, "ms")):
        if nanos < size:
            return f"{sign}{_decimal(nanos, size // 1000)}{unit}"
    minutes, rest = divmod(nanos, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 10**9)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else sign + text


def read_duration(text: str) -> float:
    """The seconds of a duration in Go's form.

    Raises:
        WireError: It is none.
    """
    sign = -1.0 if text.startswith("-") else 1.0
    try:
        return sign * parse_duration(text[1:] if text.startswith(("-", "+")) else text)
    except ConfigError:
        raise WireError("duration", f"{text[:80]!r} is not one of Go") from None


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).zfill(len(str(unit)) - 1).rstrip('0')}"


# --- dates -----------------------------------------------------------------------

# Not by `strftime`, which would write them in the language of the process.
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DATE: Final = re.compile(
    rf"(?:{'|'.join(_DAYS)}) ({'|'.join(_MONTHS)}) ([ \d]\d|\d) (\d\d):(\d\d):(\d\d) (\S+) (\d{{4}})",
    re.ASCII,
)
_OFFSET: Final = re.compile(r"(?:GMT)?([+-])(\d{1,2})(\d\d)?", re.ASCII)


def write_date(unix: int) -> str:
    """An instant in Go's UnixDate: `Thu May 14 01:02:03 UTC 2026`."""
    t = _EPOCH + timedelta(seconds=unix)
    day, month = _DAYS[t.weekday()], _MONTHS[t.month - 1]
    return f"{day} {month} {t.day:2} {t.hour:02}:{t.minute:02}:{t.second:02} UTC {t.year:04}"


def read_date(text: str) -> int:
    """The Unix seconds of an instant in Go's UnixDate.

    The name of a zone does not say an offset. One that is not UTC, and no offset itself, is read as UTC;
    Go does so with those that are not its own.

    Raises:
        WireError: It is none.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise WireError("date", f"{text[:80]!r} is not a UnixDate of Go")
    month, *parts, zone, year = match.groups()
    day, hour, minute, second = map(int, parts)
    try:
        local = datetime(int(year), _MONTHS.index(month) + 1, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise WireError("date", f"{text[:80]!r}: {error}") from None
    return (local - _EPOCH) // timedelta(seconds=1) - _offset(zone)


def _offset(zone: str) -> int:
    match = _OFFSET.fullmatch(zone)
    if match is None:
        return 0
    sign, hours, minutes = match.groups("0")
    return (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1)


# --- quoted text -----------------------------------------------------------------

_SHORT: Final = {
    "\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v",
    "\\": r"\\", '"': r"\"",
}  # fmt: skip
_LONG: Final = {short[1]: char for char, short in _SHORT.items()} | {"'": "'"}
_QUOTED: Final = re.compile(
    r"""\\(?:x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8})|(?P<o>[0-3][0-7]{2})"""
    r"""|(?P<short>[abfnrtv\\"]))|(?P<plain>[^"\\\n]+)"""
)


def quote(text: str) -> str:
    """Text in quotes as Go's `strconv.Quote` writes it: what can be printed stays."""
    return f'"{"".join(map(_escaped, utf8(text).decode()))}"'


def _escaped(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unquote(text: str) -> str:
    """The text that Go has quoted, with quotes or with backquotes.

    Raises:
        WireError: It is not quoted, or wrongly.
    """
    if len(text) >= 2 and text[0] == text[-1] == "`" and "`" not in text[1:-1]:
        return text[1:-1].replace("\r", "")
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        raise WireError("text", f"{text[:80]!r} is not in quotes")
    held = bytearray()
    at, end = 1, len(text) - 1
    while at < end:
        match = _QUOTED.match(text, at, end)
        code = int(match["u"] or match["U"] or "0", 16) if match else -1
        if match is None or code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise WireError("text", f"{text[:80]!r} is not quoted as Go does")
        at = match.end()
        if match["x"] or match["o"]:
            # A byte, not a character: of text that was not UTF-8.
            held.append(int(match["x"], 16) if match["x"] else int(match["o"], 8))
        else:
            char = match["plain"] or (_LONG[match["short"]] if match["short"] else chr(code))
            held += utf8(char)
    return held.decode(errors="replace")


# --- options ---------------------------------------------------------------------


def _write_quoted(value: str) -> str:
    return quote(value).replace(")", r"\x29")


def _write_instant(value: float) -> str:
    return write_date(ceil(value))


def _write_header(item: tuple[str, str]) -> str:
    text = json.dumps([utf8(part).decode() for part in item], ensure_ascii=False, separators=(",", ":"))
    # As Go does for pages that have it inside; and the bracket for its reader of options.
    for char in "<>&\u2028\u2029)":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _read_number(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
        raise WireError("number", f"{text[:80]!r} is none")
    return max(int(text), 0)


def _read_positive(text: str) -> float:
    seconds = read_duration(text)
    if seconds < 0:
        raise WireError("duration", f"{text[:80]!r} is negative")
    return seconds


def _read_instant(text: str) -> float:
    return float(max(read_date(text), 1))


def _read_header(text: str) -> tuple[str, str]:
    try:
        match json.loads(text):
            case [str(name), str(value)]:
                return utf8(name).decode(), utf8(value).decode()
            case _:
                pass
    except (ValueError, RecursionError):
        pass
    raise WireError("header", f"{text[:80]!r} is not a pair of texts")


_Form = tuple[str, Callable[[Any], str], Callable[[str], Any]]

_FORMS: Final[dict[str, _Form]] = {
    "queue": ("Queue", _write_quoted, unquote),
    "max_retry": ("MaxRetry", str, _read_number),
    "timeout": ("Timeout", write_duration, _read_positive),
    "deadline": ("Deadline", _write_instant, _read_instant),
    "unique": ("Unique", write_duration, _read_positive),
    "at": ("ProcessAt", _write_instant, _read_instant),
    "delay": ("ProcessIn", write_duration, _read_positive),
    "task_id": ("TaskID", _write_quoted, unquote),
    "retention": ("Retention", write_duration, _read_positive),
    "group": ("Group", _write_quoted, unquote),
    # Ours alone.
    "expires_at": ("ExpiresAt", _write_instant, _read_instant),
    "expires_in": ("ExpiresIn", write_duration, _read_positive),
    "retry": ("Retry", _write_quoted, unquote),
}
_READERS: Final = {call: (name, read) for name, (call, _, read) in _FORMS.items()}
_CALL: Final = re.compile(r"(\w+)\((.*)\)", re.ASCII | re.DOTALL)


def write_options(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The text forms of checked options.

    Args:
        options: As `check_options` has returned them. Instants lose their fraction: they are rounded up.
    """
    texts = [
        f"{call}({write(options[name])})" for name, (call, write, _) in _FORMS.items() if name in options
    ]
    headers: Mapping[str, str] = options.get("headers", {})
    return (*texts, *(f"Header({_write_header(item)})" for item in headers.items()))


def read_options(texts: Iterable[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Read the text forms of options.

    Returns:
        The options by the names that `check_options` gives them, the last one of each; and the texts that
        nobody here can read.
    """
    options: dict[str, Any] = {}
    unread: list[str] = []
    for text in texts:
        try:
            name, value = _read_option(text)
        except WireError:
            unread.append(text)
            continue
        if name == "headers":
            options.setdefault(name, {}).update([value])
        else:
            options[name] = value
    return options, tuple(unread)


def _read_option(text: str) -> tuple[str, Any]:
    match = _CALL.fullmatch(text)
    if match is None:
        raise WireError("option", "not a call")
    call, argument = match.groups()
    if call == "Header":
        return "headers", _read_header(argument)
    if call not in _READERS:
        raise WireError("option", "an unknown one")
    name, read = _READERS[call]
    return name, read(argument)
