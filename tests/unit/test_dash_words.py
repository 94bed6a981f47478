"""What can be typed in the dashboard, and how numbers, times and foreign words are written there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from asyncq.dash.places import NoSuchPlaceError, Place, read_jump
from asyncq.dash.texts import away, clean, counted, line, number, span

HOME = Place("queues")
MAIL = Place("tasks", queue="mail", state="retry")


@pytest.mark.parametrize(
    ("text", "here", "expected"),
    [
        ("queues", MAIL, HOME),
        ("Q", MAIL, HOME),
        ("tasks", HOME, Place("tasks", queue="default", state="pending")),
        ("tasks", MAIL, MAIL),
        ("tasks bulk", MAIL, Place("tasks", queue="bulk", state="retry")),
        ("t bulk arch", HOME, Place("tasks", queue="bulk", state="archived")),
        ("tasks bulk aggregating", HOME, Place("groups", queue="bulk")),
        ("archived", MAIL, Place("tasks", queue="mail", state="archived")),
        ("task mail 17", HOME, Place("task", queue="mail", id="17")),
        ("groups", MAIL, Place("groups", queue="mail")),
        ("servers", MAIL, Place("servers")),
        ("o", MAIL, Place("overview")),
        ("overview mail 3h", HOME, Place("overview", queue="mail", span="3h")),
        ("overview 7d", HOME, Place("overview", span="7d")),
        ("failures", MAIL, Place("failures")),
        ("f mail", HOME, Place("failures", queue="mail")),
        ('find  error:"timed out" mail', HOME, Place("find", text='error:"timed out" mail')),
        ("find", HOME, Place("find")),
        ("trail", MAIL, Place("trail")),
        ("workers", MAIL, Place("workers")),
        ("w 1f", MAIL, Place("workers", id="1f")),
        ("cron", MAIL, Place("entries")),
        ("entries mail", HOME, Place("entries", queue="mail")),
        ("history daily report", HOME, Place("history", id="daily report")),
        ("quit", HOME, Place("quit")),
    ],
)
def test_a_jump_leads_where_it_says(text: str, here: Place, expected: Place) -> None:
    """With what is looked at filled in where nothing is said."""
    assert read_jump(text, here) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there are queues"),
        ("quues", "did you mean 'queues'"),
        ("nonsense", "there are queues"),
        ("tasks mail x", "there are pending"),
        ("tasks mail a", "there are pending"),
        ("task 17", "task QUEUE ID"),
        ("history", "history ENTRY"),
        ("overview mail bulk", "overview "),
        ("overview 1h 3h", "overview "),
    ],
)
def test_what_leads_nowhere_says_what_would(text: str, says: str) -> None:
    """As everywhere."""
    with pytest.raises(NoSuchPlaceError, match=says):
        read_jump(text, HOME)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (5.26, "5.3s"),
        (59, "59s"),
        (61, "1m1s"),
        (3600, "1h"),
        (5400, "1h30m"),
        (90000, "1d1h"),
    ],
)
def test_a_span_has_two_units_at_most(seconds: float, text: str) -> None:
    """Nobody reads three."""
    assert span(seconds) == text


def test_texts_of_others_cannot_move_the_cursor() -> None:
    """Nor turn a line round, nor be longer than a line."""
    assert clean("a\x1b[2J\u202eb") == r"a\x1b[2J\u202eb"
    assert clean("grün ✓") == "grün ✓"
    assert line("first\nsecond") == "first…"
    assert line("x" * 300) == "x" * 199 + "…"


def test_small_words() -> None:
    """Nothing is a dash, so that what is not nothing can be seen."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert (number(0), number(12_345)) == ("-", "12,345")
    assert [
        away(moment, now) for moment in (None, now, now + timedelta(minutes=3), now - timedelta(hours=2))
    ] == [
        "-",
        "now",
        "in 3m",
        "2h ago",
    ]
    assert (counted(1, "entry"), counted(2, "entry"), counted(2, "line")) == (
        "1 entry",
        "2 entries",
        "2 lines",
    )
