"""Time zones by name."""

from __future__ import annotations

import re
import zoneinfo
from collections import defaultdict
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from asyncq._checks import near_misses
from asyncq.errors import ConfigError

_OFFSET: Final = re.compile(r"UTC([+-])([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")


def time_zone(zone: str | tzinfo) -> tzinfo:
    """Return a time zone by its IANA name, or by how far it is from UTC, as in `UTC+05:30`.

    What is returned has a name by which any process finds it again: an entry is stored with its name.

    Raises:
        ConfigError: There is none of this name; with the names that look like it.
    """
    if isinstance(zone, ZoneInfo) and zone.key:
        return zone
    # Without the name that somebody gave a `timezone`: one of two hours called "EET" is not EET.
    name = str(timezone(zone.utcoffset(None)) if isinstance(zone, timezone) else zone)
    if name == "UTC":
        return UTC
    if found := _OFFSET.fullmatch(name):
        ahead = timedelta(hours=int(found[2]), minutes=int(found[3]), seconds=int(found[4] or 0))
        return timezone(ahead if found[1] == "+" else -ahead) if ahead else UTC
    try:
        # Zones of other libraries as ours: they differ in what they make of times that come twice.
        return ZoneInfo(name)
    # An unknown name, an odd path, and a folder of zones such as "Europe".
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        raise ConfigError("timezone", zone, f"the IANA name of a time zone{_hint(zone)}") from None


def _hint(zone: object) -> str:
    if isinstance(zone, tzinfo):
        return ", or a ZoneInfo: this one has no name by which others could find it"
    near = _like(zone) if isinstance(zone, str) else ()
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ' such as "Asia/Shanghai"'


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
