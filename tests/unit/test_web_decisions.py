"""The pure parts of the web UI: hosts, origins, tokens, paths, numbers for people."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, datetime
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest

from asyncq.errors import ConfigError
from asyncq.inspector import Rights
from asyncq.web import NoAuth, Principal, Tokens, app, check_bind, formats
from asyncq.web.auth import SESSION_SECONDS
from asyncq.web.forms import choice_of, seconds_in, whole_in, whole_of
from asyncq.web.origins import (
    ANY_ADDRESS,
    LOOPBACK_NAMES,
    is_host_allowed,
    is_loopback,
    is_same_origin,
    safe_path,
)
from asyncq.web.paging import paged
from asyncq.web.preferences import Preferences
from asyncq.web.site import _NameConvertor
from asyncq.web.throttle import MOST_ADDRESSES, MOST_FAILURES, WINDOW, Throttle

SECRET = "a-secret-of-sixteen"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8080",
        "127.0.0.1:1",
        "[::1]:8080",
        "[::1]",
        "LocalHost",
        "ui.localhost",
        "localhost.",
    ],
)
def test_this_machine_has_several_names(host: str) -> None:
    """Whatever a person types into the address bar on the machine itself."""
    assert is_host_allowed(host, LOOPBACK_NAMES)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "evil.example:localhost",
        "[",
        "x@localhost.evil",
    ],
)
def test_other_names_are_not_this_machine(host: str) -> None:
    """A name of somebody else that leads here is DNS rebinding."""
    assert not is_host_allowed(host, LOOPBACK_NAMES)


def test_an_address_is_nobodys_name() -> None:
    """A page of somebody else can point a name at us, and no number."""
    for host in ("10.1.2.3", "10.1.2.3:8080", "[fd00::1]:8080", "127.0.0.1", "[::1]"):
        assert is_host_allowed(host, [ANY_ADDRESS])
    for host in ("evil.example", "10.1.2.3.evil.example", "10.1.2", "1", "", "any address", "localhost"):
        assert not is_host_allowed(host, [ANY_ADDRESS])


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 0.0), (" ", 0.0), ("90", 90.0), (" 1.5 ", 1.5), ("1h30m", 5400.0)]
)
def test_seconds_are_read(text: str, seconds: float) -> None:
    """As a number, or as people say them."""
    assert seconds_in("timeout", text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1.5", "x", "٣", "9" * 11])
def test_what_is_no_number_is_refused(text: str) -> None:
    """With the name of its field."""
    with pytest.raises(ConfigError, match="max_retry"):
        whole_in("max_retry", text)
    if text == "x":
        with pytest.raises(ConfigError, match="timeout"):
            seconds_in("timeout", text)


def test_a_star_stands_for_names_below() -> None:
    """And not for the name itself, nor for one that merely ends alike."""
    assert is_host_allowed("ops.example.com:443", ["*.example.com"])
    assert not is_host_allowed("example.com", ["*.example.com"])
    assert not is_host_allowed("badexample.com", ["*.example.com"])
    assert is_host_allowed("anything", ["*"])


@pytest.mark.parametrize(
    ("site", "origin", "expected"),
    [
        ("same-origin", None, True),
        ("same-site", "http://here:1", False),
        ("cross-site", "http://here:1", False),
        ("none", "http://here:1", False),
        (None, "http://here:1", True),
        (None, "https://HERE:1", True),
        (None, "http://here", False),
        (None, "http://evil:1", False),
        (None, "null", False),
        (None, None, False),
        (None, "file://here:1", False),
        (None, "http://[", False),
    ],
)
def test_a_change_comes_from_a_page_of_ours(site: str | None, origin: str | None, expected: bool) -> None:  # noqa: FBT001
    """The browser's own word counts; without it the origin of the page must be this host, with its port."""
    assert is_same_origin(fetch_site=site, origin=origin, host="here:1") is expected


