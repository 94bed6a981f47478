"""Something for handlers to wait for, in whatever process they run."""

from __future__ import annotations

from pathlib import Path

__all__ = ["Gate"]


class Gate:
    """Closed until the test opens it; `{"until": gate.path}` in a payload waits for that."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def path(self) -> str:
        """What the handlers look for."""
        return str(self._file)

    def open(self) -> None:
        """Let everybody go on who waits, or will come."""
        self._file.touch()
