"""Producers, consumers and groups of both languages, each in a process of its own.

`tests/services/go_queue` is Go's program and `tests.support.services.python_side` ours: they have the same
roles and speak the same lines, so that a test says who plays what.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from tests.support.driving import Driven

__all__ = ["SIDES", "Parts", "Side"]

Side = Literal["go", "python"]
SIDES: tuple[Side, ...] = ("go", "python")

_ROOT = Path(__file__).parents[3]
_SHOWN = 4000


class Parts:
    """Starts programs for a test, and ends them after it.

    Args:
        go: Returns Go's program; asked when it is first wanted.
        folder: For what they log.
    """

    def __init__(self, go: Callable[[], Path], folder: Path) -> None:
        self._go = go
        self._folder = folder
        self._started: list[tuple[Driven, Path]] = []

    async def begin(self, side: Side, role: str, /, **config: Any) -> Driven:
        """Start a program that may refuse its configuration."""
        log = self._folder / f"{len(self._started)}-{side}-{role}.log"
        python = [sys.executable, "-m", "tests.support.services.python_side"]
        command = [self._go()] if side == "go" else python
        program = await Driven.start(*command, role, json.dumps(config), log=log, cwd=_ROOT)
        self._started.append((program, log))
        return program

    async def __call__(self, side: Side, role: str, /, **config: Any) -> Driven:
        """Start a program, and return when it is ready."""
        program = await self.begin(side, role, **config)
        await program.event("ready", timeout=40)
        return program

    async def refusal(self, side: Side, role: str, /, **config: Any) -> str:
        """Start a program that must refuse its configuration, and return what it said."""
        program = await self.begin(side, role, **config)
        assert await program.wait(40), "it left as if all were well"
        assert not program.seen("ready")
        return self.log_of(program)

    def log_of(self, program: Driven) -> str:
        """Return what a program has logged."""
        return next(log for one, log in self._started if one is program).read_text(errors="replace")

    async def close(self) -> None:
        """End them all, at once; what they logged is printed, for the report of a test that failed."""
        for program, log in self._started:
            await program.kill()
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-_SHOWN:]}")  # noqa: T201
