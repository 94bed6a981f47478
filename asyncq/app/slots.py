"""The wheel of a timing wheel: which timer is due at which tick. It knows no clock."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Slots(Generic[K, V]):
    """A ring of slots with timers, and a hand that goes on by one slot a tick.

    A timer stands in one slot, and knows the tick at which it is due; so one that is further away than
    the ring is long is passed by until its round comes. Setting, moving and removing cost the same however
    many timers there are, and nothing is kept of one that has gone.

    Args:
        count: How many slots there are.
    """

    def __init__(self, count: int) -> None:
        self._slots: Final[list[dict[K, V]]] = [{} for _ in range(count)]
        self._due: Final[dict[K, int]] = {}
        self.ticks = 0  #: how often the hand went on

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, key: object) -> bool:
        return key in self._due

    def put(self, key: K, value: V, steps: int) -> None:
        """Make it due in so many ticks, one or more, in the place of what was known of its key."""
        self.pop(key)
        due = self._due[key] = self.ticks + steps
        self._slot(due)[key] = value

    def move(self, key: K, steps: int) -> None:
        """Make one that is there due in so many ticks.

        Raises:
            KeyError: It is not there.
        """
        value = self._slot(self._due[key]).pop(key)
        due = self._due[key] = self.ticks + steps
        self._slot(due)[key] = value

    def pop(self, key: K) -> list[V]:
        """Take it out: its value, or nothing when it is not there."""
        due = self._due.pop(key, None)
        return [] if due is None else [self._slot(due).pop(key)]

    def tick(self) -> list[tuple[K, V]]:
        """Go on by one slot, and take out what is due: in the order in which it was put there."""
        self.ticks += 1
        slot = self._slot(self.ticks)
        due = [(key, value) for key, value in slot.items() if self._due[key] == self.ticks]
        for key, _ in due:
            del slot[key], self._due[key]
        return due

    def clear(self) -> list[tuple[K, V]]:
        """Take out everything: what is due first comes first."""
        order = sorted(self._due.items(), key=lambda one: one[1])
        found = [(key, self._slot(due)[key]) for key, due in order]
        for slot in self._slots:
            slot.clear()
        self._due.clear()
        return found

    def _slot(self, due: int) -> dict[K, V]:
        return self._slots[due % len(self._slots)]
