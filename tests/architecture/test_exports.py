"""The root is the public door: what it holds is what `__all__` names."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import types

import asyncq
from tests.architecture.repository import PACKAGE, tree


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


def test_what_is_imported_when_it_is_used_is_what_type_checkers_read() -> None:
    """The names stand twice, for type checkers and for Python; two lists drift apart."""
    read = {
        alias.name: node.module
        for node in ast.walk(tree(PACKAGE / "__init__.py"))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("asyncq.")
        for alias in node.names
    }
    known = vars(asyncq)["_HOMES"]
    homes = {name: f"asyncq.{home}" for home, names in known.items() for name in names}
    assert homes == read
    assert set(homes) == set(asyncq.__all__)
    for name, home in homes.items():
        assert getattr(asyncq, name) is getattr(importlib.import_module(home), name)


def test_the_decorator_stays_when_the_module_of_its_name_is_imported() -> None:
    """`asyncq.task` is both, and an import of a module sets the attribute of its package."""
    code = (
        "import asyncq, asyncq.task; assert callable(asyncq.task), asyncq.task;"
        "from asyncq.task import Task; assert Task is asyncq.Task;"
        "from asyncq import task; assert task is asyncq.task and callable(task);"
        "assert asyncq.errors.ConfigError and asyncq.retry and asyncq.options"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As of any module: `hasattr` and `from asyncq import …` rely on it."""
    assert not hasattr(asyncq, "nothing")


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
