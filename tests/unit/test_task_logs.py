"""Log records that say which task they are about, and how they are written down."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from asyncq import Context, Mux, Task, logs
from asyncq.errors import ConfigError
from asyncq.logs import JsonFormatter, TaskFilter, TextFormatter, task_fields


@pytest.fixture
def written() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """A logger that writes JSON, and what it has written."""
    stream = io.StringIO()
    logger = logging.getLogger("tests.logs")
    handler = logs.handler("json", stream=stream)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger, stream
    logger.removeHandler(handler)


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def _record(message: str = "hello", **extra: Any) -> logging.LogRecord:
    return logging.getLogger("shop").makeRecord(
        "shop", logging.INFO, "f.py", 1, message, (), None, extra=extra
    )


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_handler_need_not_say_which_task_it_runs(
    written: tuple[logging.Logger, io.StringIO], kind: str
) -> None:
    """Nor what it calls, nor the asyncio tasks that it starts."""
    logger, stream = written
    mux = Mux()

    async def deep() -> None:
        logger.info("deep")

    async def on_loop(task: Task, ctx: Context) -> None:
        logger.info("begun")
        await asyncio.gather(deep())

    def in_thread(task: Task, ctx: Context) -> None:
        logger.info("begun")
        logger.info("deep")

    mux.handle("work", on_loop if kind == "async" else in_thread)
    logger.info("before")
    await mux.process(Task("work"), retried=2)
    before, begun, deep_ = _lines(stream)
    assert "task_id" not in before
    for line in (begun, deep_):
        assert (line["type"], line["queue"], line["attempt"]) == ("work", "default", 3)
        assert line["task_id"]
    assert task_fields() is None


async def test_what_a_record_says_by_itself_stays() -> None:
    """And one about another task does not get what this one has."""
    mux, records = Mux(), [_record(task_id="other"), _record(type="mine"), _record()]

    @mux.handle("work")
    async def work(task: Task) -> None:
        for record in records:
            assert TaskFilter().filter(record)

    await mux.process(Task("work"))
    other, mine, plain = map(vars, records)
    assert "attempt" not in other
    assert (mine["type"], mine["attempt"]) == ("mine", 1)
    assert plain["type"] == "work"


def test_json_has_every_field_and_stays_one_line() -> None:
    """Whatever is in them."""
    odd: dict[Any, Any] = {(1, 2): 3}
    record = _record("a\nb %s", event="done", at=datetime(2026, 1, 1, tzinfo=UTC), names={"b", "a"})
    record.args = ("ö",)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert (line["message"], line["level"], line["logger"], line["event"]) == (
        "a\nb ö",
        "info",
        "shop",
        "done",
    )
    assert (line["at"], line["names"]) == ("2026-01-01T00:00:00+00:00", ["a", "b"])
    assert datetime.fromisoformat(line["time"]).tzinfo is not None
    for unfit in (odd, float("inf"), [float("nan")]):
        assert json.loads(JsonFormatter().format(_record(value=unfit)))["value"] == repr(unfit)


def test_a_traceback_is_part_of_the_line() -> None:
    """Of that one line, so that no collector tears it apart."""
    try:
        int("broken")
    except ValueError:
        record = _record()
        record.exc_info = sys.exc_info()
    line = json.loads(JsonFormatter().format(record))
    assert "ValueError: invalid" in line["error"]
    assert TextFormatter().format(record).endswith("'broken'")


def test_text_is_for_people_and_safe_for_their_terminals() -> None:
    """Types and errors come from Redis, where anybody may have put them."""
    record = _record("evil \x1b[2J\rhere", task_id="8H3kd", type="bad\x07")
    text = TextFormatter().format(record)
    assert "\x1b" not in text
    assert "\r" not in text
    assert text.endswith(r"shop: evil \x1b[2J\x0dhere  [task_id=8H3kd type=bad\x07]")
    assert "\x1b[32minfo" in TextFormatter(color=True).format(record)


def test_a_format_that_does_not_exist_is_refused() -> None:
    """With those that do."""
    with pytest.raises(ConfigError, match="'text' or 'json'"):
        logs.handler("xml")  # type: ignore[arg-type]
