"""Nobody looks or changes anything through an inspector who has not the right to: no method forgets to ask.

The rooms are read as text: what a public method calls, itself or by a helper of its class, has to be one of
those that ask. `tests/integration/test_rights.py` calls them.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from typing import Any

import pytest

from asyncq import Inspector
from asyncq.inspector.rights import CHANGES, RIGHTS

# What looks only. A new line here is a decision: whatever changes something belongs into the table of rights.
LOOKS = {
    "cluster": {"nodes", "redis", "slot"},
    "groups": {"get", "list"},
    "inspector": {"audit", "require"},
    "measures": {"history", "pulses", "types"},
    "queues": {"get", "history", "list", "memory", "names", "sizes"},
    "schedulers": {"entries", "entry", "events", "go_entries", "list", "orphans"},
    "schedules": {"get", "history", "iterate", "list"},
    "search": {"by_id", "find", "places"},
    "servers": {"get", "list", "workers"},
    "tasks": {"get", "iterate", "list"},
    "trail": {"list"},
}

# What needs no right, and why.
FREE = {
    "inspector.acting_as": "it gives nothing that is not there",
    "inspector.aclose": "whoever opened it may close it",
    "inspector.ping": "whether Redis is there is no secret: probes ask for it",
}

# What only hands on to methods of another room, which ask.
SAME_AS = {
    "failures.list": "tasks.list",
    "schedulers.entry": "schedules.get",
    "schedulers.pause": "schedules.pause",
    "schedulers.resume": "schedules.resume",
    "schedulers.run_now": "schedules.run_now",
    "schedulers.remove": "schedules.remove",
}

_ASKING = {"see", "change", "require", "admit"}


def _rooms() -> dict[str, type]:
    inspector = Inspector("redis://localhost:1")
    rooms = {name: type(room) for name, room in vars(inspector).items() if not name.startswith("_")}
    return {**rooms, "inspector": Inspector}


def _methods() -> dict[str, Any]:
    """The public methods of all rooms."""
    found = {}
    for room, cls in _rooms().items():
        for name, method in inspect.getmembers(cls, inspect.isfunction):
            if not name.startswith("_"):
                found[f"{room}.{name}"] = (cls, method)
    return found


def _calls(cls: type, name: str) -> dict[str, tuple[str, ...]]:
    """What a method asks, and for what, also by helpers of its class and functions of this package."""
    return _asked(getattr(cls, name), cls)


@cache
def _asked(function: Any, cls: type) -> dict[str, tuple[str, ...]]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    found: dict[str, tuple[str, ...]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        helper = None
        if isinstance(node.func, ast.Name):
            helper = function.__globals__.get(node.func.id)
        elif isinstance(node.func, ast.Attribute):
            called = node.func.attr
            if called in _ASKING:
                found[called] = (*found.get(called, ()), *map(ast.unparse, node.args[:1]))
            elif ast.unparse(node.func.value) == "self":
                helper = getattr(cls, called, None)
        is_ours = inspect.isfunction(helper) and helper.__module__.startswith("asyncq.inspector.")
        if is_ours and helper is not function:
            found |= _asked(helper, cls)
    return found


METHODS = _methods()


@pytest.mark.parametrize("method", METHODS)
def test_every_public_method_asks_for_a_right(method: str) -> None:
    """Or it is written down here why not."""
    cls, function = METHODS[method]
    if method in FREE:
        return
    if method in SAME_AS:
        assert SAME_AS[method] in METHODS
        return
    asked = _calls(cls, function.__name__)
    assert asked, f"{method} asks for no right: begin with self._reach.see(...) or stand in .change(...)"
    room, _, name = method.partition(".")
    if method in CHANGES:
        assert "change" in asked, f"{method} changes something and does not stand in .change(...)"
    else:
        assert name in LOOKS.get(room, ()), f"{method} is neither in CHANGES nor known to look only"


def test_the_tables_name_what_there_is() -> None:
    """A method that was renamed would take its right with it."""
    looked = {f"{room}.{name}" for room, names in LOOKS.items() for name in names}
    assert {*CHANGES, *FREE, *SAME_AS, *looked} == {*METHODS}
    assert not {*CHANGES} & looked


@pytest.mark.parametrize("method", CHANGES)
def test_a_method_is_noted_by_its_own_name(method: str) -> None:
    """Copied lines tell of the wrong thing."""
    cls, function = METHODS[method]
    (named,) = set(_calls(cls, function.__name__)["change"])
    assert named in (repr(method), "method")
    if named == "method":
        assert method.endswith("_all")


def test_every_right_is_asked_for() -> None:
    """A right that nothing needs is a promise that nobody keeps."""
    needed = {right for rights in CHANGES.values() for right in rights}
    assert needed | {"view", "trail"} == set(RIGHTS)
