"""Time zones by name."""

from __future__ import annotations

import zoneinfo
from collections import defaultdict
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from asyncq._checks import near_misses
from asyncq.errors import ConfigError

_EXAMPLE = ' such as "Asia/Shanghai"'


def time_zone(zone: str | tzinfo) -> tzinfo:
    """Return a time zone by its IANA name.

    Raises:
        ConfigError: There is none of this name; with the names that look like it.
    """
    if isinstance(zone, tzinfo):
        if _offset_of(zone) is None:
            raise ConfigError("timezone", zone, "a tzinfo that can say how far it is from UTC")
        return zone
    try:
        return ZoneInfo(zone)
    # An unknown name, an odd path, and a folder of zones such as "Europe".
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        near = _like(str(zone))
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else _EXAMPLE
        raise ConfigError("timezone", zone, f"the IANA name of a time zone{hint}") from None


def _offset_of(zone: tzinfo) -> timedelta | None:
    try:
        return datetime.now(UTC).astimezone(zone).utcoffset()
    except (NotImplementedError, ValueError):
        return None


def _like(name: str) -> tuple[str, ...]:
    """Return up to three names that may have been meant: people say "berlin" and "europe/Berln"."""
    by_word: dict[str, list[str]] = defaultdict(list)
    for known in sorted(zoneinfo.available_timezones()):
        by_word[known.casefold()].append(known)
        if "/" in known:
            by_word[known.rpartition("/")[2].casefold()].append(known)
    asked = name.strip().casefold().replace(" ", "_")
    if asked not in by_word:
        near = near_misses(asked, by_word)
        return tuple(dict.fromkeys(zone for word in near for zone in by_word[word]))[:3]
    return tuple(by_word[asked][:3])
