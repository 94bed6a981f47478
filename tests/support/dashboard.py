"""Somebody in front of a dashboard: presses keys, and sees what a terminal would show."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from asyncq.dash import Dashboard
from asyncq.dash.board import Board
from asyncq.inspector import Inspector, Rights
from tests.support.waiting import wait_until

__all__ = ["Operator", "at_dashboard"]

_KEYS = {
    " ": "space",
    "/": "slash",
    ":": "colon",
    "*": "asterisk",
    "_": "underscore",
    "-": "minus",
    "@": "at",
}


class Operator:
    """Presses keys and looks."""

    def __init__(self, app: Dashboard, pilot: Pilot[None]) -> None:
        self.app = app
        self._pilot = pilot

    @property
    def board(self) -> Board:
        """What is behind the glass."""
        return self.app.board

    def screen(self) -> str:
        """What the terminal shows, line by line."""
        strips = self.app.screen._compositor.render_strips()  # noqa: SLF001 - the only way to see it as text
        return "\n".join(strip.text.rstrip() for strip in strips)

    async def press(self, *keys: str) -> None:
        """Press keys."""
        await self._pilot.press(*keys)

    async def say(self, text: str) -> None:
        """Type, and press enter."""
        await self._pilot.press(*(_KEYS.get(one, one) for one in text), "enter")

    async def sees(self, *texts: str, but: str | None = None) -> str:
        """Wait until all these are to be seen, and another one is not."""

        async def is_so() -> bool:
            await self._pilot.pause(0.05)  # to look takes as long as to draw
            shown = self.screen()
            return all(text in shown for text in texts) and (but is None or but not in shown)

        try:
            await wait_until(is_so, f"{texts} to be shown")
        except AssertionError as error:
            message = f"{error}, without {but!r}; there is\n{self.screen()}"
            raise AssertionError(message) from None
        return self.screen()

    async def resize(self, width: int, height: int) -> None:
        """Change the size of the terminal."""
        await self._pilot.resize_terminal(width, height)


@asynccontextmanager
async def at_dashboard(
    url: str,
    *,
    size: tuple[int, int] = (120, 30),
    wire: str | None = None,
    rights: Rights | None = None,
    actor: str = "",
    **options: Any,
) -> AsyncGenerator[Operator]:
    """Sit in front of a dashboard for the length of a block."""
    async with Inspector(url, wire=wire, patience=0.5, rights=rights, actor=actor) as inspector:
        app = Dashboard(inspector, **{"interval": 0.3, **options})
        async with app.run_test(size=size, notifications=True) as pilot:
            yield Operator(app, pilot)
