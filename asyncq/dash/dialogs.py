"""What stands in front of everything until it is answered."""

from __future__ import annotations

from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from asyncq.dash.places import USAGE


class Confirm(ModalScreen[bool]):
    """Asks before something that cannot be taken back.

    Args:
        question: What would be done, to what.
        must_type: What has to be typed, where `y` is too little.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
    ]

    def __init__(self, question: str, must_type: str = "") -> None:
        super().__init__()
        self._question: Final = question
        self._must_type: Final = must_type

    def compose(self) -> ComposeResult:
        """Show the question."""
        with Vertical(id="dialog"):
            yield Static(self._question, id="question", markup=False)
            if self._must_type:
                yield Static(f"Type {self._must_type} and press enter, or escape to leave it.", markup=False)
                yield Input(id="typed")
            else:
                yield Static("y: yes    n, escape: no", markup=False)

    def on_mount(self) -> None:
        """Let it be typed at once."""
        if self._must_type:
            self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take what was typed for an answer."""
        event.stop()
        self.dismiss(event.value.strip() == self._must_type)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Let `y` be no answer where more has to be typed."""
        return not (action == "answer" and parameters == (True,) and self._must_type)

    def action_answer(self, answer: bool) -> None:  # noqa: FBT001 - Textual calls it so
        """Answer."""
        self.dismiss(answer)


HELP: Final = """\
Where to
  :              jump: {places}
  enter          look closer
  o  f  t        overview with charts, failures by cause, trail of changes
  escape         back; before that, out of the prompt, the marks and the filter
  g              groups of the queue
  1 to 7         state of the tasks: pending, active, scheduled, retry, archived,
                 completed, in groups
  n  b           next page, page before
  j  k, arrows   down and up

What is shown
  /              filter by a text; of tasks in id, type and last error
  s              look back further, in the overview
  space          mark, *: all on the page; keys then act on all that are marked
  ctrl+r         read now; it is read anew by itself

What is done
  r              run a task or an entry now
  p              pause or resume a queue or an entry
  A  C  D  X     archive, cancel, delete a task; remove a queue or an entry.
                 Capital letters ask first.
  B              do it to all that match, on whatever page they are; of failures
                 to all of the cause under the cursor. It counts, asks, and can be stopped.

  ?  this page     q  leave
"""


class Help(ModalScreen[None]):
    """Says which keys there are."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter", "dismiss_help", "Close"),
    ]

    def compose(self) -> ComposeResult:
        """Show it."""
        with VerticalScroll(id="help"):
            yield Static(HELP.format(places=", ".join(USAGE)), markup=False)

    def action_dismiss_help(self) -> None:
        """Close it."""
        self.dismiss(None)
