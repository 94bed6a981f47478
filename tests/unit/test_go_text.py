"""Text in Go's forms: there and back, and whatever else somebody may have written."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncq._wire.go_text import (
    quote,
    read_date,
    read_duration,
    read_options,
    unquote,
    write_date,
    write_duration,
    write_options,
)
from asyncq.errors import WireError

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_nanos = st.integers(0, 10**15).map(lambda value: value / 1e9)
_instants = st.integers(1, 253_402_300_799).map(float)


@given(st.integers(-(10**18), 10**18))
def test_a_duration_is_read_as_it_was_written(nanos: int) -> None:
    """To the precision of a float."""
    assert read_duration(write_duration(nanos / 1e9)) == pytest.approx(nanos / 1e9, rel=1e-12)


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_a_date_is_read_as_it_was_written(unix: int) -> None:
    """From the year 1 to the year 9999."""
    assert read_date(write_date(unix)) == unix


@given(_text)
def test_text_is_read_as_it_was_quoted(text: str) -> None:
    """And is one line, in which nothing is out of sight."""
    assert unquote(quote(text)) == text
    assert quote(text).isprintable()


@pytest.mark.parametrize(
    ("quoted", "text"),
    [
        ("`a\\n\r`", "a\\n"),
        (r'"\101\x42\u0043\U00000044"', "ABCD"),
        (r'"\xc3\xa4"', "ä"),
        (r'"\xff"', "\ufffd"),
        (r'"\303\244"', "ä"),
    ],
)
def test_other_ways_to_quote_are_read(quoted: str, text: str) -> None:
    """Whatever Go's own reader takes."""
    assert unquote(quoted) == text


def test_a_lone_surrogate_is_replaced() -> None:
    """It has no form in UTF-8, which the record is in."""
    assert quote("a\ud800") == '"a\ufffd"'


@pytest.mark.parametrize(
    "text",
    ["", '"', "`", "plain", '"a', 'a"', '"a"b"', '"\\"', r'"\q"', r'"\x4"', r'"\400"', r'"\ud800"',
     r'"\U00110000"', '"a\nb"', "`a`b`"],
)  # fmt: skip
def test_wrongly_quoted_text_is_refused(text: str) -> None:
    """With the text, cut when it is long."""
    with pytest.raises(WireError):
        unquote(text)


@pytest.mark.parametrize("text", ["", "1", "h", "1x", "--1s", "+-1s", "1s ", "nan", "- 1s", "-"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """A number alone, too: Go would not know its unit."""
    with pytest.raises(WireError):
        read_duration(text)


@pytest.mark.parametrize(
    ("text", "unix"),
    [
        ("Thu Jan  1 03:00:00 GMT+3 1970", 0),
        ("Thu Jan  1 03:30:00 +0330 1970", 0),
        ("Wed Dec 31 21:00:00 -03 1969", 0),
        ("Thu Jan 1 00:00:05 GMT 1970", 5),
        ("Thu Jan  1 01:00:00 CET 1970", 3600),
    ],
)
def test_dates_of_other_zones(text: str, unix: int) -> None:
    """A name is no offset: it is taken for UTC, as Go does with those of other places."""
    assert read_date(text) == unix


@pytest.mark.parametrize(
    "text",
    ["", "2026-05-14", "Thu May 32 01:02:03 UTC 2026", "Thu May 14 25:02:03 UTC 2026",
     "Thu Mai 14 01:02:03 UTC 2026", "Thu May 14 01:02:03 UTC 0000", "Thu May 14 01:02:03 2026"],
)  # fmt: skip
def test_what_is_no_date_is_refused(text: str) -> None:
    """Of the calendar, and in Go's form."""
    with pytest.raises(WireError):
        read_date(text)


_options = st.fixed_dictionaries(
    {},
    optional={
        "queue": _text,
        "max_retry": st.integers(0, 2**31 - 1),
        "timeout": _nanos,
        "deadline": _instants,
        "at": _instants,
        "delay": _nanos,
        "unique": _nanos,
        "task_id": _text,
        "retention": _nanos,
        "group": _text,
        "headers": st.dictionaries(_text, _text, min_size=1, max_size=3),
        "expires_at": _instants,
        "expires_in": _nanos,
        "retry": _text,
    },
)


@given(_options)
def test_options_are_read_as_they_were_written(options: dict[str, Any]) -> None:
    """All of them, whatever is inside the quotes."""
    read, unread = read_options(write_options(options))
    assert unread == ()
    assert read == pytest.approx(options) if not options.get("headers") else read.keys() == options.keys()
    assert read.get("headers") == options.get("headers")


@given(_options)
def test_the_first_bracket_is_the_last(options: dict[str, Any]) -> None:
    """Go's reader takes an argument to end there; and dies where there is no opening one."""
    for text in write_options(options):
        assert re.fullmatch(r"[A-Za-z]+\([^)]*\)", text, re.DOTALL)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MaxRetry(-3)", {"max_retry": 0}),
        ("Queue(`low`)", {"queue": "low"}),
        ('Queue("a)b(")', {"queue": "a)b("}),
        (r'Header(["k","\u003c)"])', {"headers": {"k": "<)"}}),
        ("Timeout(1h)", {"timeout": 3600.0}),
    ],
)
def test_options_in_other_forms(text: str, expected: dict[str, Any]) -> None:
    """What Go may write and we would not."""
    assert read_options([text]) == (expected, ())


@pytest.mark.parametrize(
    "text",
    ["", "Queue", "Queue(", "Queue(low)", "MaxRetry()", "MaxRetry(many)", "Timeout(-1s)", "Deadline(soon)",
     "Header([1,2])", "Header({})", "Header(" + "[" * 100_000 + ")", "Priority(3)", "Queue('a') "],
)  # fmt: skip
def test_options_that_nobody_can_read_are_handed_back(text: str) -> None:
    """To be shown as they are; the others are read."""
    assert read_options([text, "MaxRetry(1)"]) == ({"max_retry": 1}, (text,))


@given(st.lists(st.text(max_size=30) | st.from_regex(r"[A-Z][a-zA-Z]{3,8}\(.*\)"), max_size=3))
@example(["Timeout(" + "9" * 400 + "h)"])
def test_any_text_is_an_option_or_handed_back(texts: list[str]) -> None:
    """Never an error: one entry must not hide the others."""
    _, unread = read_options(texts)
    assert set(unread) <= set(texts)
    for text in texts:
        for read in (read_date, read_duration, unquote):
            with suppress(WireError):
                read(text)
