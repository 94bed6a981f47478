"""What can go wrong with a message on its way to the nodes.

DqError
├─ NotWrittenError      fewer copies than needed were written, and those were taken back
└─ NotRevokedError      not all copies were there to be deleted
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asyncq._error_base import AsyncqError

__all__ = ["DqError", "NotRevokedError", "NotWrittenError"]


class DqError(AsyncqError):
    """Something went wrong with a message."""


class NotWrittenError(DqError):
    """Fewer copies were written than are needed, so the message is not put.

    `failures` says for each endpoint why. Copies that were written are deleted again; `left` names those
    that could not be, and which may still be handled.
    """

    def __init__(
        self, written: int, needed: int, failures: Mapping[str, Exception], left: Sequence[str] = ()
    ) -> None:
        super().__init__(written, needed, dict(failures), tuple(left))
        self.written, self.needed = written, needed
        self.failures, self.left = dict(failures), tuple(left)

    def __str__(self) -> str:
        told = "; ".join(f"{endpoint}: {error}" for endpoint, error in self.failures.items())
        left = f"; still there, and may be handled: {', '.join(self.left)}" if self.left else ""
        return f"{self.written} of {self.needed} needed copies were written: {told}{left}"


class NotRevokedError(DqError):
    """Not every copy could be deleted. `revoked` names those that were, `failures` says why of the others.

    A copy that is not found was handled, or revoked, or is being handled by a go-queue consumer.
    """

    def __init__(self, revoked: Sequence[str], failures: Mapping[str, Exception]) -> None:
        super().__init__(tuple(revoked), dict(failures))
        self.revoked, self.failures = tuple(revoked), dict(failures)

    def __str__(self) -> str:
        told = "; ".join(f"{one}: {error}" for one, error in self.failures.items())
        return f"{len(self.revoked)} copies were deleted, and {len(self.failures)} were not: {told}"
