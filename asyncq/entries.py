"""Entries: what is to be enqueued when, checked when it is said and known by an id that lasts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, Unpack, cast

from asyncq._compose import compose
from asyncq._cron import IntervalSchedule, OnceSchedule, Schedule, parse
from asyncq._entry_rules import RULE_NAMES, USUAL, CatchUp, EntryOptions, Overlap, Rules, check_rules, split
from asyncq.codecs import Codecs
from asyncq.errors import ConfigError, Problem
from asyncq.options import (
    DEFAULT_QUEUE,
    CheckedOptions,
    TaskOptions,
    check_options,
    is_queue_name,
    merge_options,
)
from asyncq.task import Task

__all__ = ["CatchUp", "Changes", "Entry", "EntryOptions", "Overlap", "PeriodicTask", "Rules", "define"]

LONGEST_ID: Final = 200
_SHOWN_OF_DIGEST: Final = 8
_ID = f"text of at most {LONGEST_ID} characters that is not blank and has no braces"
_PLAIN = (type(None), bool, int, float, str, bytes)


@dataclass(frozen=True, slots=True, init=False)
class PeriodicTask:
    """One periodic task as a provider gives it: when, what, and how.

        PeriodicTask("0 9 * * mon-fri", Task("report:morning"), id="morning", queue="low")

    Nothing is checked in here. The manager checks all that a provider gives, and takes all of it
    or nothing.

    Args:
        spec: As for `Scheduler.register`.
        task: What to enqueue each time.
        id: A name of your own that lasts: an entry that keeps its id keeps its history when it
            is changed. Made of the definition when not given.
        timezone: Zone of this entry; the manager's when not given.
        options: As for `Client.enqueue`, and those of `EntryOptions`.
    """

    spec: str | timedelta | datetime
    task: Task
    id: str | None
    timezone: str | tzinfo | None
    options: TaskOptions  #: those of the task
    rules: Mapping[str, Any]  #: those of the entry alone: `catch_up`, `max_age`, `overlap`, `jitter`

    def __init__(
        self,
        spec: str | timedelta | datetime,
        task: Task,
        *,
        id: str | None = None,  # noqa: A002 - the word of the API
        timezone: str | tzinfo | None = None,
        **options: Unpack[EntryOptions],
    ) -> None:
        """Hold what was given."""
        for name, value in (("spec", spec), ("task", task), ("id", id), ("timezone", timezone)):
            object.__setattr__(self, name, value)
        of_task, rules = split(cast("dict[str, Any]", options))
        object.__setattr__(self, "options", of_task)
        object.__setattr__(self, "rules", rules)


@dataclass(slots=True)
class Entry:
    """One periodic task that a scheduler knows."""

    id: str
    schedule: Schedule
    task: Task
    options: TaskOptions  #: those given beside the task; they win over its own
    checked: CheckedOptions = field(repr=False)  #: both, checked and merged
    definition: str = field(repr=False)  #: digest of all that was said; equal for equal entries
    rules: Rules = USUAL  #: what to do about missed and overlapping times
    next_at: datetime | None = None  #: `None`: never again, or the scheduler was not started yet
    last_at: datetime | None = None  #: the last of its times that has come, whichever scheduler enqueued it
    last_error: str = ""  #: why the last time was not enqueued; empty when it was
    version: int = 0  #: of what is stored; 0 when it is not yet
    since: datetime | None = None  #: when its rhythm began; what came before is not made up for

    @property
    def spec(self) -> str:
        """The text it was registered with."""
        return self.schedule.spec

    @property
    def queue(self) -> str:
        """Where its tasks go."""
        return self.checked.get("queue", DEFAULT_QUEUE)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a sync, or storing many, has changed: by the ids of entries."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()  #: of the same id, and defined otherwise
    kept: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is different now."""
        return bool(self.added or self.removed or self.changed)


