"""How many handlers of a kind may run at the same time, over all servers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from asyncq._checks import whole_problem
from asyncq.connection import ConnectionOptions
from asyncq.errors import ConfigError, Problem
from asyncq.options import is_queue_name

__all__ = ["HasLimit", "Limit", "Place"]

_SCOPE: Final = "the name of what is limited, text that is not blank and has no braces"


class Place(NamedTuple):
    """Where the slots of a semaphore are."""

    options: ConnectionOptions
    prefix: str


@dataclass(frozen=True, slots=True)
class Limit:
    """So many slots of a semaphore, for a handler that needs one to run.

        @mux.handle("bank:", limit=Limit("bank", 5))
        async def transfer(task: Task) -> None: ...

    The slots are in the Redis of the server, under its prefix. Handlers with the same scope share
    them, whatever their types and queues, with each other and with every `asyncq.Semaphore` of it.
    """

    scope: str
    """What is limited."""

    maximum: int
    """How many may hold a slot at the same time. Who is given another number goes by that one."""

    place: Place | None = field(default=None, compare=False, repr=False, kw_only=True)
    """Where the slots are, when that was said; a server elsewhere refuses the limit."""

    def __post_init__(self) -> None:
        problems = [scope_problem(self.scope), whole_problem("maximum", self.maximum, least=1)]
        wrong = [problem for problem in problems if problem is not None]
        if wrong:
            raise ConfigError.of(wrong)


class HasLimit(Protocol):
    """What can say its limit, as `asyncq.Semaphore` does."""

    @property
    def limit(self) -> Limit:
        """The limit."""
        ...


def read_limit(given: object) -> Limit | None:
    """A limit as it was given: itself, or a semaphore's.

    Raises:
        ConfigError: It is neither.
    """
    found = getattr(given, "limit", given)
    if found is None or isinstance(found, Limit):
        return found
    raise ConfigError("limit", given, 'a Limit such as Limit("bank", 5), or a Semaphore')


def scope_problem(scope: object) -> Problem | None:
    """What is wrong with the name of a semaphore, if anything."""
    return None if is_queue_name(scope) else Problem("scope", scope, _SCOPE)
