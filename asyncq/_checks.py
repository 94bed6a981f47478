"""Checks of plain values at the doors."""

from __future__ import annotations

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
