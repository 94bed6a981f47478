"""Payloads, results and headers as text: to read, to edit where nothing is lost by it, and to copy."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from asyncq.errors import ConfigError, WireError
from asyncq.task_info import TaskInfo

SHOWN: Final = 64 * 1024
"""Characters of a value that a page shows; all of it can be downloaded."""

DUMPED: Final = 2048
"""Bytes that are shown as numbers."""

EDITED: Final = 256 * 1024
"""Characters of a payload that can be edited in a page."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as a page shows it."""

    text: str
    kind: str  #: what it is, in a word or two
    is_cut: bool = False


NOTHING: Final = Shown("", "none")


def show(value: Any) -> Shown:
    """A value as text; of any kind, and of any size."""
    if value is None:
        return NOTHING
    if isinstance(value, bytes):
        return _show_bytes(value)
    if isinstance(value, str):
        return _cut(value, "text")
    try:
        return _cut(json.dumps(value, indent=2, ensure_ascii=False, default=_odd), "JSON")
    except (TypeError, ValueError, RecursionError):
        # Keys that are no text, or nested without end.
        return _show_odd(value)


def _show_odd(value: Any) -> Shown:
    try:
        return _cut(repr(value), "Python")
    except RecursionError:
        return Shown("nested too deeply to be shown", "unreadable")


def _odd(value: object) -> str:
    """What JSON has no word for."""
    if isinstance(value, bytes):
        return f"bytes: {value[:DUMPED].hex(' ')}"
    if isinstance(value, (set, frozenset)):
        return f"set: {sorted(map(repr, cast('set[Any]', value)))}"
    return str(value)


def _show_bytes(value: bytes) -> Shown:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    if text and not any(ord(sign) < 32 and sign not in "\t\n\r" for sign in text):
        return _cut(text, f"{len(value):,} bytes, text")
    lines = [_dump_line(value, at) for at in range(0, min(len(value), DUMPED), 16)]
    return Shown("\n".join(lines), f"{len(value):,} bytes", is_cut=len(value) > DUMPED)


def _dump_line(value: bytes, at: int) -> str:
    row = value[at : at + 16]
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
    return f"{at:06x}  {row.hex(' '):<47}  {text}"


def _cut(text: str, kind: str) -> Shown:
    # What is no Unicode cannot be sent.
    text = text.encode("utf-8", "replace").decode()
    return Shown(text[:SHOWN], kind, is_cut=len(text) > SHOWN)


def payload_of(info: TaskInfo) -> tuple[Any, str]:
    """The payload of a task as it may be shown, and why it cannot be decoded."""
    try:
        return info.payload, ""
    except WireError as error:
        return info.raw, str(error)


Form = Literal["json", "text"]


@dataclass(frozen=True, slots=True)
class Editable:
    """A payload in a field of a form: what is sent back unchanged is the very same."""

    form: Form
    text: str


def editable(info: TaskInfo, *, is_merged: bool = False) -> Editable | None:
    """The payload of a task as text to edit; `None` where editing as text would change more than is seen.

    With `is_merged` also what a redactor has left of it: `tasks.edit` leaves what is hidden as it is.
    """
    if info.is_redacted and not is_merged:
        return None
    value, problem = payload_of(info)
    if problem:
        return None
    found = _as_text(value) if isinstance(value, bytes) else _as_json(value)
    return found if found is not None and len(found.text) <= EDITED else None


def _as_text(value: bytes) -> Editable | None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    # Browsers send line ends of their own.
    return None if "\r" in text or "\0" in text else Editable("text", text)


def _as_json(value: Any) -> Editable | None:
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        is_same = _is_same(json.loads(text), value)
    except (TypeError, ValueError, RecursionError):
        return None
    can_be_sent = text.encode("utf-8", "ignore").decode() == text
    return Editable("json", text) if is_same and can_be_sent else None


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types, all the way down: `True` is not 1, nor 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        left, right = (
            cast("dict[Any, Any]", cast("object", one)),
            cast("dict[Any, Any]", cast("object", other)),
        )
        return [*left] == [*right] and all(_is_same(left[key], right[key]) for key in left)
    if isinstance(one, list):
        first, second = cast("list[Any]", cast("object", one)), cast("list[Any]", cast("object", other))
        return len(first) == len(second) and all(map(_is_same, first, second))
    return bool(one == other)


def read_payload(text: str, form: str) -> Any:
    """Read what somebody wrote into the field of a payload.

    Raises:
        ConfigError: It is no JSON.
    """
    text = text.replace("\r\n", "\n")
    if form == "text":
        return text.encode("utf-8", "surrogatepass")
    if not text.strip():
        return None
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError("payload", _short(text), f"JSON: {error}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def read_headers(text: str) -> dict[str, str]:
    """Read headers, one a line: `name: value`.

    Raises:
        ConfigError: A line has no colon, or a name comes twice.
    """
    found: dict[str, str] = {}
    for line in filter(str.strip, text.splitlines()):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not name or name in found:
            raise ConfigError("headers", _short(line), "lines of `name: value`, each name once")
        found[name] = value
    return found


def headers_text(headers: Mapping[str, str]) -> str | None:
    """Headers as text to edit; `None` where they would not come back as they are."""
    text = "\n".join(f"{name}: {value}" for name, value in headers.items())
    try:
        return text if read_headers(text) == dict(headers) else None
    except ConfigError:
        return None


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "…"


def seconds_text(seconds: float) -> str:
    """A duration as a form has it."""
    return "" if math.isinf(seconds) else f"{seconds:g}" if seconds < 1e6 else f"{seconds:.0f}"
