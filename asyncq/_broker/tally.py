"""A count that whoever knows raises, and somebody else reads."""

from __future__ import annotations


class Tally:
    """Raised by one for each delivery whose outcome is written."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0
