"""The trail of what operators changed: a stream with an end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from asyncq._broker.basis import Basis, script

ADD: Final = script("trail")

MOST: Final = 10_000
"""Records that are kept, about. One takes some 300 bytes, and one of a change of a payload more."""

PATIENCE: Final = 2.0
"""Seconds for which a record is sent again. Whoever waits has made the change already."""


class Trail:
    """The area of the trail."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._key: Final = basis.wire.keys.trail

    async def add(self, operation: str, outcome: str, fields: Mapping[str, str]) -> str:
        """Add a record.

        Args:
            operation: Of which change.
            outcome: Which one of the records of this change.
            fields: What it says.

        Returns:
            Its id, which begins with the time in milliseconds.
        """
        flat = [part for name, text in fields.items() for part in (name, text)]
        basis = self._basis
        patience = min(basis.patience, PATIENCE)
        args = [operation, outcome, MOST, *flat]
        reply: Any = await basis.router.run(
            ADD, [self._key], args, slot=basis.router.slot_of(self._key), patience=patience
        )
        return str(reply.decode())

    async def read(self, last: str, first: str, count: int) -> list[tuple[str, dict[str, str]]]:
        """Read records backwards, from `last` to `first`; `(id` leaves the record with this id out."""
        rows: Any = await self._command("XREVRANGE", last, first, "COUNT", count)
        return [(identity.decode(), _fields(parts)) for identity, parts in rows]

    async def count(self) -> int:
        """How many records there are."""
        return int(await self._command("XLEN"))

    async def _command(self, name: str, *args: Any) -> Any:
        router, key = self._basis.router, self._key
        return await router.command(name, key, *args, slot=router.slot_of(key), patience=self._basis.patience)


def _fields(parts: list[bytes]) -> dict[str, str]:
    texts = [part.decode("utf-8", "replace") for part in parts]
    return dict(zip(texts[::2], texts[1::2], strict=False))
