"""Who may do what: the names of rights, sets of them, and the one table of which method needs which."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Self

from asyncq._checks import near_misses
from asyncq.errors import ConfigError, Problem
from asyncq.options import is_queue_name

RIGHTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "view": "look at queues, tasks, groups, servers, schedulers and Redis",
        "trail": "look at the trail of who changed what",
        "task.run": "let tasks run now",
        "task.archive": "put tasks away",
        "task.cancel": "cancel tasks",
        "task.reschedule": "change when tasks run",
        "task.edit": "change payload, headers and options of tasks",
        "task.enqueue": "enqueue tasks",
        "task.delete": "delete tasks",
        "queue.pause": "pause queues",
        "queue.resume": "let servers take from paused queues again",
        "queue.remove": "remove queues, with their tasks",
        "entry.pause": "pause entries of schedulers",
        "entry.resume": "let paused entries be enqueued again",
        "entry.run": "enqueue the task of an entry now",
        "entry.put": "add and change entries of schedulers",
        "entry.remove": "remove entries of schedulers",
        "repair": "put right what the audit finds",
    }
)
"""Every right, and what it allows, as the end of a sentence that begins "may"."""

CHANGES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "tasks.run": ("task.run",),
        "tasks.run_all": ("task.run",),
        "tasks.archive": ("task.archive",),
        "tasks.archive_all": ("task.archive",),
        "tasks.delete": ("task.delete",),
        "tasks.delete_all": ("task.delete",),
        "tasks.apply": ("task.run", "task.archive", "task.delete"),
        "tasks.cancel": ("task.cancel",),
        "tasks.cancel_all": ("task.cancel",),
        "tasks.edit": ("task.edit",),
        "tasks.reschedule": ("task.reschedule",),
        "tasks.enqueue": ("task.enqueue",),
        "tasks.enqueue_many": ("task.enqueue",),
        "queues.pause": ("queue.pause",),
        "queues.unpause": ("queue.resume",),
        "queues.remove": ("queue.remove",),
        "schedules.add": ("entry.put",),
        "schedules.upsert": ("entry.put",),
        "schedules.upsert_many": ("entry.put",),
        "schedules.pause": ("entry.pause",),
        "schedules.resume": ("entry.resume",),
        "schedules.run_now": ("entry.run",),
        "schedules.remove": ("entry.remove",),
        "inspector.repair": ("repair",),
    }
)
"""Every method that changes something, by its room, and the right it needs: `apply` that of its action."""

_LOOKING: Final = ("view", "trail")
_TAKEN_BACK: Final = (
    "task.run",
    "task.archive",
    "task.cancel",
    "task.reschedule",
    "queue.pause",
    "queue.resume",
    "entry.pause",
    "entry.resume",
    "entry.run",
)


@dataclass(frozen=True, slots=True)
class Rights:
    """What somebody may do, and in which queues.

        Rights.operator(queues=("billing", "mail-*"))
        Rights.of("view", "task.run", "task.archive")

    Make them with `all`, `operator`, `viewer` and `of`; `RIGHTS` has the names. `a & b` is what both allow.
    """

    names: frozenset[str]
    limits: tuple[tuple[str, ...], ...] = ()
    """Names of queues, of which a `*` stands for any text. A queue has to be in each of these lists."""

    @classmethod
    def of(cls, *names: str, queues: Iterable[str] | None = None) -> Self:
        """Make a set of the rights with these names.

        Args:
            *names: Of rights. With none, nothing is allowed.
            queues: Queues to which all of them are limited; a `*` stands for any text. `None` for no limit.

        Raises:
            ConfigError: There is no such right, or what should be names of queues is not.
        """
        problems = [_unknown(name) for name in names if name not in RIGHTS]
        patterns = () if queues is None else (queues,) if isinstance(queues, str) else tuple(queues)
        if isinstance(queues, str) or not all(is_queue_name(one) for one in patterns):
            problems.append(Problem("queues", queues, "names of queues, of which a * stands for any text"))
        if problems:
            raise ConfigError.of(problems)
        return cls(frozenset(names), () if queues is None else (patterns,))

    @classmethod
    def all(cls, *, queues: Iterable[str] | None = None) -> Self:
        """Every right that there is."""
        return cls.of(*RIGHTS, queues=queues)

    @classmethod
    def admin(cls, *, queues: Iterable[str] | None = None) -> Self:
        """The same as `all`, by the name of a role."""
        return cls.all(queues=queues)

    @classmethod
    def operator(cls, *, queues: Iterable[str] | None = None) -> Self:
        """Look at everything, and run, archive, cancel, reschedule, pause, resume: it can be taken back."""
        return cls.of(*_LOOKING, *_TAKEN_BACK, queues=queues)

    @classmethod
    def viewer(cls, *, queues: Iterable[str] | None = None) -> Self:
        """Look at everything, and change nothing."""
        return cls.of(*_LOOKING, queues=queues)

    @property
    def is_limited(self) -> bool:
        """Whether they hold for some queues only."""
        return bool(self.limits)

    def sees(self, queue: str) -> bool:
        """Whether they hold for this queue."""
        return all(_chooser(patterns)(queue) for patterns in self.limits)

    def may(self, right: str, queue: str | None = None) -> bool:
        """Whether this may be done, in this queue if one is given.

        Raises:
            ConfigError: There is no such right.
        """
        if right not in RIGHTS:
            raise ConfigError.of([_unknown(right)])
        return right in self.names and (queue is None or self.sees(queue))

    def __and__(self, other: Rights) -> Rights:
        """Return what both allow."""
        return Rights(self.names & other.names, tuple(dict.fromkeys((*self.limits, *other.limits))))

    def __contains__(self, right: object) -> bool:
        """Whether it is among them, in whatever queues."""
        return right in self.names


def _unknown(name: object) -> Problem:
    near = near_misses(str(name), RIGHTS)[:1]
    hint = f"; did you mean {near[0]!r}?" if near else f": {', '.join(RIGHTS)}"
    return Problem("right", name, f"the name of a right{hint}")


@lru_cache(maxsize=1024)
def _chooser(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """What tells whether a queue is named, or like a name with a star; asked for thousands of queues."""
    names = frozenset(pattern for pattern in patterns if "*" not in pattern)
    texts = [".*".join(map(re.escape, pattern.split("*"))) for pattern in patterns if "*" in pattern]
    if not texts:
        return names.__contains__
    fits = re.compile("|".join(texts), re.DOTALL).fullmatch
    return lambda queue: queue in names or fits(queue) is not None
