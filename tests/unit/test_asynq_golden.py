"""What the real Go asynq wrote: read as it reads it, and written as it writes it.

The bytes are in tests/interop/golden.json, recorded by tests/interop/go/golden.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import pytest

from asyncq._wire import asynq
from asyncq._wire.asynq_records import (
    NEVER,
    EnqueueEvent,
    SchedulerEntry,
    ServerInfo,
    Timestamp,
    WorkerInfo,
)
from asyncq._wire.go_text import (
    quote,
    read_date,
    read_duration,
    read_options,
    unquote,
    write_date,
    write_duration,
    write_options,
)
from asyncq._wire.messages import Envelope, Past
from tests.support.asynq_messages import queue_and_id

GOLDEN: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "interop" / "golden.json").read_text()
)
_TASKS: Final = {task["name"]: task for task in GOLDEN["tasks"]}
_ODD: Final = {
    # Numbers that Go runs with, and that we bring to the nearest that can be meant.
    "retries beyond 32 bits": {"max_retry": 0},
    "timeout of half a second": {"timeout": 1800},
    "negative timeout": {"timeout": 0, "deadline": 1},
    "deadline before 1970": {"deadline": 1},
    "deadline after 9999": {"deadline": 253_402_300_799},
    "negative retention": {"retention": 0},
}


def _unix(instant: dict[str, int]) -> int:
    """Go's zero time stands for none."""
    return 0 if Timestamp(instant["seconds"], instant["nanos"]).is_never else instant["seconds"]


@pytest.mark.parametrize("name", _TASKS)
def test_a_task_is_read_as_go_reads_it(name: str) -> None:
    """Every option and every state; the expected values are those of Go's own inspector."""
    raw, expected = bytes.fromhex(_TASKS[name]["msg"]), _TASKS[name]["expected"]
    payload = bytes.fromhex(expected["payload"])
    envelope = asynq.decode(raw)
    assert envelope == Envelope(
        expected["type"],
        payload,
        "json" if payload else "",
        **{
            "max_retry": expected["max_retry"],
            "timeout": expected["timeout"],
            "deadline": _unix(expected["deadline"]),
            "retention": expected["retention"],
        }
        | _ODD.get(name, {}),
        unique_key=envelope.unique_key,  # see below
        group=expected["group"],
        headers=expected["headers"] or {},
        past=Past(
            expected["retried"],
            expected["error"],
            _unix(expected["failed_at"]),
            _unix(expected["completed_at"]),
        ),
    )
    assert queue_and_id(raw) == (expected["queue"], expected["id"])


@pytest.mark.parametrize("name", [name for name in _TASKS if name not in _ODD])
def test_a_task_is_written_as_go_writes_it(name: str) -> None:
    """To the byte, with nothing beside it; but that Go has many headers in an order of chance."""
    raw, expected = bytes.fromhex(_TASKS[name]["msg"]), _TASKS[name]["expected"]
    envelope = asynq.decode(raw)
    assert asynq.encode("asynq:", expected["queue"], expected["id"], envelope) == (raw, b"")


def test_the_lock_is_the_one_of_go() -> None:
    """By the MD5 of the payload; an empty payload has one too, none at all has none."""
    one, none, empty = (hashlib.md5(raw).hexdigest() for raw in (b'{"id":1}', b"[]", b""))  # noqa: S324 - a name
    suffixes = {
        "unique": f"email:send:{one}",
        "everything": f"ä:b:{none}",
        "empty payload, unique": f"t:{empty}",
        "no payload, unique": "u:",
    }
    for name, task in _TASKS.items():
        suffix = asynq.decode(bytes.fromhex(task["msg"])).unique_key
        assert suffix == suffixes.get(name, "")
        if task["unique_key"]:
            assert task["unique_key"] == f"asynq:{{{task['expected']['queue']}}}:unique:{suffix}"


def _record(expected: dict[str, Any]) -> dict[str, Any]:
    """The values of a record as our classes have them."""
    values = {
        name: Timestamp(value["seconds"], value["nanos"])
        if isinstance(value, dict) and "nanos" in value
        else value
        for name, value in expected.items()
    }
    if "payload" in values:
        values["payload"] = bytes.fromhex(values["payload"])
    if "options" in values:
        values["options"] = tuple(values["options"])
    return values


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        (ServerInfo, GOLDEN["server"]),
        *((WorkerInfo, worker) for worker in GOLDEN["workers"]),
        *((SchedulerEntry, entry) for entry in GOLDEN["entries"]),
        *((EnqueueEvent, event) for event in GOLDEN["events"]),
    ],
)
def test_a_record_is_read_and_written_as_by_go(kind: Any, record: dict[str, Any]) -> None:
    """Of a server at work, and a scheduler with one entry that ran and one that never did."""
    raw, expected = bytes.fromhex(record["raw"]), _record(record["expected"])
    read = kind.decode(raw)
    assert read == kind(**expected)
    # The queues of a server are in an order of chance; we keep the order of what we read.
    assert read.encode() == raw


