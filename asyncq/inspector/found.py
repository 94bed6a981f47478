"""A list that says what it lacks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from asyncq.errors import Missing

_T = TypeVar("_T")


class Found(list[_T]):
    """A list, with what could not be looked at for it.

    `missing` is empty unless the call was made with `partial=True` on a cluster of which a node is away.
    """

    def __init__(self, items: Iterable[_T] = (), missing: Iterable[Missing] = ()) -> None:
        super().__init__(items)
        self.missing: tuple[Missing, ...] = tuple(missing)

    @property
    def is_whole(self) -> bool:
        """Whether all of it could be looked at."""
        return not self.missing
