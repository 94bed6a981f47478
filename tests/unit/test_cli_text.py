"""What the command line reads from an operator and shows to one: pure text, no Redis."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click
import pytest

from asyncq.cli import formats, output, terminal
from asyncq.cli.output import Answers, Column, Sheet, View
from asyncq.cli.shapes import plain
from asyncq.errors import Missing


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("1.5", 1.5),
        ("90s", 90.0),
        ("1h30m", 5400.0),
        ("500ms", 0.5),
        ("2d", 172800.0),
        ("1w", 604800.0),
        ("0", 0.0),
        ("", None),
        ("soon", None),
        ("1h30", None),
        ("-5s", None),
        ("1y", None),
        ("٣s", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    """As people write them; a unit that is forgotten in the middle is no guess."""
    assert formats.read_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-21T18:00:00Z", datetime(2026, 11, 21, 18, tzinfo=UTC)),
        ("2026-11-21T18:00+01:00", datetime(2026, 11, 21, 17, tzinfo=UTC)),
        ("2026-11-21 18:00 Europe/Berlin", datetime(2026, 11, 21, 17, tzinfo=UTC)),
        ("2026-11-21T18:00 UTC", datetime(2026, 11, 21, 18, tzinfo=UTC)),
        ("2026-11-21T18:00", None),
        ("2026-11-21", None),
        ("2026-11-21T18:00 Europe/Nowhere", None),
        ("2026-11-21T18:00+01:00 Europe/Berlin", None),
        ("18:00", None),
        ("tomorrow", None),
        ("2026-13-01T00:00Z", None),
        ("2026-11-21T18:00 ../../etc/passwd", None),
    ],
)
def test_instants_say_their_zone(text: str, instant: datetime | None) -> None:
    """A time without one does not say which instant it means."""
    assert formats.read_instant(text) == instant


def test_moments_are_instants_or_so_long_ago() -> None:
    """`--since 2h` is what an operator wants to say; what is due lies ahead, which the plus says."""
    ago = formats.MOMENT.convert("2h", None, None)
    ahead = formats.MOMENT.convert("+2h", None, None)
    assert timedelta(hours=2) <= datetime.now(UTC) - ago < timedelta(hours=2, minutes=1)
    assert timedelta(hours=1, minutes=59) < ahead - datetime.now(UTC) <= timedelta(hours=2)
    for wrong in ("yesterday", "99999999999999d", "2026-11-21T18:00"):
        with pytest.raises(click.BadParameter, match="no time"):
            formats.MOMENT.convert(wrong, None, None)


@pytest.mark.parametrize(("text", "rate"), [("50", 50.0), ("50/s", 50.0), ("3000/m", 50.0), ("0.5/s", 0.5)])
def test_rates(text: str, rate: float) -> None:
    """Tasks a second."""
    assert formats.RATE.convert(text, None, None) == rate


@pytest.mark.parametrize("text", ["", "0", "-1", "50/", "50/year", "fast", "/s", "nan", "inf"])
def test_rates_that_are_none(text: str) -> None:
    """None of them may be taken for no limit."""
    with pytest.raises(click.BadParameter, match="no rate"):
        formats.RATE.convert(text, None, None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.85, "850ms"),
        (4.23, "4.2s"),
        (59, "59s"),
        (200, "3m20s"),
        (7500, "2h5m"),
        (3600, "1h"),
        (86400 * 12 + 3600 * 3, "12d3h"),
    ],
)
def test_spans_for_people(seconds: float, text: str) -> None:
    """Two units tell enough."""
    assert formats.span(seconds) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("email:welcome", "email:welcome"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("two\nlines", r"two\nlines"),
        ("bell\x07", r"bell\x07"),
        ("gnp\u202e.exe", r"gnp\u202e.exe"),
        ("\u2028", r"\u2028"),
        ("\ud800", r"\ud800"),
        ("日本語", "日本語"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
)
def test_text_of_strangers_cannot_command_the_terminal(text: str, shown: str) -> None:
    """Whoever may enqueue chooses types, payloads and errors, and an operator's terminal obeys escapes."""
    assert terminal.clean(text) == shown


@pytest.mark.parametrize(
    ("text", "columns"), [("abc", 3), ("日本", 4), ("é", 1), ("e\u0301", 1), ("\uff21", 2), ("", 0)]
)
def test_widths(text: str, columns: int) -> None:
    """A wide character takes two columns, an accent none."""
    assert terminal.width(text) == columns


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("日本語", 5, "日本…"), ("日本語", 4, "日…"), ("abc", 0, "")],
)
def test_cutting_keeps_whole_characters(text: str, most: int, shown: str) -> None:
    """Half a wide character would shift the rest of the line."""
    assert terminal.cut(text, most) == shown
    assert terminal.width(terminal.cut(text, most)) <= most


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1 entry"), (2, "2 entries"), (2000, "2,000 entries"), (0, "0 entries")]
)
def test_counted(number: int, text: str) -> None:
    """English."""
    assert terminal.counted(number, "entry") == text