def test_an_entry_that_never_ran_says_so() -> None:
    """By Go's zero time; left out it would be 1970."""
    assert NEVER in {SchedulerEntry.decode(bytes.fromhex(entry["raw"])).prev for entry in GOLDEN["entries"]}


_START = Timestamp(1_700_000_000, 123_456_789)


@pytest.mark.parametrize(
    ("record", "raw"),
    [
        (
            WorkerInfo(
                host="h", pid=42, server_id="sid", task_id="tid", task_type="ty", payload=b"p", queue="q",
                started=_START, deadline=Timestamp(1_700_001_800),
            ),
            "0a0168102a1a0373696422037469642a0274793201703a0171420b0880e2cfaa0610959aef3a4a060888f0cfaa06",
        ),
        (
            SchedulerEntry(
                entry_id="eid", spec="@every 30s", task_type="ty", payload=b"p",
                options=('Queue("low")', "MaxRetry(3)"), next=_START,
            ),
            (
                "0a03656964120a406576657279203330731a0274792201702a0c517565756528226c6f7722292a0b4d6178526574"
                "7279283329320b0880e2cfaa0610959aef3a3a0b088092b8c398feffffff01"
            ),
        ),
        (EnqueueEvent(task_id="tid", enqueued_at=_START), "0a03746964120b0880e2cfaa0610959aef3a"),
    ],
)  # fmt: skip
def test_a_record_is_what_go_s_encoder_makes(record: Any, raw: str) -> None:
    """Vectors from the encoder itself."""
    assert record.encode().hex() == raw
    assert type(record).decode(bytes.fromhex(raw)) == record


def test_a_negative_number_takes_ten_bytes() -> None:
    """As the encoder of Go has it; no client of Go makes one."""
    raw = "0a01741a017822017128ffffffffffffffffff01"
    assert asynq.encode("", "q", "x", Envelope("t", b"", max_retry=-1))[0].hex().startswith(raw)
    assert asynq.decode(bytes.fromhex(raw)).max_retry == 0


# --- text ------------------------------------------------------------------------


@pytest.mark.parametrize("item", GOLDEN["texts"]["durations"], ids=lambda item: item["text"])
def test_durations_are_those_of_go(item: dict[str, Any]) -> None:
    """Both ways, to the nanosecond."""
    assert write_duration(item["nanos"] / 1e9) == item["text"]
    assert read_duration(item["text"]) == pytest.approx(item["nanos"] / 1e9, rel=1e-15)


@pytest.mark.parametrize("item", GOLDEN["texts"]["dates"], ids=lambda item: item["text"])
def test_dates_are_those_of_go(item: dict[str, Any]) -> None:
    """Written in UTC; read in other zones too, where they say their offset."""
    assert read_date(item["text"]) == item["unix"]
    if "UTC" in item["text"]:
        assert write_date(item["unix"]) == item["text"]


@pytest.mark.parametrize("item", GOLDEN["texts"]["quoted"], ids=lambda item: ascii(item["value"]))
def test_quoted_text_is_that_of_go(item: dict[str, Any]) -> None:
    """Both ways."""
    assert quote(item["value"]) == item["text"]
    assert unquote(item["text"]) == item["value"]


def test_options_of_go_are_read() -> None:
    """Also those that Go's own reader drops or cuts off."""
    options, unread = read_options(GOLDEN["texts"]["options"])
    assert unread == ()
    assert options == {
        "queue": 'a "b" \\ ) ☃\n\x00\u00a0\u2028',
        "max_retry": 3,
        "task_id": "a (b) c",
        "timeout": 90.0,
        "deadline": 1_777_856_523.0,
        "unique": 3600.0,
        "at": 1_778_700_723.0,
        "delay": 1.5,
        "retention": 86400.0,
        "group": "g)(",
    }


def test_options_are_written_as_go_writes_them() -> None:
    """But for the bracket inside of quotes, which Go's reader would take for the end."""
    texts = [text for text in GOLDEN["texts"]["options"] if not text.startswith("ProcessAt")]
    options, _ = read_options(texts)
    in_form = [text[:-1].replace(")", r"\x29") + ")" for text in texts]
    assert sorted(write_options(options)) == sorted(in_form)
