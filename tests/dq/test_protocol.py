"""The words of the protocol: what is no answer is refused, and so is what cannot be said."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncq import beanstalk
from asyncq.beanstalk import errors
from asyncq.beanstalk.protocol import (
    read_answer,
    read_list,
    read_statistics,
    require_body,
    require_numbers,
    require_patience,
)
from asyncq.errors import ConfigError


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"INSERTED 7", (b"INSERTED", (7,), None)),
        (b"BURIED", (b"BURIED", (), None)),
        (b"BURIED 7", (b"BURIED", (7,), None)),
        (b"RESERVED 7 12", (b"RESERVED", (7, 12), 12)),
        (b"OK 0", (b"OK", (0,), 0)),
        (b"USING a.b", (b"USING", (), None)),
        (b"KICKED", (b"KICKED", (), None)),
        (b"KICKED 3", (b"KICKED", (3,), None)),
        (b"NOT_FOUND", (b"NOT_FOUND", (), None)),
    ],
)
def test_answers_are_taken_apart(line: bytes, expected: tuple[Any, ...]) -> None:
    """Word, numbers, and how much follows."""
    assert tuple(read_answer(line)[:3]) == expected


@pytest.mark.parametrize(
    "line",
    [b"", b" ", b"-ERR what", b"HTTP/1.1 400 Bad Request", b"RESERVED", b"RESERVED 7", b"RESERVED 7 -1",
     b"RESERVED 7 1 1", b"RESERVED x 1", b"OK 99999999999", b"INSERTED", b"INSERTED  7", b"OK " + b"9" * 5000,
     b"INSERTED 7 ", b"INSERTED \xd9\xa7", b"\x00\xff"],
)  # fmt: skip
def test_what_is_no_answer_is_refused(line: bytes) -> None:
    """Somebody else listens there, or bytes were lost."""
    with pytest.raises(ValueError, match=r"\w"):
        read_answer(line)


@given(st.binary(max_size=200))
def test_garbage_never_comes_as_anything_else(line: bytes) -> None:
    """It is an answer, or a `ValueError`; and never announces more than any server sends."""
    try:
        answer = read_answer(line)
    except ValueError:
        return
    assert answer.word.decode("ascii").isprintable()
    assert answer.body_size is None or 0 <= answer.body_size < 2**31


@given(st.binary(max_size=300))
def test_documents_of_any_kind_are_read(body: bytes) -> None:
    """What makes no sense in them is left out."""
    assert all(isinstance(name, str) for name in read_statistics(body))
    assert all(isinstance(name, str) for name in read_list(body))


def test_statistics_have_their_types() -> None:
    """Numbers where there are numbers."""
    body = b'---\nid: 3\nrusage-utime: 0.25\nversion: "1.12"\ntube: a:b\n'
    assert read_statistics(body) == {"id": 3, "rusage-utime": 0.25, "version": "1.12", "tube": "a:b"}
    assert read_list(b'---\n- default\n- "a-b"\n') == ["default", "a-b"]


@pytest.mark.parametrize("name", ["a", "A-z0+/;.$_()", "x" * 200, "(a"])
def test_names_of_tubes(name: str) -> None:
    """As beanstalkd has them."""
    assert beanstalk.tube_problem(name) is None


@pytest.mark.parametrize("name", ["", "-a", "a b", "x" * 201, "ä", "a\r\n", "a,b", None, 7, b"a"])
def test_what_is_no_name_of_a_tube(name: object) -> None:
    """Nothing of it is sent."""
    assert beanstalk.tube_problem(name) is not None


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [("127.0.0.1:11300", ("127.0.0.1", 11300)), ("node-1:1", ("node-1", 1)), ("[::1]:65535", ("::1", 65535))],
)
def test_endpoints(endpoint: str, expected: tuple[str, int]) -> None:
    """Host and port."""
    assert beanstalk.read_endpoint(endpoint) == expected


@pytest.mark.parametrize(
    "endpoint",
    ["", "host", ":11300", "host:", "host:0", "host:65536", "host:x", "::1:5", "a b:1", "a/b:1", None, 7],
)
def test_what_is_no_endpoint(endpoint: object) -> None:
    """Said before anything is connected."""
    with pytest.raises(ConfigError, match="host:port"):
        beanstalk.read_endpoint(endpoint)


@pytest.mark.parametrize("number", [-1, 2**32, 1.5, "1", None, True])
def test_what_is_no_number_of_the_protocol(number: object) -> None:
    """All that are wrong are reported."""
    with pytest.raises(ConfigError) as caught:
        require_numbers(priority=number, delay=0, ttr=number)
    assert [problem.option for problem in caught.value.problems] == ["priority", "ttr"]


def test_a_number_of_a_job_may_be_long() -> None:
    """It has 64 bits."""
    require_numbers(job_id=2**64 - 1)
    with pytest.raises(ConfigError):
        require_numbers(job_id=2**64)


@pytest.mark.parametrize("body", ["text", None, bytearray(b"x")])
def test_a_body_is_bytes(body: object) -> None:
    """Who has text says how it is encoded."""
    with pytest.raises(ConfigError, match="encode"):
        require_body(body)


@pytest.mark.parametrize("patience", [0, -1, math.inf, math.nan, "1", None, True])
def test_every_wait_has_an_end(patience: object) -> None:
    """A node that hangs must not hang us."""
    with pytest.raises(ConfigError):
        require_patience("connect_timeout", patience)


@pytest.mark.parametrize(
    "error",
    [
        errors.NodeAwayError("h:1", "put", "refused"),
        errors.UnreadableReplyError("h:1", "put", "b'x'"),
        errors.JobTooBigError("h:1", "put", 70_000, 65_535),
        *(kind("h:1", "put") for kind in errors.BY_WORD.values()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_say_where_and_what_and_survive_pickling(error: errors.BeanstalkError) -> None:
    """They cross processes."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - ours
    assert (type(again), str(again), again.args) == (type(error), str(error), error.args)
    assert "h:1" in str(error)
    assert "put" in str(error)


def test_every_word_of_refusal_is_a_class() -> None:
    """And the tree in the docstring has them all."""
    named = {kind.__name__ for kind in errors.BY_WORD.values()}
    assert len(named) == 12
    assert all(name in (errors.__doc__ or "") for name in named)
