"""The one screen: where we are, what is there, and the keys that act on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Final, cast

from textual import work
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Input, Static
from textual.worker import Worker

from asyncq.dash.acting import do_each, name_of
from asyncq.dash.bulk import Bulk
from asyncq.dash.dialogs import Confirm, Help
from asyncq.dash.headline import Outage, headline, remark
from asyncq.dash.keys import BOARD_KEYS, means_something
from asyncq.dash.listing import Listing
from asyncq.dash.overview import longer
from asyncq.dash.places import STATES, USAGE, NoSuchPlaceError, Place, read_jump
from asyncq.dash.plots import Plots
from asyncq.dash.prompt import Prompt
from asyncq.dash.rows import Action, Reading, View
from asyncq.dash.scope import scope_of
from asyncq.dash.texts import clean
from asyncq.dash.views import view_of
from asyncq.errors import AsyncqError, BrokerError
from asyncq.inspector import Inspector


class Board(Screen[None]):
    """Shows a place, reads it again and again, and does what keys say."""

    BINDINGS: ClassVar[list[BindingType]] = BOARD_KEYS

    def __init__(
        self, inspector: Inspector, place: Place, *, home: Place, read_only: bool, interval: float
    ) -> None:
        super().__init__()
        self._inspector: Final = inspector
        self._read_only: Final = read_only
        self._interval: Final = interval
        self._trail: list[Place] = [] if place == home else [home]
        self._cursor_at: dict[Place, str] = {}
        self._marked: set[str] = set()
        self._reader: Worker[None] | None = None
        self._outage: Final = Outage()
        self._trouble = ""
        self._written: dict[str, str] = {}
        self._keys_shown: object = None
        self.place = place  #: where we are
        self.reading: Reading | None = None  #: what was read there last

    def compose(self) -> ComposeResult:
        """Make the parts."""
        yield Static(id="head", markup=False)
        yield Listing()
        with VerticalScroll(id="page"):
            yield Static(id="text", markup=False)
            yield Plots()
        yield Static(id="note", markup=False)
        yield Prompt()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to read."""
        self.query_one(Listing).focus()
        self._show()
        self.action_read()
        self.set_interval(self._interval, self._read_again)

    def on_resize(self, event: Resize) -> None:  # noqa: ARG002 - Textual's signature
        """Show as many columns as there is room for."""
        self._show()

    @property
    def _program(self) -> App[None]:
        return cast("App[None]", cast("Any", self).app)

    # -- reading -------------------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """What is shown here."""
        subject = self.reading.subject if self.reading is not None else None
        return view_of(self.place, str(subject.state) if subject is not None else "")

    def action_read(self) -> None:
        """Read now."""
        if self._reader is not None and self._reader.is_running:
            self._reader.cancel()
        self._reader = self._read(self.place)

    def _read_again(self) -> None:
        # One that takes longer than the interval is let finish: Redis may be slow, or away.
        if self._reader is None or not self._reader.is_running:
            self._reader = self._read(self.place)

    @work(group="read")
    async def _read(self, place: Place) -> None:
        try:
            reading = await self.view.read(self._inspector, place)
        except BrokerError as error:
            if place == self.place:
                self._is_away(error)
        except AsyncqError as error:  # it is gone, or nobody may look at it
            if place == self.place:
                self._is_back()
                self._trouble = clean(str(error))
                self.reading = None if self.reading is None else replace(self.reading, rows=[], subject=None)
                self._show()
        else:
            if place == self.place:
                self._is_back()
                self._trouble = ""
                self.reading = reading
                self._show()

    def _is_away(self, error: BrokerError) -> None:
        self._trouble = self._outage.lasts(error)
        self._show()

    def _is_back(self) -> None:
        if text := self._outage.ends():
            self.notify(text, markup=False)

    # -- showing -------------------------------------------------------------------------------------

    def _show(self) -> None:
        if not self.query(Listing):
            return  # not there yet, or already gone
        reading, view = self.reading, self.view
        is_page = not view.columns
        listing, page = self.query_one(Listing), self.query_one("#page")
        listing.display, page.display = not is_page, is_page
        if is_page:
            self._write("#text", reading.page if reading is not None else "")
            plots = self.query_one(Plots)
            plots.display = view.is_drawn
            if reading is not None and view.is_drawn:
                plots.show(reading.charts, self.size.width)
        else:
            rows = [] if reading is None else reading.rows
            self._marked &= {row.key for row in rows}
            listing.show(view.columns, rows, self._marked, self.size.width)
        state = "" if reading is not None else "nothing" if self._trouble else "reading …"
        others = [f"{len(self._marked)} marked"] if self._marked else []
        others += ["read-only"] if self._read_only else []
        others.append(f"asyncq at {self._inspector.where}")
        self._write("#head", headline(view, self.place, reading, state, others))
        self._show_note(reading)
        has_more = reading is not None and reading.cursor is not None
        keys = (self.place.view, self.place.queue, view.actions, bool(self.place.cursors), has_more)
        if keys != self._keys_shown:
            self._keys_shown = keys
            self.refresh_bindings()

    def _write(self, part: str, text: str) -> None:
        # Only what is new: to show something anew costs time, and there is a reading every other second.
        if self._written.get(part) != text:
            self._written[part] = text
            self.query_one(part, Static).update(text)

    def _show_note(self, reading: Reading | None) -> None:
        note = self.query_one("#note", Static)
        text = self._trouble or remark(reading)
        self._write("#note", text)
        note.display = bool(text)
        note.set_class(bool(self._trouble), "trouble")

    # -- going somewhere -------------------------------------------------------------------------------

    def go(self, place: Place) -> None:
        """Go to a place; `escape` comes back from there."""
        if place != self.place:
            self._trail.append(self.place)
            self._enter(place)

    def _enter(self, place: Place) -> None:
        listing = self.query_one(Listing)
        if listing.current is not None:
            self._cursor_at[self.place] = listing.current.key
        self.place, self.reading, self._trouble = place, None, ""
        self._marked.clear()
        listing.want(self._cursor_at.get(place, ""))
        self._show()
        self._focus()
        self.action_read()

    def _focus(self) -> None:
        (self.query_one(Listing) if self.view.columns else self.query_one("#page")).focus()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Look closer at a row."""
        event.stop()
        row = self.query_one(Listing).current
        if row is not None and row.leads_to is not None:
            self.go(row.leads_to)

    def action_back(self) -> None:
        """Out of what was entered last."""
        prompt = self.query_one(Prompt)
        if prompt.purpose:
            prompt.close()
            self._focus()
        elif self._marked:
            self._marked.clear()
            self._show()
        elif self.place.text and self.place.view != "find":
            self._enter(replace(self.place, text="", cursors=()))
        elif self._trail:
            self._enter(self._trail.pop())

    def action_groups(self) -> None:
        """The groups of the queue under the cursor, or of the one that is looked at."""
        row = self.query_one(Listing).current
        queue = row.key if row is not None and self.place.view == "queues" else self.place.queue
        if queue:
            self.go(Place("groups", queue=queue))

    def action_see(self, view: str) -> None:
        """Another view of the queue that is looked at, or of all."""
        self.go(Place(view, queue="" if view == "trail" else self.place.queue))

    def action_span(self) -> None:
        """Look back further; after the longest span begin with the shortest."""
        self._enter(replace(self.place, span=longer(self.place)))

    def action_state(self, at: int) -> None:
        """Show tasks in another state."""
        if STATES[at] == "aggregating":
            self.go(Place("groups", queue=self.place.queue))
        else:
            self.go(Place("tasks", queue=self.place.queue, state=STATES[at], text=self.place.text))

    def action_next_page(self) -> None:
        """Go on behind what is shown."""
        if self.reading is not None and self.reading.cursor is not None:
            self._enter(replace(self.place, cursors=(*self.place.cursors, self.reading.cursor)))

    def action_page_before(self) -> None:
        """Go back by a page."""
        self._enter(replace(self.place, cursors=self.place.cursors[:-1]))

    def action_down(self) -> None:
        """Go down by a row or a line."""
        if self.view.columns:
            self.query_one(Listing).action_cursor_down()
        else:
            self.query_one("#page").scroll_down()

    def action_up(self) -> None:
        """Go up by a row or a line."""
        if self.view.columns:
            self.query_one(Listing).action_cursor_up()
        else:
            self.query_one("#page").scroll_up()

    # -- the prompt --------------------------------------------------------------------------------------

    def action_jump(self) -> None:
        """Ask where to."""
        self.query_one(Prompt).ask("jump", "", "where to: " + ", ".join(USAGE))

    def action_filter(self) -> None:
        """Ask for a text that rows must have, or for another query."""
        hint = "text that the lines must have; empty for all"
        if self.place.view == "find":
            hint = "queue: state: type: id: group: cause: error: payload: since: until: and words"
        self.query_one(Prompt).ask("filter", self.place.text, hint)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go where it says, or filter by it."""
        event.stop()
        purpose, text = self.query_one(Prompt).close(), event.value.strip()
        self._focus()
        if purpose == "filter":
            if text != self.place.text:
                self._enter(replace(self.place, text=text, cursors=()))
            return
        try:
            place = read_jump(text, self.place)
        except NoSuchPlaceError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        if place.view == "quit":
            self._program.exit()
        else:
            self.go(place)

    # -- marks and actions ---------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away, and go down."""
        listing = self.query_one(Listing)
        if (row := listing.current) is not None:
            self._marked ^= {row.key}
            self._show()
            listing.action_cursor_down()

    def action_mark_all(self) -> None:
        """Mark all that is shown, or nothing if all of it was marked."""
        keys = {row.key for row in self.query_one(Listing).shown}
        self._marked = set() if keys == self._marked else keys
        self._show()

    def action_act(self, key: str) -> None:
        """Do what a key says to what is marked, or to what the cursor is on."""
        action = next((one for one in self.view.actions if one.key == key), None)
        subjects = self._subjects()
        if action is None or not subjects:
            return
        if self._read_only:
            self.notify("This dashboard is read-only.", severity="error", markup=False)
            return
        if not action.is_dangerous:
            self._do(action, subjects)
            return
        what = name_of(subjects[0]) if len(subjects) == 1 else f"{len(subjects)} at once"
        typed = action.must_type(subjects[0]) if action.must_type and len(subjects) == 1 else ""
        if action.must_type and len(subjects) > 1:
            self.notify(f"One at a time, to {action.name} it.", severity="error", markup=False)
            return

        def answered(answer: bool | None) -> None:  # noqa: FBT001 - Textual calls it so
            if answer:
                self._do(action, subjects)
            else:
                self.notify("Nothing was done.", markup=False)

        self._program.push_screen(Confirm(f"{action.name.capitalize()} {clean(what)}?", typed), answered)

    def _subjects(self) -> list[Any]:
        if not self.view.columns:
            subject = self.reading.subject if self.reading is not None else None
            return [] if subject is None else [subject]
        listing = self.query_one(Listing)
        if self._marked:
            return [row.subject for row in listing.shown if row.key in self._marked]
        return [listing.current.subject] if listing.current is not None else []

    @work(group="act")
    async def _do(self, action: Action, subjects: list[Any]) -> None:
        await do_each(action, self._inspector, subjects, self.notify)
        self._marked.clear()
        self.action_read()

    def action_bulk(self) -> None:
        """Do something to all that match, on whatever page they are."""
        scope = scope_of(self.place, self.query_one(Listing).current)
        if scope is None:
            return
        if self._read_only:
            self.notify("This dashboard is read-only.", severity="error", markup=False)
            return
        self._program.push_screen(Bulk(self._inspector, scope), lambda _: self.action_read())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key means something here; others are not shown below."""
        return means_something(
            action, parameters, self.place, self.view, self.reading, read_only=self._read_only
        )

    def action_help(self) -> None:
        """Say which keys there are."""
        self._program.push_screen(Help())

    def action_leave(self) -> None:
        """Leave."""
        self._program.exit()
