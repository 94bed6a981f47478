"""Limits as they are given: to a handler, to a definition, and as a semaphore's."""

from __future__ import annotations

from typing import Any

import pytest

import asyncq
from asyncq import Limit, Mux, Semaphore, Task
from asyncq.errors import ConfigError

URL = "redis://localhost:1"


async def _handler(task: Task) -> None:
    """Do nothing."""


@pytest.mark.parametrize("scope", ["", "  ", "a{b}", "}", 5, None, b"bank"])
@pytest.mark.parametrize("make", [Limit, lambda scope, maximum: Semaphore(URL, scope, maximum)])
def test_a_scope_is_a_name_without_braces(make: Any, scope: Any) -> None:
    """The first pair of braces in a key decides its slot in a cluster."""
    with pytest.raises(ConfigError, match="scope"):
        make(scope, 1)


@pytest.mark.parametrize("maximum", [0, -1, 1.5, True, "5", None])
@pytest.mark.parametrize("make", [Limit, lambda scope, maximum: Semaphore(URL, scope, maximum)])
def test_there_is_at_least_one_slot(make: Any, maximum: Any) -> None:
    """With none, its tasks would wait for ever."""
    with pytest.raises(ConfigError, match="maximum"):
        make("bank", maximum)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    """One round of fixing instead of two."""
    with pytest.raises(ConfigError) as caught:
        Limit("", 0)
    assert [problem.option for problem in caught.value.problems] == ["scope", "maximum"]


@pytest.mark.parametrize(("option", "value"), [("lease", 0.5), ("lease", float("inf")), ("patience", -1)])
def test_a_semaphore_checks_its_times(option: str, value: float) -> None:
    """Before anything is connected."""
    with pytest.raises(ConfigError, match=option):
        Semaphore(URL, "bank", 1, **{option: value})


def test_a_handler_has_the_limit_it_was_given() -> None:
    """However it is registered."""
    bank, shop = Limit("bank", 5), Limit("shop", 2)
    semaphore = Semaphore(URL, "mail", 3)

    @asyncq.task("defined", limit=bank)
    async def defined() -> None:
        """Do nothing."""

    nested = Mux()
    nested.handle("shop:buy", limit=shop)(_handler)
    mux = Mux()
    mux.handle("bank", _handler, limit=bank)
    mux.handle("mail", _handler, limit=semaphore)
    mux.handle("free", _handler)
    mux.handle("shop:", nested)
    mux.add(defined)
    mux.handle("other", defined, limit=shop)
    found = {name: mux.resolve(name) for name in ("bank", "mail", "free", "shop:buy", "defined", "other")}
    assert {name: route.limit for name, route in found.items() if route is not None} == {
        "bank": bank,
        "mail": Limit("mail", 3),
        "free": None,
        "shop:buy": shop,
        "defined": bank,
        "other": shop,
    }
    assert mux.limits == {bank, shop, Limit("mail", 3)}


@pytest.mark.parametrize("limit", [5, "bank", ("bank", 5)])
def test_what_is_no_limit_is_refused(limit: Any) -> None:
    """A bare number would limit nothing beyond this server."""
    with pytest.raises(ConfigError, match="limit"):
        Mux().handle("bank", limit=limit)(_handler)
    with pytest.raises(ConfigError, match="limit"):
        asyncq.task("bank", limit=limit)


def test_a_mux_has_no_limit() -> None:
    """It belongs to a handler: of which type would the slot be?"""
    with pytest.raises(ConfigError, match="belongs to a handler"):
        Mux().handle("bank:", Mux(), limit=Limit("bank", 5))
