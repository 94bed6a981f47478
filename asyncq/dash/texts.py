"""What is shown, as text: numbers, times, and words that come from others."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Final

NOTHING: Final = "-"

_STEPS: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"))


def clean(text: str) -> str:
    """Text as it can be shown: what would move the cursor or turn the line round is written out.

    Types, ids and errors come from whoever may enqueue.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        one.encode("unicode_escape").decode("ascii")
        if unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        else one
        for one in text
    )


def line(text: str, most: int = 200) -> str:
    """The first line of a text, as much as is worth showing in a list."""
    first, more, _ = text.strip().partition("\n")
    short = first if len(first) <= most else first[: most - 1]
    return clean(short) + ("…" if more or len(first) > most else "")


def lines(text: str) -> str:
    """All lines of a text."""
    return "\n".join(map(clean, text.split("\n")))


def number(value: int) -> str:
    """A number that can be read at a glance; nothing for none."""
    return f"{value:,}" if value else NOTHING


def span(seconds: float) -> str:
    """A duration, in two units at most."""
    if seconds < 1.0:
        return f"{seconds * 1000:.0f}ms" if seconds >= 0.001 else "0s"
    if seconds < 10.0:
        return f"{seconds:.1f}s"
    for at, (size, unit) in enumerate(_STEPS):
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            if at + 1 < len(_STEPS) and (part := int(rest / _STEPS[at + 1][0])):
                return f"{whole:.0f}{unit}{part}{_STEPS[at + 1][1]}"
            return f"{whole:.0f}{unit}"
    return "0s"


def away(moment: datetime | None, now: datetime | None = None) -> str:
    """How far away a moment is: `in 3m`, `2h ago`."""
    if moment is None:
        return NOTHING
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    if abs(seconds) < 1.0:
        return "now"
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"


def counted(count: int, thing: str) -> str:
    """A number and its thing."""
    many = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{count:,} {thing if count == 1 else many}"
