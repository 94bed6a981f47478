"""What is wrong with entries of schedulers. Users find everything in `errors`."""

from __future__ import annotations

from collections.abc import Sequence

from asyncq._error_base import AsyncqError, NotFoundError, WrongStateError


class EntryNotFoundError(NotFoundError):
    """There is no such entry, stored or in this scheduler, and no history of one."""

    _text = "there is no entry {entry_id!r}"

    def __init__(self, entry_id: str, near: Sequence[str] = ()) -> None:
        super().__init__(entry_id, tuple(near))
        self.entry_id, self.near = entry_id, tuple(near)


class EntryChangedError(WrongStateError):
    """The entry is not what it was when it was looked at. Look again, and decide again.

    `version` is what was expected; 0 for no entry at all.
    """

    _text = "entry {entry_id!r} has changed since it was looked at"

    def __init__(self, entry_id: str, version: int) -> None:
        super().__init__(entry_id, version)
        self.entry_id, self.version = entry_id, version


class EntryExistsError(WrongStateError):
    """There is an entry of this id with another definition. Choose another id, or say `replace=True`."""

    def __init__(self, *entry_ids: str) -> None:
        super().__init__(*entry_ids)
        self.entry_ids = entry_ids

    def __str__(self) -> str:
        named = ", ".join(map(repr, self.entry_ids))
        of = "has" if len(self.entry_ids) == 1 else "have"
        return f"entry {named} {of} another definition; choose another id, or say replace=True"


class EntryDeclaredError(WrongStateError):
    """The code of an application declares the entry, so it is changed there. It may be paused."""

    def __init__(self, entry_id: str, application: str = "") -> None:
        super().__init__(entry_id, application)
        self.entry_id, self.application = entry_id, application

    def __str__(self) -> str:
        whose = f"the code of {self.application!r}" if self.application else "code"
        return f"entry {self.entry_id!r} is declared in {whose}: change it there, or pause it"


class ProviderError(AsyncqError):
    """A provider of periodic tasks raised, hung, or gave what cannot be taken. The last good set stays.

    What it raised is the `__cause__`.
    """

    _text = "the provider of periodic tasks failed: {why}"

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class SchedulerStalledError(AsyncqError):
    """A time of an entry was due so many seconds ago, and the scheduler has enqueued nothing since."""

    _text = "nothing was enqueued for {seconds:.0f} s, though it was due"

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds
