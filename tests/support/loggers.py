"""Loggers of other makes, as users bring them."""

from __future__ import annotations

__all__ = ["PlainLogger"]


class PlainLogger:
    """The least that a logger has to have; it keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def debug(self, text: str) -> None:
        """Keep it."""
        self.lines.append(("debug", text))

    def info(self, text: str) -> None:
        """Keep it."""
        self.lines.append(("info", text))

    def warning(self, text: str) -> None:
        """Keep it."""
        self.lines.append(("warning", text))

    def error(self, text: str) -> None:
        """Keep it."""
        self.lines.append(("error", text))