def test_values_that_json_has_no_word_for() -> None:
    """A payload is whatever somebody enqueued; showing it must not fail."""
    assert plain({1: b"\xff", "at": datetime(2026, 1, 1, tzinfo=UTC), "on": date(2026, 1, 1)}) == {
        "1": {"base64": "/w=="},
        "at": "2026-01-01T00:00:00Z",
        "on": "2026-01-01",
    }
    assert json.dumps(
        plain([float("nan"), float("inf"), timedelta(minutes=1), (1, 2), object]), allow_nan=False
    )


# --- tables and JSON ------------------------------------------------------------------

_ROWS = [{"name": "mail", "size": 3}, {"name": "日本語のキュー", "size": 12000}]
_VIEW = View(
    columns=(
        Column("NAME", lambda row: row["name"], is_elastic=True),
        Column("SIZE", lambda row: f"{row['size']:,}", is_number=True),
        Column("STATE", lambda _: "open"),
    ),
    shape=lambda row: row,
    name=lambda row: row["name"],
    none="There are none.",
)


def _written(
    form: Any,
    rows: Sequence[Any],
    capsys: pytest.CaptureFixture[str],
    missing: Sequence[Missing] = (),
    **facts: Any,
) -> str:
    sheet = Sheet(form, _VIEW)
    for row in rows:
        sheet.add([row])
    sheet.end(missing, **facts)
    return capsys.readouterr().out


def test_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where characters are wide."""
    sheet = Sheet("table", _VIEW)
    sheet.add(_ROWS)
    assert sheet.end() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "NAME              SIZE  STATE",
        "mail                 3  open",
        "日本語のキュー  12,000  open",
    ]
    assert len({terminal.width(line) for line in lines[1:]} | {29}) <= 2


def test_tables_are_cut_to_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has to give way are the texts, as numbers that are cut lie."""
    monkeypatch.setattr(output, "columns_of", lambda _: 24)
    sheet = Sheet("table", _VIEW)
    sheet.add(_ROWS)
    sheet.end()
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "日本語の…  12,000  open"
    assert all(terminal.width(line) <= 24 for line in lines)
    monkeypatch.setattr(output, "columns_of", lambda _: 10)
    sheet = Sheet("table", _VIEW)
    sheet.add(_ROWS)
    sheet.end()
    assert all(terminal.width(line) <= 10 for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("rows", [[], _ROWS[:1], _ROWS])
def test_json_has_one_shape(capsys: pytest.CaptureFixture[str], rows: list[Any]) -> None:
    """Whether there are none, one or many; written as it comes."""
    found = json.loads(_written("json", rows, capsys, total=2))
    assert found == {"items": rows, "total": 2, "missing": []}


def test_other_forms(capsys: pytest.CaptureFixture[str]) -> None:
    """A line an item, and ids alone."""
    assert [json.loads(line) for line in _written("jsonl", _ROWS, capsys).splitlines()] == _ROWS
    assert _written("id", _ROWS, capsys).splitlines() == ["mail", "日本語のキュー"]


def test_what_could_not_be_looked_at_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """In JSON, to people, and with the exit code."""
    missing = [Missing("queue", "mails", "10.0.0.7:6379", "no answer within 1 s")]
    found = json.loads(_written("json", [], capsys, missing))
    assert found["missing"][0]["name"] == "mails"
    sheet = Sheet("table", _VIEW)
    assert sheet.end(missing) == 6
    assert "not shown: queue 'mails' on 10.0.0.7:6379" in capsys.readouterr().err


def test_answers_in_each_form(capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence, an item, or an id for each thing that was done."""
    for form, expected in (("table", "a: run\n"), ("id", "a\n"), ("jsonl", '{"id": "a"}\n')):
        answers = Answers(form)  # type: ignore[arg-type]
        answers.add("a: run", {"id": "a"}, name="a")
        answers.end()
        assert capsys.readouterr().out == expected
    answers = Answers("json")
    answers.add("a: run", {"id": "a"}, name="a")
    answers.end()
    assert json.loads(capsys.readouterr().out) == {"items": [{"id": "a"}], "missing": []}


def test_no_command_loads_redis_for_its_help() -> None:
    """Redis' library takes as long as help may take altogether; so does asyncio, nearly."""
    code = (
        "import importlib, sys; from asyncq.cli import COMMANDS;"
        "[importlib.import_module('asyncq.cli.' + name) for name in COMMANDS];"
        "heavy = {'redis', 'hiredis', 'asyncio', 'rich', 'textual', 'starlette', 'msgpack'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
