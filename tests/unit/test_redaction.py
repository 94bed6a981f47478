"""What is shown of a task when a redactor stands before it: never more than it gives."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq._wire.messages import Envelope
from asyncq._wire.states import State
from asyncq.codecs import DEFAULT_CODECS
from asyncq.errors import WireError
from asyncq.inspector import HIDDEN, Redactor, Subject, hide_everything, hide_fields
from asyncq.redaction import redacted, unhidden
from asyncq.task_info import Progress, TaskHistory, TaskInfo

SECRET = "4111-1111"


def _info(redact: Redactor | None, *, payload: Any = None, codec: str | None = None) -> TaskInfo:
    name, raw = DEFAULT_CODECS.encode({"user": 7, "card": SECRET} if payload is None else payload, type="pay")
    envelope = Envelope(
        "pay", raw, name if codec is None else codec, unique_key="pay:abc", headers={"card": SECRET}
    )
    history = TaskHistory(
        last_error=f"declined: {SECRET}",
        result=Progress(1).encode(),
        progress=Progress(1, 2, SECRET).encode(),
        attempts=msgpack.packb(
            [[1, 1.0, 2.0, "s", "retry", f"declined: {SECRET}", f"raise Declined({SECRET})"]]
        ),
        redact=redact,
    )
    return TaskInfo("q", "id1", envelope, State.ARCHIVED, history=history)


def test_without_a_redactor_everything_is_shown() -> None:
    """As ever."""
    info = _info(None)
    assert not info.is_redacted
    assert (info.payload, info.headers) == ({"user": 7, "card": SECRET}, {"card": SECRET})
    assert info.raw
    assert info.unique_key == "pay:abc"


def test_fields_are_hidden() -> None:
    """And the others are not."""
    info = _info(hide_fields("CARD"))
    assert info.is_redacted
    assert info.payload == {"user": 7, "card": HIDDEN}
    assert info.headers == {"card": HIDDEN}
    assert (info.raw, info.raw_result, info.unique_key) == (b"", None, f"pay:{HIDDEN}")


def test_everything_is_hidden() -> None:
    """No attribute has it, and neither has what prints the whole."""
    info = _info(hide_everything)
    assert info.payload == HIDDEN
    assert info.headers == {}
    assert info.last_error == HIDDEN
    assert info.progress == Progress(1, 2, HIDDEN)
    assert [(one.error, one.traceback, one.outcome) for one in info.attempts] == [(HIDDEN, HIDDEN, "retry")]
    shown = [getattr(info, name) for name in dir(TaskInfo) if not name.startswith("_") and name != "result"]
    assert SECRET not in repr(shown)
    assert SECRET not in repr(info)


def test_a_redactor_is_told_what_it_looks_at() -> None:
    """So that it can decide by queue, type and part."""
    seen: list[Subject] = []

    def redact(value: Any, subject: Subject) -> Any:
        seen.append(subject)
        return value

    info = _info(redact)
    _ = info.payload, info.headers, info.last_error, info.progress
    assert [one.part for one in seen] == ["payload", "headers", "error", "progress"]
    assert {(one.queue, one.type, one.id) for one in seen} == {("q", "pay", "id1")}


def test_a_redactor_that_fails_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Nor does the log: the text of its error may be the secret."""

    def redact(value: Any, subject: Subject) -> Any:
        raise KeyError(value, subject)

    info = _info(redact)
    assert (info.payload, info.headers, info.last_error) == (HIDDEN, {}, HIDDEN)
    assert [record.__dict__["event"] for record in caplog.records] == ["redactor_failed"] * 3
    assert SECRET not in caplog.text


def test_what_cannot_be_decoded_says_nothing_of_itself() -> None:
    """The text of a decoder's error may quote what it met."""
    info = _info(hide_everything, codec="none-such")
    with pytest.raises(WireError) as caught:
        _ = info.payload
    assert caught.value.__cause__ is None
    assert HIDDEN in str(caught.value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            {"a": {"Api-Key": 1, "b": [{"api_key": 2}]}},
            {"a": {"Api-Key": HIDDEN, "b": [{"api_key": HIDDEN}]}},
        ),
        ({b"api_key": 1}, {b"api_key": HIDDEN}),
        ("api_key", "api_key"),
        ([("api_key", 1)], [["api_key", 1]]),
        (None, None),
    ],
)
def test_fields_are_found_however_deep(value: Any, shown: Any) -> None:
    """By their name, in whatever case."""
    assert redacted(hide_fields("api-key"), value, Subject("payload", "q", "t", "i")) == shown


_values = st.recursive(
    st.integers(0, 2) | st.sampled_from(["x", "secret"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abcs"), inner, max_size=3),
    max_leaves=8,
)


def _hide(value: Any) -> Any:
    """Hide texts that are secret, and leave out the fields called `s`."""
    if isinstance(value, dict):
        return {name: _hide(item) for name, item in value.items() if name != "s"}
    if isinstance(value, list):
        return [_hide(item) for item in value]
    return HIDDEN if value == "secret" else value


def _secrets(value: Any, where: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    """What `_hide` hides, by where it is."""
    if isinstance(value, dict):
        found: dict[tuple[Any, ...], Any] = {}
        for name, item in value.items():
            found |= {(*where, name): item} if name == "s" else _secrets(item, (*where, name))
        return found
    if isinstance(value, list):
        return {
            at: one
            for number, item in enumerate(value)
            for at, one in _secrets(item, (*where, number)).items()
        }
    return {where: value} if value == "secret" else {}


@given(_values, _values)
def test_what_was_hidden_stays_or_the_edit_is_refused(real: Any, other: Any) -> None:
    """Whatever somebody writes who saw the redacted value: no secret is changed, moved or overwritten."""
    shown = _hide(real)
    assert unhidden(shown, shown, real) == real
    try:
        written = unhidden(other, shown, real)
    except ValueError:
        return
    kept, before = _secrets(written), _secrets(real)
    gone = {at for at in before if at not in kept}
    # Fields that were seen may be taken away, with what was hidden in them; the others are where they were.
    assert all(kept[at] == before[at] for at in before.keys() & kept.keys())
    assert HIDDEN not in repr(written) or HIDDEN in repr((real, other))
    assert not gone or _hide(written) != shown
