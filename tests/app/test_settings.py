"""Settings: what is read, and what is said about everything that is wrong."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest

from asyncq.app import Setting, SettingsError, from_mapping
from asyncq.errors import ConfigError
from tests.app.wanted import Color, Everything, Minutes, Redis, Small, read, wrong

DURATION = 'a duration such as "3s", "1h30m" or "300ms"'

EVERYTHING = """
Name: order
REDIS: {Host: a, Port: 1, Pass: x}
others: [{host: b}, {host: c, port: 2}]
tags: [x, y]
pair: [1, z]
weights: {low: 1, High_Up: 2}
ByNumber: {1: 0.5, 2: 3}
color: deep-blue
kind: 3
TimeOut: 1h30m
ratio: 2
is-fast: true
folder: /var/log
maybe: null
either: text
wait: 90s
seen: [1, 2, 1]
many: [3]
anything: {a: [1, {b: c}]}
minutes: 6
"""


def test_every_type_is_read(tmp_path: Path) -> None:
    """Keys without case and separators; the names inside of a mapping stay as they are."""
    assert read(EVERYTHING, Everything, tmp_path) == Everything(
        name="order",
        redis=Redis("a", 1, "x"),
        others=[Redis("b"), Redis("c", 2)],
        tags=("x", "y"),
        pair=(1, "z"),
        weights={"low": 1, "High_Up": 2},
        by_number={1: 0.5, 2: 3.0},
        color=Color.DEEP_BLUE,
        kind=3,
        timeout=timedelta(minutes=90),
        ratio=2.0,
        is_fast=True,
        folder=Path("/var/log"),
        maybe=None,
        either="text",
        wait=timedelta(seconds=90),
        seen=frozenset({1, 2}),
        many=[3],
        anything={"a": [1, {"b": "c"}]},
        minutes=Minutes(6),
    )


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    """A key with nothing behind it counts as not said."""
    made = read("name: a\nredis: {host: b}\ntags:\nratio:\n", Everything, tmp_path)
    assert made == Everything(name="a", redis=Redis("b"))
    assert from_mapping({"name": "x"}, Small, environ={}) == Small("x")


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """With the line, the path, the value, and what would be right."""
    text = """Name: 7
Redis:
  Hots: localhost
  Port: 70000
Others:
  - Host: a
  - {Port: "6379"}
