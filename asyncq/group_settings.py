"""When groups are ripe: what a server says of all, and what it says of some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final, cast

from asyncq._checks import whole_problem
from asyncq._clock import seconds
from asyncq.errors import ConfigError, Problem
from asyncq.options import is_text

__all__ = ["GroupSettings"]

MOST_GROUPED: Final = 10_000
"""Tasks that are aggregated at once, at the most: one script forgets them all, in about 20 ms."""

MOST_SETTINGS: Final = 100
"""Prefixes that each group is compared with, by a script."""

LEAST_GRACE: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSettings:
    """When groups of some kind are aggregated; what is not given is as the server says of all its groups."""

    grace_period: float | timedelta | None = None  #: after the latest task joined; at least 0.01 s
    max_delay: float | timedelta | None = None  #: after the oldest one did; 0 for no limit
    max_size: int | None = None  #: when it has so many tasks; 0 for as many as one call can do, 10,000

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        for name in ("grace_period", "max_delay"):
            if getattr(self, name) is not None:
                try:
                    object.__setattr__(self, name, seconds(getattr(self, name), name=name))
                except ConfigError as error:
                    problems += error.problems
        if not problems and self.grace_period is not None and cast("float", self.grace_period) < LEAST_GRACE:
            problems.append(Problem("grace_period", self.grace_period, f"at least {LEAST_GRACE} seconds"))
        problems += size_problems("max_size", self.max_size)
        if problems:
            raise ConfigError.of(problems)


def size_problems(name: str, size: int | None) -> list[Problem]:
    """Judge a number of tasks in one aggregation."""
    if size is None:
        return []
    problem = whole_problem(name, size, least=0)
    if problem is None and size > MOST_GROUPED:
        problem = Problem(name, size, f"at most {MOST_GROUPED:,}")
    return [problem] if problem is not None else []


def no_settings() -> Mapping[str, GroupSettings]:
    """What a server says of some groups when it says nothing."""
    return MappingProxyType({})


def settings_problems(settings: object) -> list[Problem]:
    """Judge `group_settings`."""
    if not isinstance(settings, Mapping):
        return [
            Problem("group_settings", settings, "a mapping from prefixes of group names to GroupSettings")
        ]
    given = cast("Mapping[object, object]", settings)
    problems: list[Problem] = []
    if len(given) > MOST_SETTINGS:
        problems.append(Problem("group_settings", len(given), f"at most {MOST_SETTINGS} prefixes"))
    for prefix, one in given.items():
        if not is_text(prefix):
            expected = "prefixes of group names; what holds for all groups are options of their own"
            problems.append(Problem("group_settings", prefix, expected))
        if not isinstance(one, GroupSettings):
            problems.append(Problem(f"group_settings[{prefix!r}]", one, "GroupSettings"))
    return problems
