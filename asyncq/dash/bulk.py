"""The dialog for work on all tasks that match: what to do, how many they are, and how far it is."""

from __future__ import annotations

import asyncio
from typing import ClassVar, Final, Literal

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, ProgressBar, Static
from textual.worker import Worker

from asyncq.dash.scope import DONE, Scope, SweepAction
from asyncq.dash.sweep import Tally, sweep
from asyncq.dash.texts import counted, lines
from asyncq.errors import AsyncqError
from asyncq.inspector import Inspector

KEYS: Final[dict[str, SweepAction]] = {"r": "run", "A": "archive", "C": "cancel", "D": "delete"}

Phase = Literal["choosing", "counting", "asking", "working", "over"]


class Bulk(ModalScreen[None]):
    """Asks what to do to all of them, counts, asks again, and does it.

    Args:
        inspector: Whose rights hold.
        scope: Which tasks.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"choose('{name}')", name) for key, name in KEYS.items()),
        Binding("y", "confirm", "Yes"),
        Binding("n", "refuse", "No"),
        Binding("escape", "leave", "Stop or close"),
        Binding("enter", "close", "Close"),
    ]

    def __init__(self, inspector: Inspector, scope: Scope) -> None:
        super().__init__()
        self._inspector: Final = inspector
        self._scope: Final = scope
        self._action: SweepAction = "run"
        self._tally = Tally(())
        self._worker: Worker[None] | None = None
        self.phase: Phase = "choosing"

    def compose(self) -> ComposeResult:
        """Show the first question."""
        with Vertical(id="dialog"):
            yield Static(id="question", markup=False)
            yield ProgressBar(id="progress", show_eta=False)
            yield Static(id="detail", markup=False)
            yield Input(id="typed", disabled=True)
            yield Static(id="hint", markup=False)

    def on_mount(self) -> None:
        """Ask what to do."""
        can = [f"{key}: {name}" for key, name in KEYS.items() if name in self._scope.actions]
        self._show("choosing", f"All tasks {self._scope.words}", hint="    ".join([*can, "escape: nothing"]))

    def _show(self, phase: Phase, question: str, *, detail: str = "", hint: str = "") -> None:
        self.phase = phase
        for part, text in (("#question", question), ("#detail", detail), ("#hint", hint)):
            self.query_one(part, Static).update(lines(text))
            self.query_one(part).display = bool(text)
        self.query_one(ProgressBar).display = phase in ("counting", "working")
        self._progressed()
        typed = self.query_one(Input)
        typed.display = phase == "asking" and self._must_type
        typed.disabled = not typed.display
        if typed.display:
            typed.focus()

    @property
    def _must_type(self) -> bool:
        """What is deleted is gone, so a key that was meant for something else must not do it."""
        return self._action == "delete"

    def _progressed(self) -> None:
        if self.phase in ("counting", "working"):
            tally = self._tally
            self.query_one(ProgressBar).update(total=tally.total or None, progress=tally.scanned)
            what = (
                f"{tally.done:,} {DONE[self._action]}"
                if self.phase == "working"
                else f"{tally.matched:,} match"
            )
            self.query_one("#detail", Static).update(
                f"looked at {tally.scanned:,} of {tally.total:,}, {what}"
            )
            self.query_one("#detail").display = True

    # -- answers ---------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether a key means something now."""
        if action == "choose":
            return self.phase == "choosing" and parameters[0] in self._scope.actions
        if action in ("confirm", "refuse"):
            return self.phase == "asking" and not self._must_type
        return self.phase == "over" if action == "close" else True

    def action_choose(self, name: SweepAction) -> None:
        """Count what this would be done to."""
        self._action = name
        if not self._inspector.rights.may(f"task.{name}"):
            self._show("over", f"{self._inspector.actor or 'You'} may not {name} tasks.", hint="enter: close")
            return
        self._worker = self._count()

    def action_confirm(self) -> None:
        """Do it."""
        self._worker = self._do()

    def action_refuse(self) -> None:
        """Do nothing."""
        self._show("over", "Nothing was done.", hint="enter: close")

    def action_leave(self) -> None:
        """Stop what is under way; close what is not."""
        if self.phase in ("counting", "working") and self._worker is not None:
            self._worker.cancel()
        elif self.phase == "asking":
            self.action_refuse()
        else:
            self.dismiss(None)

    def action_close(self) -> None:
        """Close it."""
        self.dismiss(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the number for an answer."""
        event.stop()
        if event.value.strip().replace(",", "") == str(self._tally.matched):
            self.action_confirm()
        else:
            self.action_refuse()

    # -- work ------------------------------------------------------------------------------------------

    @work(group="bulk")
    async def _count(self) -> None:
        if not await self._sweep("counting", f"Counting all tasks {self._scope.words}"):
            return
        if not self._tally.matched:
            self._show("over", f"There is nothing to {self._action}.", hint="enter: close")
            return
        many = counted(self._tally.matched, "task")
        hint = "y: yes    n, escape: no"
        if self._must_type:
            hint = f"Type {self._tally.matched} and press enter, or escape to leave them."
        self._show("asking", f"{self._action.capitalize()} {many}, all {self._scope.words}?", hint=hint)

    @work(group="bulk")
    async def _do(self) -> None:
        if await self._sweep("working", f"{self._action.capitalize()} all tasks {self._scope.words}"):
            self._tell()

    async def _sweep(self, phase: Phase, what: str) -> bool:
        """Count or act; whether it came to the end."""
        self._tally = Tally(())
        self._show(phase, what, detail="…", hint="escape: stop")
        try:
            self._tally = Tally(await self._scope.spots(self._inspector, self._action))
            await sweep(
                self._inspector,
                self._action,
                self._tally,
                dry_run=phase == "counting",
                on_progress=self._progressed,
            )
        except asyncio.CancelledError:
            if self.is_attached:
                self._tell("Stopped. At least ")
            raise
        except AsyncqError as error:
            self._tell(problem=f"{error}\n")
            return False
        return True

    def _tell(self, before: str = "", *, problem: str = "") -> None:
        """Say what was done."""
        was_counting = self.phase == "counting"
        done = f"{counted(self._tally.done, 'task')} {DONE[self._action]}."
        text = problem + ("Nothing was done." if was_counting else before + done)
        detail = "" if was_counting else self._tally.passed_over
        self._show("over", text, detail=detail, hint="enter: close")
