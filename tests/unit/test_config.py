"""The options of a server, checked together."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from asyncq._engine.aggregator import ripeness_of
from asyncq.config import ServerConfig
from asyncq.errors import ConfigError
from asyncq.group_settings import GroupSettings
from asyncq.retry import Exponential, Fixed
from asyncq.server import Server


async def _plain_generator() -> AsyncIterator[None]:
    yield


def _sync_generator(task: object, ctx: object) -> Iterator[None]:
    yield


async def _coroutine() -> None:
    """Return nothing."""


def test_the_defaults_are_fine() -> None:
    """A server needs nothing but a URL."""
    config = ServerConfig()
    assert config.concurrency >= 1
    assert dict(config.queues) == {"default": 1}


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        ({"a": 6, "b": 1}, {"a": 6, "b": 1}),
        ("a", {"a": 1}),
        (["a", "b"], {"a": 1, "b": 1}),
        (("ü:x", "b c"), {"ü:x": 1, "b c": 1}),
    ],
)
def test_queues_may_be_given_with_or_without_weights(queues: Any, expected: dict[str, int]) -> None:
    """A name, several, or a mapping."""
    assert dict(ServerConfig(queues=queues).queues) == expected


def test_what_was_given_is_copied() -> None:
    """What the caller does with it later is the caller's business."""
    queues = {"a": 1}
    config = ServerConfig(queues=queues)
    queues["b"] = 2
    assert dict(config.queues) == {"a": 1}
    with pytest.raises(TypeError):
        config.queues["c"] = 3  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concurrency": 0}, ["concurrency", "1 or more"]),
        ({"concurrency": True}, ["concurrency"]),
        ({"concurrency": 1.5}, ["concurrency"]),
        ({"queues": {}}, ["queues", "at least one"]),
        ({"queues": {"": 1}}, ["queues", "not blank"]),
        ({"queues": {"a{b}": 1}}, ["queues", "braces"]),
        ({"queues": {"a": 0}}, ["queues['a']", "1 or more"]),
        ({"queues": {"a": 0.5}}, ["queues['a']"]),
        ({"lease": 0.5}, ["lease", "at least 1"]),
        ({"lease": -1}, ["lease"]),
        ({"lease": math.inf}, ["lease", "an end"]),
        ({"lease": "30"}, ["lease"]),
        ({"lease": math.nan}, ["lease"]),
        ({"shutdown_timeout": -1}, ["shutdown_timeout"]),
        ({"waking": "shout"}, ["waking", "'push' or 'poll'"]),
        ({"task_check_interval": 0}, ["task_check_interval"]),
        ({"delayed_check_interval": "soon"}, ["delayed_check_interval"]),
        ({"janitor_interval": 0}, ["janitor_interval"]),
        ({"janitor_batch_size": 0}, ["janitor_batch_size", "1 or more"]),
        ({"janitor_batch_size": 1001}, ["janitor_batch_size", "at most 1,000"]),
        ({"health_check_interval": 0}, ["health_check_interval"]),
        ({"health_check": "yes"}, ["health_check", "a function"]),
        ({"on_error": 1}, ["on_error", "a function"]),
        ({"log_level": "loud"}, ["log_level", "'debug'"]),
        ({"log_level": True}, ["log_level"]),
        ({"logger": print}, ["logger", "debug, info, warning and error"]),
        ({"logger": logging.Logger}, ["logger"]),
        ({"lifespan": _plain_generator}, ["lifespan", "contextlib.asynccontextmanager"]),
        ({"task_lifespan": _sync_generator}, ["task_lifespan", "contextlib.contextmanager"]),
        ({"lifespan": _coroutine}, ["lifespan", "returns a context manager"]),
        ({"retry": "soon"}, ["retry"]),
        ({"retry": Exponential}, ["retry"]),
        ({"retry_policies": {"": Fixed(1)}}, ["retry_policies"]),
        ({"threads": 0}, ["threads"]),
        ({"archive_max_count": -1}, ["archive_max_count"]),
        ({"concurrency": 0, "max_lost": 0, "waking": "x"}, ["concurrency", "max_lost", "waking", "3 values"]),
    ],
)
def test_wrong_options_are_reported_together(options: dict[str, Any], words: list[str]) -> None:
    """Each with its value and what was expected, and all in one error."""
    with pytest.raises(ConfigError) as caught:
        ServerConfig(**options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"lease": 1}, 1.0),
        ({"lease": timedelta(minutes=1)}, 60.0),
    ],
)
def test_durations_are_seconds_or_timedeltas(options: dict[str, Any], expected: float) -> None:
    """And floats inside."""
    assert ServerConfig(**options).lease == expected


