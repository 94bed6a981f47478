"""Which failures have one cause."""

from __future__ import annotations

import time

import pytest

from asyncq.inspector.causes import LONGEST, cause_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("TimeoutError: after 3.5 s", "TimeoutError: after 17 s"),
        ("KeyError: 'user_17'", "KeyError: 'user_9'"),
        (
            "ValueError: order 0f8fad5b-d9cb-469f-a165-70867728950e is gone",
            "ValueError: order 7c9e6679-7425-40de-944b-e07fc1f90ae7 is gone",
        ),
        ("OSError: at 0x7f00aa12 in deadbeef01", "OSError: at 0x55 in 00c0ffee"),
        ("Bounced: ann@example.com", "Bounced: bob.b+x@mail.example.org"),
        ("X: due 2026-11-21T10:00:00.5Z", "X: due 2025-01-02 03:04:05+01:00"),
        ("X: a\nb", "X:   a   b"),
        ("dial tcp 10.0.0.1:6379: refused", "dial tcp 10.0.0.22:80: refused"),
    ],
)
def test_what_names_a_case_makes_no_cause_of_its_own(one: str, other: str) -> None:
    """Numbers, ids, addresses, times and blanks."""
    assert cause_of("x", one) == cause_of("x", other)
    assert cause_of("x", one).id == cause_of("x", other).id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("x", "KeyError: 'a'"), ("y", "KeyError: 'a'")),
        (("x", "KeyError: 'a'"), ("x", "KeyError: 'b'")),
        (("x", "KeyError: 'a'"), ("x", "IndexError: 'a'")),
        (("x", "Error: facade"), ("x", "Error: decade")),
    ],
)
def test_other_reasons_are_other_causes(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Type, class and what it says."""
    assert cause_of(*one).id != cause_of(*other).id


def test_no_text_takes_long() -> None:
    """Of a long word only the beginning can be one of an address, so it is read once."""
    from asyncq.inspector.causes import _CASES

    pattern, _ = _CASES[0]
    began = time.process_time()
    assert pattern.sub("", "a" * 200_000) == "a" * 200_000
    assert time.process_time() - began < 5
    assert pattern.sub("<mail>", "x@ann@example.com, <bob@example.org>") == "x@<mail>, <<mail>>"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("ValueError: no 5", "ValueError", "no #"),
        ("package.module.Error: no", "package.module.Error", "no"),
        ("KeyError", "KeyError", ""),
        ("dial tcp: refused", "", "dial tcp: refused"),
        ("error: it broke", "", "error: it broke"),
        ("", "", ""),
        (": odd", "", ": odd"),
    ],
)
def test_the_class_of_an_error_is_told_from_its_text(text: str, error: str, message: str) -> None:
    """Go's errors have none."""
    cause = cause_of("x", text)
    assert (cause.error, cause.message) == (error, message)


def test_a_long_text_counts_by_its_beginning() -> None:
    """And costs no more than a short one."""
    assert cause_of("x", "E: " + "word " * 1_000_000).message == ("word " * LONGEST)[:LONGEST]
