"""The words of beanstalkd's protocol: what is sent, and what an answer says. No I/O in here."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from asyncq.errors import ConfigError, Problem

HIGHEST: Final = 2**32 - 1
"""The largest priority, delay and time to run."""

DEFAULT_MAX_JOB_SIZE: Final = 65_535
"""Bytes in a job that a beanstalkd takes which was told nothing else."""

LONGEST_LINE: Final = 1024
"""Bytes in the first line of an answer; a list of tubes is in the body."""

LARGEST_BODY: Final = 2**30 + 2**20
"""No beanstalkd can be told to take larger jobs, so an answer that announces more is none."""

DEFAULT_TUBE: Final = "default"
_TUBE: Final = re.compile(r"[A-Za-z0-9+/;.$_()][A-Za-z0-9\-+/;.$_()]{0,199}", re.ASCII)
_TUBE_EXPECTED: Final = "1 to 200 letters, digits and -+/;.$_(), not beginning with -"
_ENDPOINT_EXPECTED: Final = "host:port, as in 127.0.0.1:11300 or [::1]:11300"

Statistics = Mapping[str, int | float | str]
"""What `stats` and its kind answer; the names are beanstalkd's."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it was handed to us."""

    id: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Put:
    """What became of a job that was put."""

    id: int
    is_buried: bool = False
    """It is stored, but buried, since there was no memory to queue it. `kick_job` brings it back."""


class Answer(NamedTuple):
    """The first line of an answer, taken apart."""

    word: bytes
    numbers: tuple[int, ...]
    body_size: int | None  #: bytes that follow, without the line end; `None` for none
    text: str  #: what stands behind the word


_BODIES: Final = {b"RESERVED": 2, b"FOUND": 2, b"OK": 1}
"""Numbers of an answer with a body; the last is its size."""
_NUMBERS: Final = {b"INSERTED": 1, b"WATCHING": 1, b"BURIED": 0, b"KICKED": 0, b"USING": None}


def read_answer(line: bytes) -> Answer:
    """Take the first line of an answer apart, which comes without its line end.

    Raises:
        ValueError: It is no answer of a beanstalkd; the text says why.
    """
    word, _, rest = line.partition(b" ")
    if not word or not re.fullmatch(rb"[A-Z_]{1,32}", word):
        raise ValueError("it does not begin with a word")
    wanted = _BODIES.get(word, _NUMBERS.get(word, 0))
    if wanted is None:
        return Answer(word, (), None, rest.decode("ascii", "replace"))
    parts = rest.split(b" ") if rest else []
    # Ten or twenty digits are what there is; Python would read four thousand.
    if len(parts) < wanted or not all(re.fullmatch(rb"\d{1,20}", part) for part in parts):
        raise ValueError(f"{word.decode()} goes with {wanted} numbers")
    numbers = tuple(int(part) for part in parts)
    if word not in _BODIES:
        return Answer(word, numbers, None, rest.decode("ascii"))
    if len(parts) != wanted:
        raise ValueError(f"{word.decode()} goes with {wanted} numbers")
    if numbers[-1] > LARGEST_BODY:
        raise ValueError(f"a body of {numbers[-1]} bytes")
    return Answer(word, numbers, numbers[-1], rest.decode("ascii"))


def read_statistics(body: bytes) -> Statistics:
    """Read the body of an answer to `stats` and its kind: the little of YAML that beanstalkd writes."""
    found: dict[str, int | float | str] = {}
    for line in body.decode("utf-8", "replace").splitlines():
        name, colon, value = line.partition(":")
        if colon and not name.startswith("-"):
            found[name.strip()] = _value(value.strip())
    return found


def read_list(body: bytes) -> list[str]:
    """Read the body of an answer to `list-tubes` and its kind."""
    lines = body.decode("utf-8", "replace").splitlines()
    return [_unquoted(line[2:].strip()) for line in lines if line.startswith("- ")]


def _value(text: str) -> int | float | str:
    if re.fullmatch(r"-?\d{1,20}", text):
        return int(text)
    if re.fullmatch(r"-?\d{1,20}\.\d{1,20}", text):
        return float(text)
    return _unquoted(text)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def read_endpoint(endpoint: object) -> tuple[str, int]:
    """Host and port of an endpoint.

    Raises:
        ConfigError: It is none.
    """
    if isinstance(endpoint, str):
        host, _, port = endpoint.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host or "[" in host or "]" in host:
            host = ""
        is_plain = host.isprintable() and not any(sign in host for sign in " /,")
        if host and is_plain and re.fullmatch(r"\d{1,5}", port, re.ASCII) and 0 < int(port) < 2**16:
            return host, int(port)
    raise ConfigError("endpoint", endpoint, _ENDPOINT_EXPECTED)


def tube_problem(tube: object, option: str = "tube") -> Problem | None:
    """What is wrong with the name of a tube, if anything."""
    if isinstance(tube, str) and _TUBE.fullmatch(tube):
        return None
    return Problem(option, tube, _TUBE_EXPECTED)


def require_tube(tube: object) -> None:
    """Refuse what no tube can be called.

    Raises:
        ConfigError: It is no name of a tube.
    """
    problem = tube_problem(tube)
    if problem is not None:
        raise ConfigError.of([problem])


def number_problem(name: str, value: object, *, most: int = HIGHEST, least: int = 0) -> Problem | None:
    """What is wrong with a number of the protocol, if anything."""
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return None
    return Problem(name, value, f"a whole number from {least} to {most}")


def require_numbers(**numbers: object) -> None:
    """Refuse numbers that the protocol cannot say.

    Raises:
        ConfigError: With all that are wrong.
    """
    found = [number_problem(name, value, most=_most(name)) for name, value in numbers.items()]
    problems = [problem for problem in found if problem is not None]
    if problems:
        raise ConfigError.of(problems)


def require_body(body: object) -> None:
    """Refuse what is no body of a job.

    Raises:
        ConfigError: It is no bytes.
    """
    if not isinstance(body, bytes):
        raise ConfigError("body", body, 'bytes, such as b"hello" or "hello".encode()')


def require_patience(name: str, value: object) -> None:
    """Refuse what is no time to wait for something.

    Raises:
        ConfigError: It is no positive number of seconds.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return
    raise ConfigError(name, value, "a number of seconds above 0, with an end")


def _most(name: str) -> int:
    return 2**64 - 1 if name == "job_id" else HIGHEST
