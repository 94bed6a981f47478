"""The root is the public door: what it holds is what `__all__` names."""

from __future__ import annotations

import types

import asyncq


def _held() -> set[str]:
    """The public names of the root that are neither modules nor the `annotations` switch."""
    return {
        name
        for name in dir(asyncq)
        if not name.startswith("_")
        and name != "annotations"
        and not isinstance(getattr(asyncq, name), types.ModuleType)
    }


def test_all_names_exactly_what_the_root_holds() -> None:
    """A name that is importable and not in `__all__` becomes API by accident."""
    named = {name for name in asyncq.__all__ if not name.startswith("__")}
    modules = {name for name in named if isinstance(getattr(asyncq, name), types.ModuleType)}
    assert named - modules == _held()


def test_all_names_each_name_once() -> None:
    """The order is ruff's (RUF022); a name listed twice hides a merge gone wrong."""
    assert len(set(asyncq.__all__)) == len(asyncq.__all__)


def test_everyday_names_are_at_the_root() -> None:
    """The twenty lines of the README need one import line."""
    wanted = {
        "Client",
        "Context",
        "Mux",
        "RetryIn",
        "RevokeTask",
        "Scheduler",
        "Server",
        "SkipRetry",
        "Task",
        "task",
    }
    assert wanted <= set(asyncq.__all__)


def test_tracebacks_show_a_public_path() -> None:
    """What a traceback or a pickle names must be a path that a user may import from."""
    hidden = []
    for name in asyncq.__all__:
        item = getattr(asyncq, name)
        if not isinstance(item, type | types.FunctionType):
            continue
        if any(part.startswith("_") for part in item.__module__.split(".")):
            hidden.append(f"{name} says it is from {item.__module__}")
    assert not hidden


def test_every_public_thing_at_the_root_has_a_docstring() -> None:
    """`help(asyncq.Thing)` is where a user looks first."""
    silent = [
        name
        for name in asyncq.__all__
        if isinstance(getattr(asyncq, name), type | types.FunctionType) and not getattr(asyncq, name).__doc__
    ]
    assert not silent