Color: green
Kind: nodes
Timeout: 30
Pair: [1]
Weights: [1]
Retio: 1
Folder: []
Either: 1.5
IsFast: "yes"
"""
    assert wrong(text, Everything, tmp_path) == [
        "line 1: Name=7: expected text; put it in quotes",
        "line 2: Redis.Host is missing: expected text",
        "line 3: Redis.Hots is no setting; did you mean 'Host'?",
        "line 4: Redis.Port=70000: expected at least 1 and less than 65536",
        "line 7: Others[1].Host is missing: expected text",
        "line 7: Others[1].Port='6379': expected a whole number; without quotes",
        "line 8: Color='green': expected one of 'r', 'b'",
        "line 9: Kind='nodes': expected one of 'node', 'cluster', 3; did you mean 'node'?",
        f"line 10: Timeout=30: expected {DURATION}; a bare number has no unit",
        "line 11: Pair=[1]: expected a list of 2 values",
        "line 12: Weights=[1]: expected a section of names and values",
        "line 13: Retio is no setting; did you mean 'Ratio'?",
        "line 14: Folder=[]: expected a path",
        "line 15: Either=1.5: expected a whole number or text",
        "line 16: IsFast='yes': expected true or false",
    ]


def test_an_error_names_its_file_and_is_a_config_error(tmp_path: Path) -> None:
    """One sentence for one thing, a list for several; and it survives another process."""
    with pytest.raises(ConfigError) as caught:
        read("port: 1\n", Small, tmp_path)
    assert str(caught.value) == f"{tmp_path}/settings.yaml: name is missing: expected text"
    with pytest.raises(SettingsError, match="2 settings are wrong:\n- line 1: port='x'") as several:
        read("port: x\n", Small, tmp_path)
    again = pickle.loads(pickle.dumps(several.value))  # noqa: S301 - our own
    assert str(again) == str(several.value)
    assert [problem.option for problem in several.value.problems] == ["port", "name"]


def test_unknown_keys_may_be_ignored(tmp_path: Path) -> None:
    """As in go-zero; what is missing is missing all the same."""
    assert read("name: a\nnmae: b\n", Small, tmp_path, unknown="ignore") == Small("a")
    assert wrong("nmae: b\n", Small, tmp_path, unknown="ignore") == ["name is missing: expected text"]
    with pytest.raises(ConfigError, match="'error' or 'ignore'"):
        read("name: a\n", Small, tmp_path, unknown="warn")


def test_a_key_that_stands_twice(tmp_path: Path) -> None:
    """Whichever was meant, the other one was not."""
    assert wrong("name: a\nport: 1\nname: b\n", Small, tmp_path) == [
        "line 3: expected YAML, and it is none: 'name' stands twice, also in line 1"
    ]
    assert wrong("name: a\nNAME: b\n", Small, tmp_path) == [
        "line 2: NAME=…: expected it once; it is 'name', too"
    ]


# --- the environment ---------------------------------------------------------------------------


@dataclass(frozen=True)
class FromOutside:
    """Settings that the environment may say."""

    token: Annotated[str, Setting(env="TOKEN")]
    redis: Redis = field(default_factory=lambda: Redis("default", 1))
    is_on: Annotated[bool, Setting(env="IS_ON")] = False
    hosts: Annotated[tuple[str, ...], Setting(env="HOSTS")] = ()
    timeout: Annotated[timedelta | None, Setting(env="TIMEOUT")] = None
    weights: Annotated[dict[str, int], Setting(env="WEIGHTS")] = field(default_factory=dict[str, int])


def test_the_environment_wins(tmp_path: Path) -> None:
    """Also over defaults of a section that the file does not have. What is empty says nothing."""
    environ = {
        "TOKEN": "t",
        "REDIS_PORT": "99",
        "IS_ON": "yes",
        "HOSTS": "a, b",
        "TIMEOUT": "3s",
        "WEIGHTS": '{"low": 1}',
    }
    made = read("token: file\n", FromOutside, tmp_path, environ=environ)
    assert made == FromOutside(
        "t",
        Redis("default", 99),
        is_on=True,
        hosts=("a", "b"),
        timeout=timedelta(seconds=3),
        weights={"low": 1},
    )
    assert read("token: file\n", FromOutside, tmp_path, environ={"TOKEN": ""}).token == "file"


def test_what_is_wrong_with_the_environment(tmp_path: Path) -> None:
    """It names the variable, for the file is not to blame."""
    environ = {"TOKEN": "t", "REDIS_PORT": "0", "IS_ON": "perhaps", "TIMEOUT": "3"}
    assert wrong("{}", FromOutside, tmp_path, environ=environ) == [
        "the variable REDIS_PORT='0', for redis.port: expected at least 1 and less than 65536",
        "the variable IS_ON='perhaps', for is_on: expected true or false",
        f"the variable TIMEOUT='3', for timeout: expected {DURATION}",
    ]


def test_variables_in_the_text(tmp_path: Path) -> None:
    """Where it was asked for. One that is not set is an error, and not an empty text as in Go."""
    text = "# $NOBODY\nname: $WHO-${WHAT}-$$\nport: ${PORT:-81}\n"
    environ = {"WHO": "me", "WHAT": ""}
    assert read(text, Small, tmp_path, use_env=True, environ=environ) == Small("me--$", 81)
    assert read(text, Small, tmp_path, environ=environ | {"PORT": "1"}, use_env=True).port == 1
    assert wrong("name: ${WHO}${WHO}\nport: $P\n", Small, tmp_path, use_env=True, environ={})[1:] == [
        "line 1: the variable WHO is missing: expected it to be set, or ${WHO:-…} with something",
        "line 2: the variable P is missing: expected it to be set, or ${P:-…} with something",
    ]
    assert read("name: ${WHO}\n", Small, tmp_path, environ=environ).name == "${WHO}"


# --- secrets and checks of one's own -------------------------------------------------------------


@dataclass(frozen=True)
class Guarded:
    """Settings with secrets, and checks."""

    db_password: int = 0
    quiet: Annotated[int, Setting(secret=True)] = 0
    hidden: int = field(default=0, repr=False)
    redis: Redis | None = None
    least: int = 0
    most: int = 9

    def __post_init__(self) -> None:
        if self.least < 0:
            raise ConfigError("least", self.least, "0 or more")
        if self.db_password == 3:
            raise ConfigError("db_password", self.db_password, "another one")

    def validate(self) -> None:
        """What depends on more than one."""
        if self.least > self.most:
            raise ValueError("least is more than most")


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    """Not those that are called so, nor those that are marked."""
    text = "db_password: hunter2\nquiet: hunter2\nhidden: hunter2\nredis: {host: a, pass: [hunter2]}\n"
    said = wrong(text, Guarded, tmp_path)
    assert len(said) == 4
    assert all("hunter2" not in one and "=…:" in one for one in said)
    (own,) = wrong("db_password: 3\n", Guarded, tmp_path)
    assert own == "line 1: db_password=…: expected another one"


def test_checks_of_the_class_are_heard(tmp_path: Path) -> None:
    """Those of the constructor name a field; those of `validate` a section."""
    assert wrong("most: 3\nLeast: -1\n", Guarded, tmp_path) == ["line 2: Least=-1: expected 0 or more"]
    assert wrong("least: 12\n", Guarded, tmp_path) == [
        "line 1: Guarded=…: expected other values: least is more than most"
    ]


class Elsewhere:
    """Nothing that a file can say."""


@dataclass(frozen=True)
class Ways:
    """A section, or a text, or what only a program can give."""

    redis: Redis | str | Elsewhere
    other: Elsewhere | None = None


def test_a_section_or_a_text(tmp_path: Path) -> None:
    """What no file can say is left out, and what is wrong inside of a section is said."""
    assert read("redis: {host: a}\n", Ways, tmp_path).redis == Redis("a")
    assert read("redis: redis://a\n", Ways, tmp_path).redis == "redis://a"
    assert wrong("redis: {hots: a}\n", Ways, tmp_path) == [
        "line 1: redis.hots is no setting; did you mean 'host'?",
        "line 1: redis.host is missing: expected text",
    ]
    assert wrong("redis: 1\n", Ways, tmp_path) == [
        "line 1: redis=1: expected a section with host, port, pass or text"
    ]


# --- classes that cannot be read ------------------------------------------------------------------


@dataclass(frozen=True)
class Odd:
    """A type that no file can say."""

    what: complex = 0j


@dataclass(frozen=True)
class Alike:
    """Two fields with one key."""

    a_b: int = 0
    ab: int = 0


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (dict, "a dataclass"),
        (Small("a"), "a dataclass"),
        (Odd, "a type that a file can say"),
        (Alike, "a_b and ab have one"),
    ],
)
def test_classes_that_cannot_be_read(settings: Any, expected: str) -> None:
    """That is a mistake in the program, and not in the file."""
    with pytest.raises(ConfigError, match=expected) as caught:
        from_mapping({"what": 1}, settings, unknown="ignore")
    assert not isinstance(caught.value, SettingsError)


def test_what_is_said_of_a_setting_is_checked() -> None:
    """At the place where it is written."""
    with pytest.raises(ConfigError, match="env='': expected the name of a variable"):
        Setting(env="")
    with pytest.raises(ConfigError, match="least='1': expected a number or a timedelta"):
        Setting(least="1")  # type: ignore[arg-type]


def test_options_and_limits(tmp_path: Path) -> None:
    """Of durations, too."""

    @dataclass(frozen=True)
    class Limited:
        size: Any = 1
        pause: Any = timedelta(seconds=1)
        key: Any = ""

    Limited.__annotations__ = {
        "size": Annotated[int, Setting(options=(1, 2, 4))],
        "pause": Annotated[timedelta, Setting(above=timedelta(), most=timedelta(minutes=1))],
        "key": Annotated[str, Setting(key="private:name")],
    }
    assert read("size: 4\npause: 60s\n'private:name': x\n", Limited, tmp_path).key == "x"
    assert wrong("size: 3\npause: 61s\n", Limited, tmp_path) == [
        "line 1: size=3: expected one of 1, 2, 4",
        "line 2: pause='61s': expected more than 0:00:00 and at most 0:01:00",
    ]
