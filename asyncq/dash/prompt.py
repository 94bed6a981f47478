"""The line in which somebody types where to go, or what to look for."""

from __future__ import annotations

from textual.suggester import SuggestFromList
from textual.widgets import Input

from asyncq.dash.places import USAGE


class Prompt(Input):
    """Hidden until something is asked."""

    def __init__(self) -> None:
        super().__init__(id="prompt", suggester=SuggestFromList(sorted(USAGE), case_sensitive=False))
        self.purpose = ""  #: what is asked; empty while nothing is

    def ask(self, purpose: str, value: str, hint: str) -> None:
        """Ask for something.

        Args:
            purpose: For what.
            value: What is there already.
            hint: What is shown as long as nothing is typed.
        """
        self.purpose = purpose
        self.value, self.placeholder, self.display = value, hint, True
        self.focus()

    def close(self) -> str:
        """Hide it, and return what was asked."""
        purpose, self.purpose = self.purpose, ""
        self.display = False
        return purpose
