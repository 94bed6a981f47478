"""Where a page of a search stopped, as text that a caller hands back to go on."""

from __future__ import annotations

import base64
from typing import Any, cast

import msgpack

from asyncq.errors import ConfigError

Spot = tuple[int, str, str, str | None]
"""Which of the states in their order, queue, group, and the cursor within."""


def cursor_of(spot: Spot) -> str:
    """Return it as text."""
    packed: bytes = msgpack.packb(spot, use_bin_type=True)
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def read_cursor(cursor: object, states: int) -> Spot:
    """Read it; the beginning for `None`.

    Raises:
        ConfigError: It is none of a search over so many states.
    """
    if cursor is None:
        return 0, "", "", None
    order, queue, group, inner = 0, "", "", None
    try:
        packed = base64.urlsafe_b64decode(cast("str", cursor) + "=" * (-len(cast("str", cursor)) % 4))
        order, queue, group, inner = cast("list[Any]", msgpack.unpackb(packed))
        is_sound = 0 <= order < states and isinstance(queue, str) and isinstance(group, str)
        is_sound = is_sound and (inner is None or isinstance(inner, str))
    except (ValueError, TypeError):  # what base64, msgpack and the comparison raise
        is_sound = False
    if not is_sound:
        raise ConfigError("cursor", cursor, "the cursor of another page of this same search")
    return order, queue, group, inner
