"""What stands above and below what is shown."""

from __future__ import annotations

import time
from collections.abc import Sequence

from asyncq.dash.places import Place
from asyncq.dash.rows import Reading, View
from asyncq.dash.texts import clean, span
from asyncq.errors import BrokerError


def headline(view: View, place: Place, reading: Reading | None, state: str, others: Sequence[str]) -> str:
    """Where we are and how much there is.

    Args:
        view: What is shown.
        place: Where.
        reading: What was read there, if anything was.
        state: What to say instead of a number, while there is none.
        others: What else is to be said.
    """
    parts = [view.title(place)]
    if state:
        parts.append(state)
    elif reading is not None and view.columns:
        total = f" of {reading.total:,}" if reading.total is not None else ""
        parts.append(f"{len(reading.rows):,}{total}")
    if place.cursors:
        parts.append(f"page {len(place.cursors) + 1}")
    if place.text:
        parts.append(f"/{clean(place.text)}")
    return "  ·  ".join([*parts, *others])


def remark(reading: Reading | None) -> str:
    """What has to be said about what was read."""
    if reading is None:
        return ""
    if reading.missing:
        away = "; ".join(sorted({str(one) for one in reading.missing}))
        return f"A part of Redis is away, and what lives there is missing: {clean(away)}"
    return reading.remark


class Outage:
    """Since when Redis gives no answer, if it gives none."""

    def __init__(self) -> None:
        self._since: float | None = None

    def lasts(self, error: BrokerError) -> str:
        """What to say while it lasts."""
        self._since = time.monotonic() if self._since is None else self._since
        seconds = time.monotonic() - self._since
        return f"Redis does not answer since {span(seconds)}, trying again: {clean(str(error))}"

    def ends(self) -> str:
        """What to say at its end; nothing where there was none."""
        if self._since is None:
            return ""
        seconds, self._since = time.monotonic() - self._since, None
        return f"Redis answers again after {span(seconds)}."
