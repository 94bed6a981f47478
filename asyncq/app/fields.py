"""What a dataclass of settings asks for: its fields, their keys in files, and what is said of them."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterable
from dataclasses import MISSING, dataclass
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Final, cast

from asyncq.errors import ConfigError, Problem

Limit = float | timedelta


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is to be said of a setting beside its type and its default.

    @dataclass(frozen=True)
    class Settings:
        port: Annotated[int, Setting(env="PORT", least=1, most=65_535)] = 8080
    """

    env: str | None = None
    """A variable of the environment. When it is set, and not empty, it wins over the file."""

    options: tuple[Any, ...] = ()
    """The values that are allowed. (`Literal` says the same in the type.)"""

    least: Limit | None = None
    """The least that is allowed."""

    most: Limit | None = None
    """The most that is allowed."""

    above: Limit | None = None
    """It has to be more than this."""

    below: Limit | None = None
    """It has to be less than this."""

    key: str | None = None
    """What it is called in the file, when that is not the name of the field."""

    secret: bool = False
    """Never show its value in an error. Fields with `repr=False` are secret, too, and those whose names
    say so: password, secret, token."""

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        if self.env is not None and not self.env:
            problems.append(Problem("env", self.env, "the name of a variable"))
        for name in ("least", "most", "above", "below"):
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, (int, float, timedelta))
            ):
                problems.append(Problem(name, value, "a number or a timedelta"))
        if problems:
            raise ConfigError.of(problems)


NOTHING_SAID: Final = Setting()


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a dataclass."""

    name: str
    kind: Any  #: its type, without `Annotated`
    setting: Setting
    is_required: bool
    is_secret: bool

    @property
    def plain_key(self) -> str:
        """What keys of files are compared with."""
        return bare(self.setting.key or self.name)

    def key(self, *, camel: bool) -> str:
        """What it is called in a file, in one style or the other."""
        if self.setting.key is not None:
            return self.setting.key
        name = self.name.strip("_")
        return "".join(part[:1].upper() + part[1:] for part in name.split("_")) if camel else name


def bare(key: str) -> str:
    """A key without what is not compared: case, `_` and `-`."""
    return key.replace("_", "").replace("-", "").casefold()


_SECRET: Final = re.compile(r"pass(word|wd|phrase)?|.*(password|secret|token|credential|apikey|privatekey).*")


def fields_of(settings: Any) -> tuple[Field, ...]:
    """The fields of a dataclass, in their order.

    Raises:
        ConfigError: Its types cannot be read, or two of its fields have the same key.
    """
    return _fields_of(settings)


@cache
def _fields_of(settings: Any) -> tuple[Field, ...]:
    try:
        kinds = typing.get_type_hints(settings, include_extras=True)
    except (NameError, TypeError) as error:
        expected = f"types that can be looked up where the class stands, at the top of a module: {error}"
        raise ConfigError("settings", settings, expected) from error
    found: dict[str, Field] = {}
    for one in dataclasses.fields(settings):
        if not one.init:
            continue
        kind, setting = split(kinds[one.name])
        is_required = one.default is MISSING and one.default_factory is MISSING
        is_secret = setting.secret or not one.repr or _SECRET.fullmatch(bare(one.name)) is not None
        field = Field(one.name, kind, setting, is_required, is_secret)
        other = found.setdefault(field.plain_key, field)
        if other is not field:
            raise ConfigError(
                "settings", settings, f"different keys, and {other.name} and {field.name} have one"
            )
    return tuple(found.values())


def split(kind: Any) -> tuple[Any, Setting]:
    """A type without what is said of it, and that."""
    setting = NOTHING_SAID
    while True:
        if typing.get_origin(kind) is Annotated:
            said = [one for one in kind.__metadata__ if isinstance(one, Setting)]
            setting = said[-1] if said else setting
            kind = kind.__origin__
            continue
        # A NewType, or `type X = …`.
        inner = getattr(kind, "__supertype__", None) or getattr(kind, "__value__", None)
        if inner is None:
            return kind, setting
        kind = inner


def members_of(kind: Any) -> tuple[Any, ...] | None:
    """The types of a union; `None` when it is none."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return typing.get_args(kind)
    return None


def is_settings(kind: Any) -> bool:
    """Whether it is a dataclass."""
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def settings_in(kind: Any) -> type[Any] | None:
    """The dataclass that it is, perhaps beside `None`."""
    several = members_of(kind)
    known = [one for one in ([kind] if several is None else several) if one is not type(None)]
    return known[0] if len(known) == 1 and is_settings(known[0]) else None


def variables_of(settings: type[Any]) -> Iterable[str]:
    """The variables of the environment that a dataclass reads, also inside of it."""
    return _variables(settings, frozenset())


def _variables(settings: type[Any], outer: frozenset[Any]) -> Iterable[str]:
    for field in fields_of(settings):
        if field.setting.env is not None:
            yield field.setting.env
        inner = settings_in(field.kind)
        if inner is not None and inner not in outer:
            yield from _variables(inner, outer | {settings})


def default_of(settings: type[Any], name: str) -> object:
    """What a field has when nothing is said. Only for one that is not required."""
    one = next(field for field in dataclasses.fields(settings) if field.name == name)
    if one.default is not MISSING:
        return one.default
    return cast("Any", one.default_factory)()
