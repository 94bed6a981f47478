"""Where somebody is in the dashboard, and how he says where he wants to go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from asyncq._checks import near_misses

STATES: Final = ("pending", "active", "scheduled", "retry", "archived", "completed", "aggregating")

ALIASES: Final = {
    "q": "queues",
    "queue": "queues",
    "t": "tasks",
    "s": "servers",
    "server": "servers",
    "w": "workers",
    "worker": "workers",
    "g": "groups",
    "group": "groups",
    "sch": "schedulers",
    "scheduler": "schedulers",
    "e": "entries",
    "entry": "entries",
    "cron": "entries",
    "schedules": "entries",
    "h": "history",
    "o": "overview",
    "charts": "overview",
    "f": "failures",
    "failure": "failures",
    "search": "find",
    "audit": "trail",
    "quit": "quit",
    "exit": "quit",
    "q!": "quit",
}

SPANS: Final = {"1h": (3600, 60), "3h": (10800, 180), "1d": (86400, 3600), "7d": (604800, 10800)}
"""How far charts look back: seconds, and seconds of a point."""

USAGE: Final = {
    "queues": "queues",
    "overview": "overview [QUEUE] [1h|3h|1d|7d]",
    "tasks": "tasks QUEUE [STATE]",
    "task": "task QUEUE ID",
    "find": "find QUERY",
    "failures": "failures [QUEUE]",
    "groups": "groups QUEUE",
    "servers": "servers",
    "workers": "workers [SERVER]",
    "schedulers": "schedulers",
    "entries": "entries [QUEUE]",
    "history": "history ENTRY",
    "trail": "trail",
    "quit": "quit",
}
"""Where one can go, and what has to be said beside it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A list or a page, and what it is about."""

    view: str
    queue: str = ""
    state: str = ""
    group: str = ""
    id: str = ""
    text: str = ""  #: what the list is filtered by, or what is looked for
    span: str = ""  #: how far charts look back
    cursors: tuple[str, ...] = ()  #: of the pages before this one, and of this one

    def takes(self, *texts: str) -> bool:
        """Whether the filter lets a line with these texts through."""
        wanted = self.text.casefold()
        return any(wanted in text.casefold() for text in texts)


class NoSuchPlaceError(ValueError):
    """What was typed leads nowhere; the text says what would."""


def read_jump(text: str, here: Place) -> Place:
    """Where a command leads.

    Args:
        text: What was typed behind the colon.
        here: Where we are: `tasks` alone means those of the queue that is looked at.

    Raises:
        NoSuchPlaceError: Nowhere.
    """
    words = text.split()
    if not words:
        raise NoSuchPlaceError(f"there are {', '.join(USAGE)}")
    name = ALIASES.get(words[0].lower(), words[0].lower())
    if name in STATES:
        words = ["tasks", here.queue or "default", name]
        name = "tasks"
    if name not in USAGE:
        near = near_misses(name, [*USAGE, *ALIASES, *STATES])[:1]
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(USAGE)}"
        raise NoSuchPlaceError(f"{words[0]!r} is no place; {hint}")
    if name == "find":  # as it was typed: blanks inside of quotes count
        return Place(name, text=text.strip().partition(" ")[2].strip())
    if name == "overview":
        return _overview(words[1:])
    return _place(name, words[1:], here)


def _place(name: str, said: Sequence[str], here: Place) -> Place:
    queue = said[0] if said else here.queue or "default"
    if name == "tasks":
        state = _state(said[1]) if len(said) > 1 else here.state or "pending"
        return (
            Place("groups", queue=queue) if state == "aggregating" else Place(name, queue=queue, state=state)
        )
    if name == "task":
        if len(said) != 2:
            raise NoSuchPlaceError(f"say it like this: {USAGE[name]}")
        return Place(name, queue=said[0], id=said[1])
    if name == "groups":
        return Place(name, queue=queue)
    if name == "history":
        if not said:
            raise NoSuchPlaceError(f"say it like this: {USAGE[name]}")
        return Place(name, id=" ".join(said))
    if name == "workers":
        return Place(name, id=said[0] if said else "")
    return Place(name, queue=said[0] if said and name in ("entries", "failures") else "")


def _overview(said: Sequence[str]) -> Place:
    spans = [word for word in said if word in SPANS]
    queues = [word for word in said if word not in SPANS]
    if len(spans) > 1 or len(queues) > 1:
        raise NoSuchPlaceError(f"say it like this: {USAGE['overview']}")
    return Place("overview", queue="".join(queues), span="".join(spans))


def _state(text: str) -> str:
    found = [state for state in STATES if state.startswith(text.lower())]
    if len(found) != 1:
        raise NoSuchPlaceError(f"{text!r} is no state; there are {', '.join(STATES)}")
    return found[0]
