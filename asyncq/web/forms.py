"""What comes in forms and queries, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request

from asyncq._checks import near_misses
from asyncq._clock import parse_duration
from asyncq.errors import ConfigError

MOST_FIELDS: Final = 10_000

_LONGEST_NUMBER: Final = 10
"""Digits: Python reads no whole number of thousands of them."""


async def form_of(request: Request) -> FormData:
    """The fields of a form that was posted. Forms with files are none of ours, so their parser is not needed.

    Raises:
        HTTPException: It is no such form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if body and kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, "A form is sent as application/x-www-form-urlencoded.")
    try:
        fields: list[Any] = [
            *parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
        ]
    except ValueError:
        raise HTTPException(400, "This is no form.") from None
    return FormData(fields)


def text_of(form: FormData | Mapping[str, Any], name: str, default: str = "") -> str:
    """A field that is text; files are none."""
    value = form.get(name, default)
    return value.strip() if isinstance(value, str) else default


def choice_of(form: FormData | Mapping[str, Any], name: str, choices: Sequence[str]) -> str:
    """One of some words; the first of them when nothing is given.

    Raises:
        ConfigError: It is none of them.
    """
    value = text_of(form, name) or choices[0]
    if value not in choices:
        near = near_misses(value, choices)[:1]
        raise ConfigError(name, value, f"one of {', '.join(choices)}" + (f"; {near[0]!r}?" if near else ""))
    return value


def whole_of(form: FormData | Mapping[str, Any], name: str, default: int, *, least: int, most: int) -> int:
    """A whole number.

    Raises:
        ConfigError: It is none, or too small or too large.
    """
    value = text_of(form, name)
    if not value:
        return default
    if (
        not value.isascii()
        or not value.isdigit()
        or len(value) > len(str(most))
        or not least <= int(value) <= most
    ):
        raise ConfigError(name, value, f"a whole number from {least} to {most}")
    return int(value)


def whole_in(name: str, text: str) -> int:
    """A whole number, of which whoever takes it says how large it may be.

    Raises:
        ConfigError: It is none.
    """
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > _LONGEST_NUMBER:
        raise ConfigError(name, text[:20], "a whole number")
    return int(text)


def seconds_in(name: str, text: str) -> float:
    """Seconds, as a number or as `1h30m`; 0 for nothing.

    Raises:
        ConfigError: It is none of these.
    """
    text = text.strip()
    try:
        return float(text) if text else 0.0
    except ValueError:
        return parse_duration(text, name=name)