@pytest.mark.parametrize(
    "path",
    [
        "//evil",
        "/\\evil",
        "https://evil/",
        "/ops/../other",
        "/other",
        "ops/x",
        "",
        "/ops//evil",
        "/ops/\n",
        "javascript:x",
    ],
)
def test_forms_lead_nowhere_else(path: str) -> None:
    """An open redirect would lend our name to somebody else's page."""
    assert safe_path(path, "/ops") == "/ops/"


def test_forms_lead_back() -> None:
    """To the very list, with its filter."""
    assert safe_path("/ops/queues?q=a&page=2", "/ops") == "/ops/queues?q=a&page=2"
    assert safe_path("/queues", "") == "/queues"


@pytest.mark.parametrize(
    "name", ["default", "a/b", "..", ".", "50%", "%2F", "ü:x y", "a%252Fb", "?x#y", "<b>"]
)
def test_any_name_is_a_part_of_a_path(name: str) -> None:
    """Servers undo one layer of percent signs before the route is looked at."""
    from urllib.parse import unquote

    written = _NameConvertor().to_string(name)
    assert "/" not in unquote(written)
    assert unquote(written) not in (".", "..")
    assert _NameConvertor().convert(unquote(written)) == name


def test_a_token_is_known_and_a_session_follows_it() -> None:
    """A session is a signature: it holds no token, ends by itself, and ends with its token."""
    anna = Principal("anna", Rights.viewer())
    tokens = Tokens({SECRET: anna, "another-secret-here": Principal("bob")})
    assert tokens.principal(SECRET) is anna
    assert tokens.principal("wrong") is None
    session = tokens.session(SECRET, now=1000.0)
    assert SECRET not in session
    assert tokens.of_session(session, now=1001.0) is anna
    assert tokens.of_session(session, now=1000.0 + SESSION_SECONDS) is None
    assert Tokens("another-secret-here").of_session(session, now=1001.0) is None
    ends, _, signature = session.partition(".")
    assert tokens.of_session(f"{int(ends) + 1}.{signature}", now=1001.0) is None


@pytest.mark.parametrize(
    "session", ["", ".", "x.y", "9" * 5000 + ".x", "9999999999.", "9999999999.é", "-1.x", "\u0661.x"]
)
def test_odd_sessions_are_nobodys(session: str) -> None:
    """Whatever stands in a cookie."""
    assert Tokens(SECRET).of_session(session) is None


def test_tokens_are_read_from_a_line() -> None:
    """As the command line has them, from its environment."""
    assert Tokens.parse(SECRET).principal(SECRET) == Principal("token", Rights.all())
    tokens = Tokens.parse(f"anna:admin:{SECRET}, bob:viewer:another-secret-here")
    assert tokens.principal("another-secret-here") == Principal("bob", Rights.viewer())
    assert repr(tokens) == "<Tokens of anna, bob>"


@pytest.mark.parametrize(
    "text", ["", "short", "anna:boss:a-secret-of-sixteen", "anna:admin", "::a-secret-of-sixteen"]
)
def test_tokens_that_are_none_are_refused(text: str) -> None:
    """And not said in the message."""
    with pytest.raises(ConfigError) as caught:
        Tokens.parse(text)
    assert "a-secret" not in str(caught.value)


def test_nobody_is_served_off_loopback_without_a_login() -> None:
    """The flag to do it all the same is long."""
    for host in ("127.0.0.1", "::1", "localhost", "127.9.9.9"):
        check_bind(host, NoAuth())
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.com", ""):  # noqa: S104 - this is what is refused
        with pytest.raises(ConfigError, match="tokens or a hook"):
            check_bind(host, NoAuth())
        check_bind(host, Tokens(SECRET))
        check_bind(host, NoAuth(even_off_loopback=True))
    assert NoAuth().principal("10.0.0.1") is None
    assert NoAuth().principal("testclient") is None
    assert NoAuth().principal(None) is not None  # a unix socket
    assert not is_loopback("")


