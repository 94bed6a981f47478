"""What the doors have in common: reading a connection, and names that nearly exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from asyncq.connection import ConnectionOptions
from asyncq.errors import ConfigError, Problem


def read_connection(url: str | ConnectionOptions) -> ConnectionOptions:
    """A URL or options, as options."""
    if isinstance(url, ConnectionOptions):
        return url
    if isinstance(url, str):
        return ConnectionOptions.from_url(url)
    raise ConfigError("url", url, "a URL such as redis://localhost:6379/0, or ConnectionOptions")


def near_miss(given: Iterable[str], known: Sequence[str]) -> None:
    """Refuse unknown option names, with the name that was probably meant.

    Raises:
        ConfigError: At least one name is not known; all of them are reported.
    """
    problems: list[Problem] = []
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"an option that exists; did you mean {near[0]!r}?" if near else f"one of {', '.join(sorted(known))}"
            problems.append(Problem(name, "…", hint))
    if problems:
        raise ConfigError.of(problems)
