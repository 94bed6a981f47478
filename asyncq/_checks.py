"""Checks of plain values at the doors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import fields
from itertools import islice
from typing import Any, Final

from asyncq.errors import ConfigError, Problem


def whole_problem(name: str, value: object, *, least: int) -> Problem | None:
    """What is wrong with a value that must be a whole number, if anything."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return None
    return Problem(name, value, f"a whole number, {least} or more")


def require_whole(name: str, value: object, *, least: int) -> None:
    """Refuse what is no whole number, or too small.

    Raises:
        ConfigError: With the name of the option, its value, and what was expected.
    """
    problem = whole_problem(name, value, least=least)
    if problem is not None:
        raise ConfigError.of([problem])


def refuse_unknown(config: type[Any], given: Iterable[str], what: str) -> None:
    """Refuse names that are no options of `what`, the fields of `config`; each with the one that was meant.

    Raises:
        ConfigError: At least one name is not known; all of them are reported.
    """
    names = sorted(field.name for field in fields(config))
    problems: list[Problem] = []
    for name in given:
        if name not in names:
            near = near_misses(name, names)[:1]
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(names)}"
            problems.append(Problem("option", name, f"an option of {what}{hint}"))
    if problems:
        raise ConfigError.of(problems)


_MOST_COMPARED: Final = 2000
"""Names that are compared with the one that was given: a hint must not take seconds."""


def near_misses(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Up to three of the known names that are most like one that is not among them."""
    return tuple(difflib.get_close_matches(name, [*islice(known, _MOST_COMPARED)], n=3))
