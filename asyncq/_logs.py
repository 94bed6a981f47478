"""Where a server or a scheduler says what happens to it: the standard logger, or whatever it was given.

Nothing here is global: two servers of one process may log to different places. Each actor is handed
its server's log; `logging` loggers are used as they are, so that nothing is paid for what is not used.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Protocol, cast, runtime_checkable

from asyncq.errors import Problem

SERVER_LOG: Final = logging.getLogger("asyncq.server")
SCHEDULER_LOG: Final = logging.getLogger("asyncq.scheduler")

_Trouble = bool | BaseException | tuple[type[BaseException], BaseException, TracebackType | None] | None
_Extra = Mapping[str, object] | None

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "critical": logging.CRITICAL,
}


@runtime_checkable
class LoggerLike(Protocol):
    """What can be given as `logger=`: a logger of `logging`, an adapter of one, or one that has these."""

    @property
    def debug(self) -> Callable[..., Any]:
        """Say what only helps to find bugs."""
        ...

    @property
    def info(self) -> Callable[..., Any]:
        """Say what happens in the usual course of things."""
        ...

    @property
    def warning(self) -> Callable[..., Any]:
        """Say what somebody may want to know."""
        ...

    @property
    def error(self) -> Callable[..., Any]:
        """Say what somebody has to know."""
        ...


class Log(Protocol):
    """What the inside logs to. A `logging.Logger` is one."""

    def debug(self, msg: str, *args: object, exc_info: _Trouble = None, extra: _Extra = None) -> None:
        """Say what only helps to find bugs."""
        ...

    def info(self, msg: str, *args: object, exc_info: _Trouble = None, extra: _Extra = None) -> None:
        """Say what happens in the usual course of things."""
        ...

    def warning(self, msg: str, *args: object, exc_info: _Trouble = None, extra: _Extra = None) -> None:
        """Say what somebody may want to know."""
        ...

    def error(self, msg: str, *args: object, exc_info: _Trouble = None, extra: _Extra = None) -> None:
        """Say what somebody has to know."""
        ...

    def exception(self, msg: str, *args: object, exc_info: _Trouble = True, extra: _Extra = None) -> None:
        """Say it with the traceback of the error that is being handled."""
        ...

    def log(
        self, level: int, msg: str, *args: object, exc_info: _Trouble = None, extra: _Extra = None
    ) -> None:
        """Say it at a level that is decided now."""
        ...

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name that `logging` gave it
        """Tell whether anybody would hear it."""
        ...


def log_for(logger: LoggerLike | None, level: int | None, *, standard: logging.Logger) -> Log:
    """What a door was given, as something to log to.

    Args:
        logger: What was given as `logger`; `standard` when nothing was.
        level: Say nothing below this; `None` leaves that to the logger.
        standard: The logger of the library.
    """
    if logger is None:
        logger = standard
    if isinstance(logger, logging.Logger):
        return logger if level is None else _Standard(logger, level)
    if isinstance(logger, logging.LoggerAdapter):
        return _Adapted(cast("Any", logger), level or logging.NOTSET)
    return _Foreign(logger, level or logging.NOTSET)


def level_of(level: object) -> int | None:
    """A level by number or by name, in whatever case, as a number. `None` when it is no level."""
    if isinstance(level, str):
        return _LEVELS.get(level.lower())
    return level if isinstance(level, int) and not isinstance(level, bool) and level >= 0 else None


def logging_problems(logger: object, level: object) -> list[Problem]:
    """What is wrong with what was given as `logger` and `log_level`, if anything."""
    problems: list[Problem] = []
    if level is not None and level_of(level) is None:
        problems.append(Problem("log_level", level, "'debug', 'info', 'warning', 'error' or 'critical'"))
    if logger is not None and (isinstance(logger, type) or not isinstance(logger, LoggerLike)):
        expected = "a logger of `logging`, or an object with debug, info, warning and error"
        problems.append(Problem("logger", logger, expected))
    return problems


class _Sink:
    """Forwards what is not below a level."""

    __slots__ = ("_level",)

    def __init__(self, level: int) -> None:
        self._level: Final = level

    def debug(self, msg: str, *args: object, exc_info: _Trouble = None, extra: _Extra = None) -> None:
        self._say(logging.DEBUG, msg, args, exc_info, extra)

    def info(self, msg: str, *args: object, exc_info: _Trouble = None, extra: _Extra = None) -> None:
        self._say(logging.INFO, msg, args, exc_info, extra)

    def warning(self, msg: str, *args: object, exc_info: _Trouble = None, extra: _Extra = None) -> None:
        self._say(logging.WARNING, msg, args, exc_info, extra)

    def error(self, msg: str, *args: object, exc_info: _Trouble = None, extra: _Extra = None) -> None:
        self._say(logging.ERROR, msg, args, exc_info, extra)

    def exception(self, msg: str, *args: object, exc_info: _Trouble = True, extra: _Extra = None) -> None:
        self._say(logging.ERROR, msg, args, exc_info, extra)

    def log(
        self, level: int, msg: str, *args: object, exc_info: _Trouble = None, extra: _Extra = None
    ) -> None:
        self._say(level, msg, args, exc_info, extra)

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name that `logging` gave it
        return level >= self._level and self._hears(level)

    def _say(self, level: int, msg: str, args: tuple[object, ...], exc_info: _Trouble, extra: _Extra) -> None:
        if self.isEnabledFor(level):
            self._write(level, msg, args, exc_info, dict(extra or {}))

    def _hears(self, level: int) -> bool:
        raise NotImplementedError

    def _write(
        self, level: int, msg: str, args: tuple[object, ...], exc_info: _Trouble, fields: dict[str, object]
    ) -> None:
        raise NotImplementedError


_FRAMES: Final = 4
"""Frames between who logs and `logging`: our two, the level's method, and the one that is said."""