def define(wanted: PeriodicTask, *, timezone: str | tzinfo = UTC, codecs: Codecs) -> Entry:
    """Check a periodic task, and return its entry.

    Args:
        wanted: What was said.
        timezone: Where it says none.
        codecs: How its payload will be encoded.

    Raises:
        ConfigError: With every problem there is. Nothing that is wrong waits for three in the morning.
    """
    problems: list[Problem] = []
    schedule: Schedule | None = None
    try:
        schedule = parse(wanted.spec, timezone if wanted.timezone is None else wanted.timezone)
    except ConfigError as error:
        problems += error.problems
    given: CheckedOptions = {}
    try:
        given = check_options(cast("dict[str, Any]", wanted.options), others=RULE_NAMES)
    except ConfigError as error:
        problems += error.problems
    rules = USUAL
    try:
        rules = check_rules(wanted.rules, interval=schedule.gap if schedule else 0.0)
    except ConfigError as error:
        problems += error.problems
    task = cast("object", wanted.task)
    if not isinstance(task, Task):
        problems.append(Problem("task", task, "a Task"))
    elif not problems:
        problems += _what_is_wrong(task, wanted.options, codecs)
    if wanted.id is not None and not _is_id(wanted.id):
        problems.append(Problem("id", wanted.id, _ID))
    if problems or schedule is None or not isinstance(task, Task):
        raise ConfigError.of(problems)
    checked = merge_options(task.checked_options, given)
    digest, is_plain = _digest(schedule, task, checked, codecs, rules)
    name = _made_id(schedule, task, digest, is_plain=is_plain) if wanted.id is None else wanted.id
    return Entry(name, schedule, task, wanted.options, checked, digest, rules)


def _what_is_wrong(task: Task, options: TaskOptions, codecs: Codecs) -> list[Problem]:
    """What would be refused each time."""
    task_id = options.get("task_id", task.checked_options.get("task_id"))
    if task_id is not None:
        return [Problem("task_id", task_id, "no id: each run is a task of its own")]
    try:
        compose(task, options, codecs=codecs)
    except ConfigError as error:
        return [*error.problems]
    return []


def _is_id(value: object) -> bool:
    # The id is a hash tag in Redis, so its rules are those of a queue's name.
    return is_queue_name(value) and len(str(value)) <= LONGEST_ID


def _made_id(schedule: Schedule, task: Task, digest: str, *, is_plain: bool) -> str:
    """Return an id that the same definition gets again, in every process and in whatever order."""
    name = f"{schedule.spec.strip()} {task.type}"
    if is_plain and _is_id(name):
        return name
    fitting = name.replace("{", "(").replace("}", ")")[: LONGEST_ID - _SHOWN_OF_DIGEST - 2]
    return f"{fitting} #{digest[:_SHOWN_OF_DIGEST]}"


def _digest(
    schedule: Schedule, task: Task, checked: CheckedOptions, codecs: Codecs, rules: Rules
) -> tuple[str, bool]:
    """Return a digest of a definition, and whether spec and type say all of it."""
    zone = "" if isinstance(schedule, IntervalSchedule | OnceSchedule) else str(schedule.zone)
    # A task that came out of Redis is passed on byte for byte, also by who cannot read it.
    payload = task.encoded(codecs) if task.id else _canonical(task.payload, task, codecs)
    beside: tuple[object, ...] = (payload, _canonical(checked, task, codecs), zone)
    if rules != USUAL:
        beside += (sorted(rules.plain().items()),)
    parts = repr((schedule.spec.strip(), task.type, beside))
    digest = hashlib.blake2s(parts.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return digest, payload is None and not checked and zone in ("", "UTC") and rules == USUAL


def _canonical(value: object, task: Task, codecs: Codecs) -> object:
    """Return what has the same `repr` for equal payloads, in every process.

    A codec's bytes will not do for all of it: encryption makes others each time, and the order of
    a mapping's keys is not part of what is meant.
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return sorted((repr(key), _canonical(item, task, codecs)) for key, item in items)
    if isinstance(value, list | tuple):
        return [_canonical(item, task, codecs) for item in cast("list[object]", value)]
    try:
        return Codecs().encode(value, type=task.type)[1]
    except ConfigError:
        return codecs.encode(value, type=task.type)[1]
