"""The dashboard as a program of Textual."""

from __future__ import annotations

from typing import ClassVar, Final

from textual.app import App

from asyncq._clock import seconds
from asyncq.dash.board import Board
from asyncq.dash.places import NoSuchPlaceError, Place, read_jump
from asyncq.errors import ConfigError
from asyncq.inspector import Inspector

__all__ = ["Dashboard"]

SHORTEST_INTERVAL: Final = 0.1


class Dashboard(App[None]):
    """Queues, tasks, failures, servers and schedulers in a terminal, live.

        async with Inspector(url, actor="ann") as inspector:
            await Dashboard(inspector).run_async()

    Args:
        inspector: What everything is read and done through. Its rights hold; closing it is the caller's.
        read_only: Refuse whatever would change something, before the inspector is asked.
        interval: Seconds between two readings of what is shown.
        start: Where to begin, as it would be typed behind the colon: `tasks default archived`.

    Raises:
        ConfigError: The interval is too short, or `start` leads nowhere.
    """

    ENABLE_COMMAND_PALETTE = False
    TITLE = "asyncq"
    CSS: ClassVar[str] = """
    #head { height: 1; background: $primary; color: $text; text-style: bold; padding: 0 1; }
    #list { height: 1fr; }
    #page { height: 1fr; padding: 0 1; display: none; }
    #note { height: auto; max-height: 3; padding: 0 1; display: none; }
    #note.trouble { background: $error; color: $text; }
    #prompt { height: 3; display: none; }
    #plots { grid-size: 2; grid-gutter: 0 3; grid-rows: 4; height: auto; display: none; }
    #plots.narrow { grid-size: 1; }
    .plot { height: 3; }
    .plot Sparkline { height: 2; }
    Confirm, Help, Bulk { align: center middle; }
    #dialog { width: 64; max-width: 90%; height: auto; padding: 1 2; border: thick $error;
              background: $surface; }
    #question { text-style: bold; margin-bottom: 1; }
    #detail, #progress { margin-bottom: 1; }
    #help { width: 84; max-width: 96%; height: auto; max-height: 90%; padding: 1 2; border: thick $primary;
            background: $surface; }
    """

    def __init__(
        self, inspector: Inspector, *, read_only: bool = False, interval: float = 2.0, start: str = ""
    ) -> None:
        super().__init__()
        checked = seconds(interval, name="interval")
        if not SHORTEST_INTERVAL <= checked < float("inf"):
            raise ConfigError("interval", interval, f"at least {SHORTEST_INTERVAL} seconds, and an end")
        home = Place("queues")
        try:
            place = read_jump(start, home) if start.strip() else home
        except NoSuchPlaceError as error:
            raise ConfigError("start", start, str(error)) from error
        if place.view == "quit":
            raise ConfigError("start", start, "a place to begin at")
        self._board: Final = Board(inspector, place, home=home, read_only=read_only, interval=checked)

    @property
    def board(self) -> Board:
        """What is shown."""
        return self._board

    def on_mount(self) -> None:
        """Begin."""
        self.push_screen(self._board)
