"""What one browser likes: kept in a cookie there, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo, available_timezones

from asyncq._checks import near_misses
from asyncq.errors import ConfigError, Problem

COOKIE: Final = "asyncq_settings"

THEMES: Final = ("system", "light", "dark")
REFRESHES: Final = (0, 1, 2, 5, 10, 30)
"""Seconds between two looks of a live page; 0 for pages that stay as they are."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """The settings of one browser."""

    theme: str = "system"
    refresh: int = 2
    zone: str = "UTC"  #: in which times are shown
    keys: bool = True  #: whether single keys do something

    @property
    def tz(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.zone)

    def encode(self) -> str:
        """As the value of the cookie."""
        return urlencode(asdict(self) | {"keys": int(self.keys)})

    @classmethod
    def read(cls, values: Mapping[str, str]) -> Preferences:
        """Read a form.

        Raises:
            ConfigError: A value is none of those to choose from; all such are reported.
        """
        problems: list[Problem] = []
        theme = values.get("theme", "system")
        refresh = values.get("refresh", "2")
        zone = values.get("zone", "").strip() or "UTC"
        if theme not in THEMES:
            problems.append(Problem("theme", theme, f"one of {', '.join(THEMES)}"))
        if refresh not in map(str, REFRESHES):
            problems.append(Problem("refresh", refresh, f"one of {', '.join(map(str, REFRESHES))}"))
        if zone not in _zones():
            near = near_misses(zone, _zones())[:1]
            hint = f"; did you mean {near[0]!r}?" if near else " such as Europe/Berlin"
            problems.append(Problem("zone", zone, f"a time zone{hint}"))
        if problems:
            raise ConfigError.of(problems)
        return cls(theme, int(refresh), zone, values.get("keys", "") in ("1", "on"))

    @classmethod
    def decode(cls, cookie: str | None) -> Preferences:
        """Read a cookie; the defaults for one that we did not write."""
        if not cookie:
            return cls()
        try:
            return cls.read(dict(parse_qsl(cookie)))
        except ConfigError:
            return cls()


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) | {"UTC"}
