"""The keys of the board, and where each of them means something."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding, BindingType

from asyncq.dash.places import STATES, Place
from asyncq.dash.rows import Reading, View

BOARD_KEYS: Final[list[BindingType]] = [
    Binding("colon", "jump", "jump", key_display=":"),
    Binding("slash", "filter", "filter", key_display="/"),
    Binding("space", "mark", "mark"),
    Binding("asterisk", "mark_all", "mark all", key_display="*", show=False),
    Binding("g", "groups", "groups"),
    Binding("r", "act('r')", "run"),
    Binding("p", "act('p')", "pause/resume"),
    Binding("A", "act('A')", "archive"),
    Binding("C", "act('C')", "cancel"),
    Binding("D", "act('D')", "delete"),
    Binding("X", "act('X')", "remove"),
    Binding("B", "bulk", "all that match"),
    Binding("n", "next_page", "next page"),
    Binding("b", "page_before", "page before"),
    Binding("s", "span", "longer"),
    Binding("escape", "back", "back", key_display="esc"),
    Binding("question_mark", "help", "help", key_display="?"),
    Binding("q", "leave", "leave"),
    Binding("o", "see('overview')", "overview"),
    Binding("f", "see('failures')", "failures"),
    Binding("t", "see('trail')", "trail"),
    Binding("j", "down", show=False),
    Binding("k", "up", show=False),
    Binding("ctrl+r", "read", show=False),
    *(Binding(str(at), f"state({at - 1})", show=False) for at in range(1, len(STATES) + 1)),
]

SWEPT: Final = ("tasks", "find", "failures")
"""Views of which all tasks that match can be acted upon."""


def means_something(
    action: str,
    parameters: tuple[object, ...],
    place: Place,
    view: View,
    reading: Reading | None,
    *,
    read_only: bool,
) -> bool:
    """Whether a key means something here; others are not shown below.

    Args:
        action: What it does.
        parameters: To what.
        place: Where somebody is.
        view: What is shown there.
        reading: What was read there.
        read_only: Whether nothing may be changed.
    """
    if action == "act":
        return not read_only and any(one.key == parameters[0] for one in view.actions)
    if action in ("mark", "mark_all"):
        return bool(view.columns and view.actions)
    return {
        "filter": bool(view.columns),
        "groups": place.view == "queues" or bool(place.queue and place.view == "tasks"),
        "state": place.view == "tasks" or (place.view == "groups" and bool(place.queue)),
        "bulk": not read_only and place.view in SWEPT,
        "span": view.is_drawn,
        "see": place.view != (parameters[0] if parameters else ""),
        "next_page": reading is not None and reading.cursor is not None,
        "page_before": bool(place.cursors),
    }.get(action, True)