@pytest.mark.parametrize(
    "options",
    [
        {"auth": None},
        {"auth": NoAuth},
        {"auth": NoAuth(), "allowed_hosts": "localhost"},
        {"auth": NoAuth(), "allowed_hosts": []},
        {"auth": NoAuth(), "base_path": "ops"},
    ],
)
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    """Before anything is served."""
    with pytest.raises(ConfigError):
        app("redis://localhost", **options)  # type: ignore[arg-type]


def test_guessing_is_slowed_down() -> None:
    """By address, and for a minute; one IPv6 network is one guesser."""
    time = [0.0]
    throttle = Throttle(clock=lambda: time[0])
    for _ in range(MOST_FAILURES):
        assert throttle.wait("form", "10.0.0.1") == 0
        throttle.failed("form", "10.0.0.1")
    assert throttle.wait("form", "10.0.0.1") == WINDOW
    assert throttle.wait("bearer", "10.0.0.1") == 0
    assert throttle.wait("form", "10.0.0.2") == 0
    time[0] = WINDOW
    assert throttle.wait("form", "10.0.0.1") == 0
    for last in range(MOST_FAILURES):
        throttle.failed("form", f"2001:db8::{last}")
    assert throttle.wait("form", "2001:db8::ffff") > 0
    for number in range(MOST_ADDRESSES + 5):
        throttle.failed("form", f"host {number}")
    assert len(throttle._failures) == MOST_ADDRESSES  # noqa: SLF001 - it must not grow for ever


def test_preferences_survive_their_cookie() -> None:
    """And a cookie that somebody wrote by hand gives the defaults."""
    likes = Preferences("dark", 10, "Europe/Berlin", keys=False)
    assert Preferences.decode(likes.encode()) == likes
    assert Preferences.decode(Preferences().encode()) == Preferences()
    assert Preferences.decode("theme=pink&zone=Nowhere") == Preferences()
    with pytest.raises(ConfigError, match="did you mean 'Europe/Berlin'"):
        Preferences.read({"zone": "Europe/Berln"})


def test_fields_are_checked() -> None:
    """What a query holds may come from anywhere."""
    assert whole_of({"page": "3"}, "page", 1, least=1, most=10) == 3
    assert whole_of({}, "page", 1, least=1, most=10) == 1
    for wrong in ("0", "11", "x", "-1", "9" * 5000, "\u0661"):
        with pytest.raises(ConfigError):
            whole_of({"page": wrong}, "page", 1, least=1, most=10)
    assert choice_of({}, "sort", ["name", "size"]) == "name"
    with pytest.raises(ConfigError, match="one of name, size"):
        choice_of({"sort": "<b>"}, "sort", ["name", "size"])


def test_a_page_beyond_the_end_is_the_last() -> None:
    """A list gets shorter while somebody leafs through it."""
    assert paged(list(range(120)), 9).items == list(range(100, 120))
    assert paged([], 3).pages == 1


def test_numbers_are_written_for_people() -> None:
    """Short, and never odd."""
    lengths = (0, 0.0001, 0.05, 3.21, 65, 3600 * 30, math.inf, math.nan, None)
    assert [formats.duration(one) for one in lengths] == [
        "0s", "<1ms", "50ms", "3.2s", "1m 5s", "1d 6h", "for ever", formats.NOTHING, formats.NOTHING,
    ]  # fmt: skip
    assert formats.number(1234567) == "1\u202f234\u202f567"
    assert formats.size(3 * 1024**3) == "3.0 GiB"
    assert formats.percent(1, 0) == formats.NOTHING
    assert formats.rate(0.25) == "0.2/s"
    at = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert formats.clock(at, ZoneInfo("Europe/Berlin")) == "2026-07-01 14:00:00 CEST"


def test_what_is_vendored_is_what_was_published() -> None:
    """Each file is listed with its origin, and comes with its licence."""
    folder = files("asyncq.web") / "static" / "vendor"
    listed = {"manifest.json"}
    for package in json.loads((folder / "manifest.json").read_text())["packages"]:
        assert package["licence_file"] in package["files"]
        for name, entry in package["files"].items():
            listed.add(name)
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == entry["sha256"], name
    assert {one.name for one in folder.iterdir()} == listed
