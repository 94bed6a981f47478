"""Settings from whatever somebody may have written: the same in each format, and never another error."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncq.app import SettingsError, load
from tests.app.wanted import Everything

TEXT = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" \n"), max_size=12)
NUMBERS = st.integers(-(2**31), 2**31)


@dataclass(frozen=True)
class Inner:
    """A section."""

    text: str = ""
    number: int = 0


@dataclass(frozen=True)
class Outer:
    """What each format can say."""

    text: str
    number: int
    share: float
    is_on: bool
    inner: Inner
    pause: timedelta
    kind: Literal["a", "b"] = "a"
    many: list[Inner] = field(default_factory=list[Inner])
    words: tuple[str, ...] = ()
    by_name: dict[str, int] = field(default_factory=dict[str, int])


INNER = st.fixed_dictionaries({"Text": TEXT, "number": NUMBERS})
OUTER = st.fixed_dictionaries(
    {
        "Text": TEXT,
        "Number": NUMBERS,
        "share": st.floats(allow_nan=False, allow_infinity=False),
        "IsOn": st.booleans(),
        "Inner": INNER,
        "pause": st.integers(0, 10_000).map(lambda ms: f"{ms}ms"),
    },
    optional={
        "kind": st.sampled_from(["a", "b"]),
        "many": st.lists(INNER, max_size=3),
        "words": st.lists(TEXT, max_size=3),
        "ByName": st.dictionaries(TEXT, NUMBERS, max_size=3),
    },
)


@contextlib.contextmanager
def file(name: str, text: str) -> Iterator[Path]:
    """A file with a text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_text(text, encoding="utf-8", newline="")
        yield path


@given(OUTER)
@settings(max_examples=60, deadline=None)
def test_yaml_and_json_say_the_same(said: dict[str, Any]) -> None:
    """To the last letter, whatever was written."""
    with file("a.yaml", yaml.safe_dump(said, allow_unicode=True)) as path:
        from_yaml = load(path, Outer, environ={})
    with file("a.json", json.dumps(said)) as path:
        from_json = load(path, Outer, environ={})
    assert from_yaml == from_json
    assert (from_json.text, from_json.number, from_json.by_name) == (
        said["Text"],
        said["Number"],
        said.get("ByName", {}),
    )
    assert from_json.pause == timedelta(milliseconds=int(said["pause"][:-2]))


WORDS = "name Redis host : = [ ] { } , \" ' # &a *a << !!map > 1 1.5 true null [[ $X ${Y} %"
PIECES = st.sampled_from([*WORDS.split(), "\n", "  ", "- ", ": ", "\t", "---\n"])


@pytest.mark.parametrize("suffix", ["yaml", "json", "toml"])
@given(st.lists(PIECES, max_size=25).map("".join))
@example("[" * 600)
@example("{a: " * 1_500)
@example("a: &a [*a, *a]\n")
@settings(max_examples=80, deadline=None)
def test_no_file_is_worth_another_error(suffix: str, text: str) -> None:
    """It is read, or what is wrong with it is said in words."""
    with file(f"a.{suffix}", text) as path, contextlib.suppress(SettingsError):
        load(path, Everything, use_env=True, environ={"X": "x"})