@pytest.mark.parametrize(
    "options",
    [
        {"shutdown_timeout": math.inf},
        {"shutdown_timeout": 0},
        {"archive_max_age": math.inf},
        {"archive_max_count": 0},
        {"retry": Exponential()},
        {"retry": lambda retried, error, task: 1.0},
    ],
)
def test_the_ends_of_the_ranges_are_allowed(options: dict[str, Any]) -> None:
    """For ever, at once, none."""
    ServerConfig(**options)


def test_unknown_options_are_refused_with_the_near_miss() -> None:
    """Before anything else happens."""
    with pytest.raises(ConfigError, match="did you mean 'concurrency'"):
        Server("redis://h", concurency=1)


def test_options_by_name_win_over_the_object() -> None:
    """One configuration for many servers, with a difference here and there."""
    config = ServerConfig(concurrency=3, name="mine")
    server = Server("redis://h", config, concurrency=5)
    assert (server.config.concurrency, server.config.name, config.concurrency) == (5, "mine", 3)


@pytest.mark.parametrize(
    "options",
    [
        {"group_aggregator": "combine"},
        {"group_grace_period": 0},
        {"group_grace_period": -1},
        {"group_max_delay": "soon"},
        {"group_max_size": -1},
        {"group_max_size": 1.5},
        {"group_max_size": 10_001},
        {"group_settings": [("a", GroupSettings())]},
        {"group_settings": {"a": {"max_size": 5}}},
        {"group_settings": {"": GroupSettings()}},
        {"group_settings": {b"a": GroupSettings()}},
        {"group_settings": {str(number): GroupSettings() for number in range(101)}},
    ],
)
def test_wrong_options_of_groups_are_refused(options: dict[str, object]) -> None:
    """By name, and before a server begins."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        ServerConfig(**options)  # type: ignore[arg-type]


def test_none_and_zero_are_no_limit_of_a_group() -> None:
    """As in asynq, and as Python says it."""
    for value in (None, 0):
        config = ServerConfig(group_max_delay=value, group_max_size=value)
        assert not config.group_max_delay
        assert not config.group_max_size
    assert ServerConfig(group_grace_period=timedelta(seconds=5)).group_grace_period == 5.0


@pytest.mark.parametrize(
    "settings",
    [
        {"grace_period": 0},
        {"grace_period": "soon"},
        {"max_delay": -1},
        {"max_size": -1},
        {"max_size": True},
        {"max_size": 10_001},
    ],
)
def test_wrong_settings_of_some_groups_are_refused(settings: dict[str, Any]) -> None:
    """Where they are written."""
    with pytest.raises(ConfigError, match=next(iter(settings))):
        GroupSettings(**settings)


def test_settings_of_some_groups_fall_back_to_those_of_all() -> None:
    """Those of the longest prefix stand first; 0 says that there is no limit, and None says nothing."""
    config = ServerConfig(
        group_grace_period=9,
        group_max_delay=90,
        group_max_size=900,
        group_settings={
            "a:": GroupSettings(max_delay=0, max_size=0),
            "a:b:": GroupSettings(grace_period=timedelta(seconds=1), max_size=50),
            "c": GroupSettings(),
        },
    )
    ripeness = ripeness_of(config)
    assert (ripeness.grace, ripeness.max_delay, ripeness.max_size) == (9.0, 90.0, 900)
    assert ripeness.special == (
        ("a:b:", 1.0, 90.0, 50),
        ("a:", 9.0, 0.0, 10_000),
        ("c", 9.0, 90.0, 900),
    )
    assert ripeness.sizes == "50 900 10000"
    assert ripeness_of(ServerConfig()).sizes == "10000"
