"""Classes of settings for the tests, and reading them from a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

import pytest

from asyncq.app import Setting, SettingsError, load

Minutes = NewType("Minutes", int)


class Color(Enum):
    """An enum whose values are no names."""

    RED = "r"
    DEEP_BLUE = "b"


@dataclass(frozen=True)
class Redis:
    """A section."""

    host: str
    port: Annotated[int, Setting(env="REDIS_PORT", least=1, below=65_536)] = 6379
    pass_: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Everything:
    """One of each kind of type."""

    name: str
    redis: Redis
    others: list[Redis] = field(default_factory=list[Redis])
    tags: tuple[str, ...] = ()
    pair: tuple[int, str] | None = None
    weights: Mapping[str, int] = field(default_factory=dict[str, int])
    by_number: dict[int, float] = field(default_factory=dict[int, float])
    color: Color = Color.RED
    kind: Literal["node", "cluster", 3] = "node"
    timeout: timedelta = timedelta(seconds=1)
    ratio: float = 0.5
    is_fast: bool = False
    folder: Path = Path()
    maybe: int | None = 7
    either: int | str = 0
    wait: float | timedelta = 1.0
    seen: frozenset[int] = frozenset()
    many: Sequence[int] = ()
    anything: Any = None
    minutes: Minutes = Minutes(5)


@dataclass(frozen=True)
class Small:
    """Few settings."""

    name: str
    port: int = 80


def read(text: str, settings: type[Any] = Small, folder: Path | None = None, **options: Any) -> Any:
    """What a YAML file with this text gives."""
    assert folder is not None
    file = folder / "settings.yaml"
    file.write_text(text)
    return load(file, settings, environ=options.pop("environ", {}), **options)


def wrong(text: str, settings: type[Any], folder: Path, **options: Any) -> list[str]:
    """What is said to be wrong with it."""
    with pytest.raises(SettingsError) as caught:
        read(text, settings, folder, **options)
    return [str(one) for one in caught.value.troubles]
