"""Configuration files: what go-zero makes of one, ours does, too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.driving import CallError
from tests.support.services.parts import SIDES, Parts, Side

pytestmark = pytest.mark.parametrize("side", SIDES)

DEFAULTS = {
    "name": "job",
    "mode": "pro",
    "log_level": "info",
    "owner": "us",
    "note": "",
    "port": 8080,
    "level": "low",
    "rate": 5,
    "secret": "",
    "wait": 3,
}


async def loaded(parts: Parts, side: Side, file: Path, **options: Any) -> dict[str, Any]:
    """Load a file in a process of its own, for environments differ."""
    program = await parts(side, "load")
    return dict(await program("load", file=str(file), **options))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "Name: job\nOwner: us\n"),
        ("a.yml", "name: job\nowner: us\n"),
        ("a.json", '{"NAME": "job", "owner": "us"}'),
        ("a.toml", 'Name = "job"\nOwner = "us"\n'),
    ],
)
async def test_what_is_not_said_has_its_default(
    parts: Parts, tmp_path: Path, side: Side, name: str, text: str
) -> None:
    """Whatever the format, and however the keys are capitalised."""
    (tmp_path / name).write_text(text)
    # Of a section that is not there Go fills nothing in; ours has its defaults there, too.
    port = 0 if side == "go" else 9101
    assert await loaded(parts, side, tmp_path / name) == {**DEFAULTS, "prometheus_port": port}


async def test_what_is_said_is_loaded(
    parts: Parts, tmp_path: Path, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Durations as people write them; the environment wins; variables in the text, if that is asked for."""
    monkeypatch.setitem(os.environ, "RIG_SECRET", "from outside")
    monkeypatch.setitem(os.environ, "RIG_OWNER", "them")
    file = tmp_path / "a.yaml"
    file.write_text(
        "Name: job\nOwner: ${RIG_OWNER}\nNote: some\nPort: 9\nLevel: high\nRate: 9\nSecret: inside\n"
        "Wait: 1500ms\nLog:\n  Level: error\nMode: dev\nPrometheus:\n  Port: 4001\n"
    )
    assert await loaded(parts, side, file, use_env=True) == {
        "name": "job",
        "mode": "dev",
        "log_level": "error",
        "prometheus_port": 4001,
        "owner": "them",
        "note": "some",
        "port": 9,
        "level": "high",
        "rate": 9,
        "secret": "from outside",
        "wait": 1.5,
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Name: job\n", "owner"),
        ("Name: job\nOwner: us\nLevel: middle\n", "middle"),
        ("Name: job\nOwner: us\nRate: 10\n", "rate|range|10"),
        ("Name: job\nOwner: us\nPort: many\n", "port|many"),
    ],
)
async def test_what_is_wrong_is_named(
    parts: Parts, tmp_path: Path, side: Side, text: str, named: str
) -> None:
    """A field that is missing, no option, out of range or of another type."""
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(CallError, match=f"(?i){named}"):
        await loaded(parts, side, file)


async def test_other_endings_are_refused(parts: Parts, tmp_path: Path, side: Side) -> None:
    """A file says what it is."""
    (tmp_path / "a.ini").write_text("Name = job")
    with pytest.raises(CallError, match="ini"):
        await loaded(parts, side, tmp_path / "a.ini")
