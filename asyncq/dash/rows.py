"""What a list is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from asyncq.dash.charts import Chart
from asyncq.dash.places import Place
from asyncq.errors import Missing
from asyncq.inspector import Inspector


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list."""

    title: str
    is_number: bool = False
    least: int = 0  #: columns that the terminal must have for it to be shown


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a list."""

    key: str  #: what makes it the same line the next time
    cells: tuple[str, ...]
    subject: Any  #: what it is about: an info of the inspector
    style: str = ""
    leads_to: Place | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a list holds at one moment."""

    rows: list[Row]
    total: int | None = None  #: how many there are altogether, where the rows are a part
    cursor: str | None = None  #: for the next page
    remark: str = ""
    missing: tuple[Missing, ...] = ()
    page: str = ""  #: text, of a place that is a page and no list
    charts: tuple[Chart, ...] = ()  #: what is drawn below that text
    subject: Any = None  #: what that page is about


@dataclass(frozen=True, slots=True)
class Action:
    """What a key does to a line, or to each of those that are marked."""

    key: str
    name: str  #: "archive", as it is asked and told
    do: Callable[[Inspector, Any], Awaitable[str]]
    """Does it to what a line is about, and says in a word what came of it."""

    is_dangerous: bool = False  #: asks first
    must_type: Callable[[Any], str] | None = None  #: what has to be typed to confirm it, if more than `y`


@dataclass(frozen=True, slots=True)
class View:
    """A kind of list or page."""

    name: str
    title: Callable[[Place], str]
    columns: tuple[Column, ...]
    read: Callable[[Inspector, Place], Awaitable[Reading]]
    actions: tuple[Action, ...] = ()
    is_drawn: bool = False  #: whether there are charts
