"""Logging of a program that `asyncq run` started, unless the program sees to it itself."""

from __future__ import annotations

import logging
from typing import Final

from asyncq.cli.plan import Plan
from asyncq.logs import TextFormatter, handler

RUN_LOG: Final = "asyncq.run"


def set_up(plan: Plan) -> None:
    """Log to stderr, before the program is imported.

    The root logger gets our handler first, so a `logging.basicConfig()` in the program does nothing,
    and a `dictConfig` of its own takes our place, as it should.
    """
    ours = handler(format="json" if plan.log_format == "json" else "text", color=plan.color)
    if plan.number:
        ours.addFilter(_Number(plan.number))
        if plan.log_format == "text":
            ours.setFormatter(_Numbered(plan.number, color=plan.color))
    logging.basicConfig(handlers=[ours], level=logging.INFO)
    insist(plan)


def insist(plan: Plan) -> None:
    """Let `--log-level` win over what the program has set, when it was given. Called after the import."""
    if plan.log_level is not None:
        logging.getLogger().setLevel(plan.log_level.upper())
        logging.getLogger("asyncq").setLevel(plan.log_level.upper())


class _Number(logging.Filter):
    """Says of each record which of several processes it comes from."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number: Final = number

    def filter(self, record: logging.LogRecord) -> bool:
        vars(record).setdefault("number", self._number)
        return True


class _Numbered(TextFormatter):
    """The same for people: in front of the line."""

    def __init__(self, number: int, *, color: bool) -> None:
        super().__init__(color=color)
        self._number: Final = number

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        return f"{self._number}| {super().format(record)}"
