"""Log records that say which task they are about, and two ways to write them down.

The library logs with the standard `logging` and configures nothing. This is for programs that do:

    handler = logs.handler(format="json")
    logging.basicConfig(level=logging.INFO, handlers=[handler])

Records that are made while a task runs, by its handler, by what the handler calls, or by the library, then
have `task_id`, `type`, `queue` and `attempt`; also in threads and in processes of handlers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, Literal, TextIO, TypedDict, cast

from asyncq.context import find_context
from asyncq.errors import ConfigError

__all__ = [
    "Format",
    "JsonFormatter",
    "TaskFields",
    "TaskFilter",
    "TextFormatter",
    "handler",
    "task_fields",
]

Format = Literal["text", "json"]


class TaskFields(TypedDict):
    """What a record says of its task."""

    task_id: str
    type: str
    queue: str
    attempt: int


CARRIED: Final[ContextVar[TaskFields | None]] = ContextVar("asyncq_log_fields", default=None)
"""In a process of a handler, where there is no context, what was sent along."""


def task_fields() -> TaskFields | None:
    """What records that are made here say of their task; `None` when no task runs here."""
    context = find_context()
    if context is None:
        return CARRIED.get()
    return {
        "task_id": context.id,
        "type": context.type,
        "queue": context.queue,
        "attempt": context.attempt,
    }


class TaskFilter(logging.Filter):
    """Adds `task_id`, `type`, `queue` and `attempt` to records that are made while a task runs.

        handler.addFilter(TaskFilter())

    It keeps every record. Add it to a handler: a filter of a logger does not see what comes from the
    loggers below it. What a record says by itself stays; and one that is about another task than the
    one that runs gets nothing.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add them."""
        fields = task_fields()
        known = vars(record)
        if fields is not None and known.get("task_id", fields["task_id"]) == fields["task_id"]:
            for name, value in fields.items():
                known.setdefault(name, value)
        return True


_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}
"""What every record has. The rest is fields."""


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _PLAIN}


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, all fields, and `error`, a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line: dict[str, object] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in _fields(record).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        elif record.exc_text:
            line["error"] = record.exc_text
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        try:
            return json.dumps(line, ensure_ascii=False, default=_as_text, allow_nan=False)
        except (TypeError, ValueError):  # a mapping with odd keys, a number that JSON lacks, a circle
            plain = {
                name: value if isinstance(value, (str, int)) else repr(value) for name, value in line.items()
            }
            return json.dumps(plain, ensure_ascii=False)


def _as_text(value: object) -> object:
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, cast("Iterable[object]", value)))
    return value.isoformat() if isinstance(value, datetime) else str(value)


_COLORS: Final = {
    logging.DEBUG: "2",
    logging.INFO: "32",
    logging.WARNING: "33",
    logging.ERROR: "31",
    logging.CRITICAL: "1;31",
}
_ABOUT_THE_TASK: Final = ("task_id", "type", "queue", "attempt", "trace_id")
_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != 10}


class TextFormatter(logging.Formatter):
    """For people: time, level, logger and message in a line, and behind it which task it is about.

    Control characters are written out, so that no task can send codes to the terminal of who reads it.

    Args:
        color: Whether the level has a colour. For terminals.
    """

    def __init__(self, *, color: bool = False) -> None:
        super().__init__()
        self._color: Final = color

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        level = f"{record.levelname.lower():8}"
        if self._color:
            code = _COLORS.get(record.levelno, "0")
            level = f"\x1b[{code}m{level}\x1b[0m"
        known = vars(record)
        about = " ".join(f"{name}={known[name]}" for name in _ABOUT_THE_TASK if name in known)
        text = f"{record.name}: {record.getMessage()}{f'  [{about}]' if about else ''}".translate(_CONTROL)
        lines = [f"{_moment(record)} {level} {text}"]
        if record.exc_info:
            lines.append(self.formatException(record.exc_info).translate(_CONTROL))
        elif record.exc_text:
            lines.append(record.exc_text.translate(_CONTROL))
        if record.stack_info:
            lines.append(self.formatStack(record.stack_info).translate(_CONTROL))
        return "\n".join(lines)


def handler(
    format: Format = "text",  # noqa: A002 - the word of the command line
    *,
    color: bool = False,
    stream: TextIO | None = None,
) -> logging.Handler:
    """Make a handler that writes records with their task, as text or as JSON.

    Args:
        format: `text` for people, `json` for programs.
        color: Whether levels have colours, in text.
        stream: Where to write; standard error when not given.

    Raises:
        ConfigError: There is no such format.
    """
    if format not in ("text", "json"):
        raise ConfigError("format", format, "'text' or 'json'")
    made = logging.StreamHandler(stream)
    made.setFormatter(JsonFormatter() if format == "json" else TextFormatter(color=color))
    made.addFilter(TaskFilter())
    return made
