"""What a door may be given to log to, and what comes out of it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from asyncq._logs import SERVER_LOG, Log, level_of, log_for
from tests.support.loggers import PlainLogger

_HERE = "test_logs.py"


class _Structured(PlainLogger):
    """One that is bound to fields, as structlog's are; `event` is its word for the text."""

    def __init__(self, lines: list[tuple[str, str]] | None = None, **fields: object) -> None:
        super().__init__()
        self.lines = self.lines if lines is None else lines
        self.fields = fields

    def bind(self, **fields: object) -> _Structured:
        assert "event" not in fields
        return _Structured(self.lines, **self.fields, **fields)

    def warning(self, text: str) -> None:
        self.lines.append((str(self.fields), text))


def _fail() -> None:
    raise ValueError("wrong {brace} %s")


def _use(log: Log) -> None:
    log.debug("%s bytes", 1, extra={"event": "a"})
    log.info("100%", extra={"event": "b"})
    log.warning("%d%% of %s", 5, "it", extra={"event": "c", "queue": "q"})
    try:
        _fail()
    except ValueError:
        log.exception("it failed", extra={"event": "d"})
    log.log(logging.CRITICAL, "worse", exc_info=KeyError("k"), extra={"event": "e"})


def test_a_standard_logger_is_used_as_it_is() -> None:
    """Nothing is in between, and nothing is paid for it."""
    assert log_for(None, None, standard=SERVER_LOG) is SERVER_LOG
    mine = logging.getLogger("tests.mine")
    assert log_for(mine, None, standard=SERVER_LOG) is mine


def test_a_level_is_of_one_server_only(caplog: pytest.LogCaptureFixture) -> None:
    """The logger itself stays as it is: another server may use it with another level."""
    mine = logging.getLogger("tests.mine")
    with caplog.at_level(logging.DEBUG, "tests.mine"):
        log = log_for(mine, logging.WARNING, standard=SERVER_LOG)
        _use(log)
        assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "CRITICAL"]
        assert not log.isEnabledFor(logging.INFO)
        assert mine.isEnabledFor(logging.INFO)
    assert {record.filename for record in caplog.records} == {_HERE}
    assert caplog.records[0].event == "c"  # type: ignore[attr-defined]
    assert caplog.records[1].exc_info is not None
    caplog.clear()
    with caplog.at_level(logging.ERROR, "tests.mine"):
        _use(log_for(mine, logging.DEBUG, standard=SERVER_LOG))
    assert [record.levelname for record in caplog.records] == ["ERROR", "CRITICAL"]


def test_the_fields_of_adapters_are_added_to_ours(caplog: pytest.LogCaptureFixture) -> None:
    """By itself an adapter puts its fields in the place of what is given with a call."""

    class Prefixed(logging.LoggerAdapter[Any]):
        def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
            return f"[p] {msg}", kwargs

    inner = logging.LoggerAdapter(logging.getLogger("tests.mine"), {"team": "media"})
    with caplog.at_level(logging.INFO, "tests.mine"):
        _use(log_for(Prefixed(inner, {}), None, standard=SERVER_LOG))
    warning = next(record for record in caplog.records if record.levelname == "WARNING")
    assert warning.getMessage() == "[p] 5% of it"
    assert (warning.event, warning.queue, warning.team) == ("c", "q", "media")  # type: ignore[attr-defined]
    assert warning.filename == _HERE
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "ERROR", "CRITICAL"]


def test_any_other_logger_gets_finished_texts() -> None:
    """What it would do with a percent sign or a brace nobody knows."""
    logger = PlainLogger()
    _use(log_for(logger, logging.INFO, standard=SERVER_LOG))
    assert logger.lines[:2] == [("info", "100%"), ("warning", "5% of it")]
    (level, failed), (worst, worse) = logger.lines[2:]
    assert (level, worst) == ("error", "error")
    assert failed.startswith("it failed\nTraceback")
    assert failed.endswith("ValueError: wrong {brace} %s")
    assert worse.endswith("KeyError: 'k'")


def test_a_logger_with_structure_gets_the_fields() -> None:
    """And not under the name that it needs itself."""
    logger = _Structured(server="one")
    _use(log_for(logger, None, standard=SERVER_LOG))
    assert logger.lines[2] == (
        str({"server": "one", "queue": "q", "asyncq_event": "c"}),
        "5% of it",
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [("debug", 10), ("INFO", 20), ("Warn", 30), ("warning", 30), ("fatal", 50), (15, 15), ("loud", None)],
)
def test_levels_have_names_in_any_case(given: object, expected: int | None) -> None:
    """Those of asynq and those of `logging`."""
    assert level_of(given) == expected