class _Standard(_Sink):
    """A logger of `logging`, from a level on."""

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger, level: int) -> None:
        super().__init__(level)
        self._logger: Final = logger

    def _hears(self, level: int) -> bool:
        return self._logger.isEnabledFor(level)

    def _write(
        self, level: int, msg: str, args: tuple[object, ...], exc_info: _Trouble, fields: dict[str, object]
    ) -> None:
        self._logger.log(level, msg, *args, exc_info=exc_info, extra=fields, stacklevel=_FRAMES)


class _Adapted(_Sink):
    """An adapter of `logging`. Its fields are added to ours; by itself it would put them in their place."""

    __slots__ = ("_adapter",)

    def __init__(self, adapter: logging.LoggerAdapter[Any], level: int) -> None:
        super().__init__(level)
        self._adapter: Final = adapter

    def _hears(self, level: int) -> bool:
        return self._adapter.isEnabledFor(level)

    def _write(
        self, level: int, msg: str, args: tuple[object, ...], exc_info: _Trouble, fields: dict[str, object]
    ) -> None:
        text: Any = msg
        options: Any = {"exc_info": exc_info, "stacklevel": _FRAMES}
        logger: Any = self._adapter
        while isinstance(logger, logging.LoggerAdapter):
            text, options = logger.process(text, {**options, "extra": fields})
            fields |= options.pop("extra", None) or {}
            logger = cast("Any", logger.logger)
        logger.log(level, text, *args, extra=fields, **options)


_METHODS: Final = ((logging.ERROR, "error"), (logging.WARNING, "warning"), (logging.INFO, "info"))


class _Foreign(_Sink):
    """Any other logger. It gets a finished text, for what it would do with `%s` nobody knows.

    The fields go along where there is a `bind`, as loggers with structure have. `event` is what some of
    them call the text, so ours is `asyncq_event` there.
    """

    __slots__ = ("_logger",)

    def __init__(self, logger: LoggerLike, level: int) -> None:
        super().__init__(level)
        self._logger: Final = logger

    def _hears(self, level: int) -> bool:
        asked = getattr(self._logger, "isEnabledFor", None)
        return bool(asked(level)) if callable(asked) else True

    def _write(
        self, level: int, msg: str, args: tuple[object, ...], exc_info: _Trouble, fields: dict[str, object]
    ) -> None:
        text = msg % args if args else msg
        if exc_info:
            text = f"{text}\n{_traceback(exc_info)}"
        logger: Any = self._logger
        bind = getattr(logger, "bind", None)
        if callable(bind):
            if "event" in fields:
                fields["asyncq_event"] = fields.pop("event")
            logger = bind(**fields)
        name = next((name for least, name in _METHODS if level >= least), "debug")
        getattr(logger, name)(text)


def _traceback(exc_info: _Trouble) -> str:
    error = exc_info
    if isinstance(error, tuple):
        error = error[1]
    elif not isinstance(error, BaseException):
        error = sys.exception()
    return "".join(traceback.format_exception(error)).rstrip() if error is not None else ""
