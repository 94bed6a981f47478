"""Child processes of the session, which no test has left behind."""

from __future__ import annotations

from typing import Protocol

__all__ = ["LASTING", "Lasting"]


class Lasting(Protocol):
    """A server that is started in the middle of some test and stays."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    @property
    def is_alive(self) -> bool:
        """Whether the process is there."""
        ...


LASTING: list[Lasting] = []
