"""What somebody looks for, as people write it: `type:email:* state:retry error:"timed out" since:2h`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from asyncq._checks import near_misses
from asyncq._clock import from_unix, now
from asyncq._wire.states import State
from asyncq.errors import ConfigError, WireError
from asyncq.inspector.causes import cause_of
from asyncq.inspector.listing import TaskFilters
from asyncq.inspector.patterns import like
from asyncq.task_info import TaskInfo

LONGEST: Final = 1000
"""Characters of a query."""

_WORD: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"?|[^\s"])+')
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"?')
_AGO: Final = re.compile(r"([+-]?)((?:\d+[smhdw])+)")
_PART: Final = re.compile(r"(\d+)([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_KEYS: Final = ("queue", "state", "type", "id", "error", "payload", "group", "cause", "since", "until")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuery:
    """Which tasks somebody looks for: those that fit all that is said. `*` stands for any text.

    As text, `parse` reads it: `key:value` with blanks between, values with blanks in quotes. Words without
    a key are looked for in id, type, error and payload.
    """

    queue: tuple[str, ...] = ()  #: names of queues, any of them; none for all
    state: tuple[State, ...] = ()  #: any of these; none for all
    type: str = ""  #: the type
    id: str = ""  #: the id
    group: str = ""  #: the group that it waits in
    cause: str = ""  #: id of a cause of failures
    error: tuple[str, ...] = ()  #: texts that the last error contains, each of them
    payload: tuple[str, ...] = ()  #: texts that the payload contains, as far as it is shown
    fields: tuple[tuple[str, str], ...] = ()  #: of the payload: `user.id` and what stands there
    words: tuple[str, ...] = ()  #: texts that are in any of id, type, error and payload
    since: datetime | None = None  #: as the filter of `tasks.list`
    until: datetime | None = None  #: as the filter of `tasks.list`

    @classmethod
    def parse(cls, text: str) -> TaskQuery:
        """Read a query.

        Times are `2026-11-21`, `2026-11-21T10:00Z` (UTC where no zone is said), or from now: `2h` is two
        hours ago, `+30m` in half an hour.

        Raises:
            ConfigError: A state, a time or the length of it is wrong; it says what is expected.
        """
        if not isinstance(cast("object", text), str) or len(text) > LONGEST:
            raise ConfigError("query", text, f"text of at most {LONGEST:,} characters")
        found: dict[str, Any] = {}
        for key, value in _terms(text):
            _take(found, key, value)
        return cls(**found)

    def __str__(self) -> str:
        """Write it as text that `parse` reads."""
        parts = [f"queue:{_quoted(','.join(self.queue))}"] if self.queue else []
        parts += [f"state:{','.join(self.state)}"] if self.state else []
        for key in ("type", "id", "group", "cause"):
            parts += [f"{key}:{_quoted(getattr(self, key))}"] if getattr(self, key) else []
        parts += [f"error:{_quoted(value)}" for value in self.error]
        parts += [f"payload:{_quoted(value)}" for value in self.payload]
        parts += [f"payload.{path}:{_quoted(value)}" for path, value in self.fields]
        parts += [f"since:{_quoted(self.since.isoformat())}"] if self.since else []
        parts += [f"until:{_quoted(self.until.isoformat())}"] if self.until else []
        return " ".join((*parts, *(_quoted(word, is_word=True) for word in self.words)))

    def __bool__(self) -> bool:
        """Whether anything is said; nothing means all tasks."""
        return any(getattr(self, one.name) for one in fields(self))

    def but(self, **changes: Any) -> TaskQuery:
        """Return the same with other values of some fields."""
        return replace(self, **changes)

    def names(self, queue: str) -> bool:
        """Whether the tasks of this queue are meant."""
        return not self.queue or any(like(name)(queue) for name in self.queue)

    @property
    def exact_queues(self) -> tuple[str, ...] | None:
        """The queues that are meant, where their names are said in full; `None` where others may be, too."""
        return self.queue if self.queue and not any("*" in name for name in self.queue) else None

    def filters(self) -> TaskFilters:
        """Return what it says about the tasks of one state of one queue, and of one group where it is one."""
        given: dict[str, Any] = {"type": self.type, "cause": self.cause, "since": self.since}
        given |= {"until": self.until, "error": self.error[0] if self.error else ""}
        wanted = {name: value for name, value in given.items() if value}
        if self.id or self.error[1:] or self.payload or self.fields or self.words:
            wanted["where"] = self._where()
        return cast("TaskFilters", wanted)

    def takes(self, info: TaskInfo) -> bool:
        """Whether a task fits all that is said, but for the times."""
        return (
            self.names(info.queue)
            and (not self.state or info.state in self.state)
            and (not self.type or like(self.type)(info.type))
            and (not self.group or info.group == self.group)
            and (not self.cause or cause_of(info.type, info.last_error).id == self.cause)
            and self._where()(info)
        )

    def _where(self) -> Callable[[TaskInfo], bool]:
        is_id = like(self.id) if self.id else None
        errors = [text.casefold() for text in self.error]
        texts = [text.casefold() for text in self.payload]
        words = [text.casefold() for text in self.words]
        paths = [(path.split("."), like(value)) for path, value in self.fields]
        reads = bool(texts or words or paths)

        def takes(info: TaskInfo) -> bool:  # noqa: PLR0911 - the cheap questions first
            if is_id is not None and not is_id(info.id):
                return False
            error = info.last_error.casefold()
            if not all(text in error for text in errors):
                return False
            if not reads:
                return True
            payload = shown(info)
            known = _parsed(payload) if paths else None
            if not all(any(is_it(value) for value in _at(known, path)) for path, is_it in paths):
                return False
            if not (texts or words):
                return True
            body = text_of(payload).casefold()
            if not all(text in body for text in texts):
                return False
            whole = (info.id.casefold(), info.type.casefold(), error, body)
            return all(any(word in part for part in whole) for word in words)

        return takes


def shown(info: TaskInfo) -> Any:
    """Return the payload as people may see it, or its bytes where it cannot be decoded."""
    try:
        return info.payload
    except WireError:
        return info.raw


def text_of(payload: Any) -> str:
    """Return a payload as text in which people search: JSON, or the text that bytes are."""
    if isinstance(payload, str):
        return payload
    if isinstance(payload, bytes):
        return payload.decode("utf-8", "replace")
    try:
        return json.dumps(payload, ensure_ascii=False, default=str)
    except (TypeError, ValueError, RecursionError):
        return repr(payload)


def _parsed(payload: Any) -> Any:
    """What is in bytes and text that are JSON."""
    if not isinstance(payload, bytes | str):
        return payload
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload


def _at(payload: Any, path: list[str]) -> Iterator[str]:
    """What stands at a path, as text; of a list, what stands there in any of its items."""
    if isinstance(payload, list):
        inner = cast("list[Any]", cast("object", payload))
        for item in inner:
            yield from _at(item, path)
    elif not path:
        if isinstance(payload, bool) or payload is None:
            yield json.dumps(payload)
        elif not isinstance(payload, Mapping):
            yield payload if isinstance(payload, str) else text_of(payload)
    elif isinstance(payload, Mapping):
        known = cast("Mapping[Any, Any]", cast("object", payload))
        for key, value in known.items():
            if str(key) == path[0]:
                yield from _at(value, path[1:])


def _terms(text: str) -> Iterator[tuple[str, str]]:
    for match in _WORD.finditer(text):
        word = match[0]
        key, colon, value = word.partition(":")
        if colon and (key in _KEYS or key.startswith("payload.")):
            value = _unquoted(value)
            if value:
                yield key, value
        elif word := _unquoted(word):
            yield "", word


def _unquoted(text: str) -> str:
    return _QUOTED.sub(lambda found: re.sub(r"\\(.)", r"\1", found[1]), text)


def _quoted(text: str, *, is_word: bool = False) -> str:
    has_key = is_word and (text.partition(":")[0] in _KEYS or text.startswith("payload."))
    if not has_key and not re.search(r'[\s"\\]', text):
        return text
    # A quote before the colon keeps a word from being taken for a key.
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _take(found: dict[str, Any], key: str, value: str) -> None:
    if key == "queue":
        found[key] = (*found.get(key, ()), *(name for name in value.split(",") if name))
    elif key == "state":
        found[key] = tuple(dict.fromkeys((*found.get(key, ()), *_states(value))))
    elif key in ("error", "payload"):
        found[key] = (*found.get(key, ()), value)
    elif key in ("since", "until"):
        found[key] = _instant(key, value)
    elif key.startswith("payload."):
        found["fields"] = (*found.get("fields", ()), (key.removeprefix("payload."), value))
    elif key:
        if key in found:
            raise ConfigError("query", f"{key}:{value}", f"one `{key}:` at the most")
        found[key] = value
    else:
        found["words"] = (*found.get("words", ()), value)


def _states(value: str) -> Iterator[State]:
    for name in filter(None, value.split(",")):
        if name not in tuple(State):
            near = near_misses(name, tuple(State))[:1]
            hint = f"; did you mean {str(near[0])!r}?" if near else ""
            raise ConfigError("state", name, f"one of {', '.join(State)}{hint}")
        yield State(name)


def _instant(key: str, value: str) -> datetime:
    ago = _AGO.fullmatch(value)
    try:
        if ago is not None:
            seconds = sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(ago[2]))
            away = timedelta(seconds=seconds)
            return from_unix(now()) + (away if ago[1] == "+" else -away)
        at = datetime.fromisoformat(value)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        at.timestamp()
    except (ValueError, OverflowError):
        expected = "a time such as 2026-11-21, 2026-11-21T10:00Z, 2h (ago) or +30m"
        raise ConfigError(key, value, expected) from None
    else:
        return at
