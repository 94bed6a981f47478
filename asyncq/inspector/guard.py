"""What stands around every change: whether whoever acts may do it, and a note of what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Self, cast

from asyncq._clock import from_unix, now
from asyncq._compose import new_id
from asyncq.errors import AsyncqError, ConfigError, NotAllowedError, Problem
from asyncq.inspector.records import Outcome, TrailRecord, shortened, text_of
from asyncq.inspector.rights import CHANGES, Rights
from asyncq.options import is_text
from asyncq.redaction import Redactor

_LONGEST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who acts through an inspector, and what is shown to whom."""

    actor: str = ""  #: empty for a program that says nothing of it: its changes are not noted
    rights: Rights
    via: str
    redact: Redactor | None = None

    def __post_init__(self) -> None:
        problems = [
            Problem(name, value, f"text of one line, up to {_LONGEST} characters")
            for name, value in (("actor", self.actor), ("via", self.via))
            if not _is_line(value) and value != ""
        ]
        if not isinstance(cast("object", self.rights), Rights):
            problems.append(Problem("rights", self.rights, "Rights, such as Rights.viewer()"))
        if self.redact is not None and not callable(cast("object", self.redact)):
            problems.append(Problem("redact", self.redact, "a function that takes a value and a Subject"))
        if problems:
            raise ConfigError.of(problems)

    def acting_as(
        self, actor: str, *, rights: Rights | None, via: str | None, redact: Redactor | None
    ) -> Who:
        """Somebody with no more rights than this one has, to whom no more is shown.

        Raises:
            ConfigError: Something is wrong with what was given.
        """
        if not _is_line(actor):
            raise ConfigError(
                "actor", actor, f"the name of who acts, one line of up to {_LONGEST} characters"
            )
        wanted = Who(actor=actor, rights=rights or self.rights, via=via or self.via, redact=redact)
        return replace(wanted, rights=self.rights & wanted.rights, redact=_both(self.redact, redact))

    def require(self, right: str, queue: str | None) -> None:
        """Refuse what is not allowed.

        Raises:
            NotAllowedError: The right is missing, or is not for this queue.
        """
        if not self.rights.may(right):
            raise NotAllowedError(self.actor, right)
        if queue is not None and not self.rights.sees(queue):
            raise NotAllowedError(self.actor, right, queue)


def _is_line(text: object) -> bool:
    return is_text(text) and len(str(text)) <= _LONGEST and str(text).isprintable()


def _both(first: Redactor | None, second: Redactor | None) -> Redactor | None:
    if first is None or second is None or first is second:
        return first or second

    def redact(value: Any, subject: Any) -> Any:
        return second(first(value, subject), subject)

    return redact


class Change:
    """One call of one method that changes something: allowed or not, and noted.

    A single change is noted once, when it is over: had it to be noted first, nothing could be done in a Redis
    that refuses the note. Work on many is noted at its begin as well, since it may take hours.
    """

    def __init__(  # noqa: PLR0913 - each says another thing about the change
        self,
        who: Who,
        note: Callable[[TrailRecord], Awaitable[None]],
        method: str,
        queue: str | None,
        target: str,
        *,
        right: str | None,
        is_bulk: bool,
        queues: Iterable[str],
    ) -> None:
        needed = CHANGES[method]
        self.right: Final = needed[0] if right is None else right
        if self.right not in needed:
            raise ConfigError("right", right, f"one of {', '.join(needed)}")
        self.queue = queue
        self.target = target
        self.count: int | None = None  #: of work on many
        self.remark = ""  #: what there is to say of it when it is done
        self._changes: dict[str, tuple[str, str]] = {}
        self._who = who
        self._note = note
        self._is_bulk = is_bulk
        self._queues = queues
        self._operation = new_id()

    def require(self, queue: str) -> None:
        """Refuse what is not allowed in this queue: for what is of a queue that nobody has named.

        Raises:
            NotAllowedError: The rights are not for this queue.
        """
        self.queue = self.queue or queue
        self._who.require(self.right, queue)

    def compare(self, name: str, before: object, after: object) -> None:
        """Note what was changed, as whoever does it sees it."""
        if before != after:
            self._changes[name] = text_of(before), text_of(after)

    async def admit(self) -> None:
        """Refuse what is not allowed, and note that it was tried.

        Raises:
            NotAllowedError: The right is missing, or is not for this queue.
        """
        try:
            self._who.require(self.right, self.queue)
            for queue in self._queues:
                self._who.require(self.right, queue)
        except NotAllowedError as error:
            await self._tell("refused", str(error))
            raise

    async def __aenter__(self) -> Self:
        await self.admit()
        if self._is_bulk:
            await self._tell("begun")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._tell("done", self.remark)
        elif isinstance(error, ConfigError) and not self._is_bulk:
            pass  # a slip of the tongue: nothing was sent
        elif isinstance(error, NotAllowedError):
            await self._tell("refused", str(error))
        elif isinstance(error, Exception):
            # Of other errors the text is not ours, and may quote what is hidden.
            await self._tell("failed", str(error) if isinstance(error, AsyncqError) else type(error).__name__)
        else:
            await self._tell("interrupted")

    async def _tell(self, outcome: Outcome, reason: str = "") -> None:
        who = self._who
        if not who.actor and outcome != "refused":
            return
        record = TrailRecord(
            at=from_unix(now()),
            actor=who.actor,
            via=who.via,
            action=self.right,
            queue=shortened(str(self.queue or "")),
            target=shortened(self.target),
            outcome=outcome,
            reason=shortened(reason),
            count=self.count,
            changes=self._changes,
            is_redacted=who.redact is not None,
            operation=self._operation,
        )
        await self._note(record)
