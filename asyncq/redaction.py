"""What tools may show of tasks: a function of yours stands between them and what is in Redis."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

__all__ = ["HIDDEN", "Redactor", "Subject", "hide_everything", "hide_fields"]

Part = Literal["payload", "headers", "result", "error", "traceback", "progress"]

_TEXTS: Final = ("error", "traceback", "progress")

HIDDEN: Final = "[hidden]"
"""What stands in the place of what is not shown."""

log = logging.getLogger("asyncq.redaction")


@dataclass(frozen=True, slots=True)
class Subject:
    """Of what something is to be shown."""

    part: Part  #: what: payload, headers, result, error text, traceback, or the note of a progress report
    queue: str  #: the queue of the task, or of the entry
    type: str  #: its type; empty where only the error of an entry is known
    id: str  #: id of the task, or of the entry


Redactor = Callable[[Any, Subject], Any]
"""Called with a value and what it is of; returns what is shown instead, which may be the value itself."""


def hide_everything(_value: Any, _subject: Subject) -> Any:
    """Show no payload, header, result or error text at all. A `Redactor`."""
    return HIDDEN


def hide_fields(*names: str) -> Redactor:
    """Make a `Redactor` that hides the fields with these names, however deep they are.

    Case does not count, and `_` and `-` are the same. Fields of objects and headers are hidden; what stands
    in a text, such as the text of an error, is not looked into.

        Inspector(url, redact=hide_fields("password", "card_number", "authorization"))
    """
    hidden = {_plain(name) for name in names}

    def redact(value: Any, _subject: Subject) -> Any:
        return _without(value, hidden)

    return redact


def _plain(name: object) -> str:
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
    return text.casefold().replace("-", "_")


def _without(value: Any, hidden: set[str]) -> Any:
    if isinstance(value, Mapping):
        fields = cast("Mapping[Any, Any]", cast("object", value))
        return {
            name: HIDDEN if _plain(name) in hidden else _without(item, hidden)
            for name, item in fields.items()
        }
    if isinstance(value, (list, tuple)):
        return [_without(item, hidden) for item in cast("list[Any]", value)]
    return value


def redacted(redact: Redactor, value: Any, subject: Subject) -> Any:
    """Return what may be shown of a value. When the redactor fails, nothing is."""
    try:
        shown = redact(value, subject)
    except Exception as error:  # noqa: BLE001 - a user's redactor: logged, and nothing is shown
        log.error(  # noqa: TRY400 - a traceback shows values
            "the redactor failed for the %s of %r: %s",
            subject.part,
            subject.id,
            type(error).__name__,
            extra={"event": "redactor_failed", "part": subject.part, "task_id": subject.id},
        )
        shown = HIDDEN
    if subject.part == "headers":
        if not isinstance(shown, Mapping):
            return {}
        named = cast("Mapping[Any, Any]", cast("object", shown))
        return {str(name): str(text) for name, text in named.items()}
    return str(shown) if subject.part in _TEXTS else shown


def unhidden(wanted: Any, shown: Any, real: Any) -> Any:
    """Return what somebody wants who saw `shown` in the place of `real`, with what was hidden as it is.

    Field by field: what they left as they saw it stays what it is, and where nothing was hidden is what they
    want. A field that was left out before their eyes stays, too.

    Raises:
        ValueError: They want something else where something was hidden, or in a list that holds it: there
            nobody knows any more what belongs where.
    """
    if shown == real:
        return wanted
    if wanted == shown:
        return real
    if not all(isinstance(value, Mapping) for value in (wanted, shown, real)):
        raise ValueError
    result: dict[Any, Any] = {}
    for name, value in wanted.items():
        if name in shown:
            result[name] = unhidden(value, shown[name], real[name]) if name in real else value
        elif name in real:
            raise ValueError
        else:
            result[name] = value
    return result | {name: value for name, value in real.items() if name not in shown}
