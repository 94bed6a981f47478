"""One URL says it all, and a wrong one says what is wrong without saying the password."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncq.connection import Address, ConnectionOptions, Tls, Topology
from asyncq.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", {"addresses": (Address("localhost", 6379),)}),
        ("redis://h", {"addresses": (Address("h", 6379),)}),
        ("redis://h:1/2", {"addresses": (Address("h", 1),), "db": 2}),
        ("REDIS://h/", {"addresses": (Address("h", 6379),)}),
        ("valkey://h", {"addresses": (Address("h", 6379),)}),
        ("redis://h?db=3", {"addresses": (Address("h", 6379),), "db": 3}),
        ("redis://:p@h", {"addresses": (Address("h", 6379),), "password": "p"}),
        ("redis://u:p@h", {"addresses": (Address("h", 6379),), "username": "u", "password": "p"}),
        ("redis://u:p%40%2F%3A@h", {"addresses": (Address("h", 6379),), "username": "u", "password": "p@/:"}),
        ("redis://[::1]:7", {"addresses": (Address("::1", 7),)}),
        ("rediss://h", {"addresses": (Address("h", 6379),), "tls": Tls()}),
        (
            "rediss://h?tls_ca=/ca&tls_cert=/c&tls_key=/k&tls_check_hostname=no&tls_verify=false",
            {
                "addresses": (Address("h", 6379),),
                "tls": Tls(ca_file="/ca", cert_file="/c", key_file="/k", verify=False, check_hostname=False),
            },
        ),
        ("unix:///run/r.sock", {"addresses": (Address(path="/run/r.sock"),)}),
        (
            "unix://u:p@/run/r.sock?db=1",
            {"addresses": (Address(path="/run/r.sock"),), "username": "u", "password": "p", "db": 1},
        ),
        ("unix:///with%20space", {"addresses": (Address(path="/with space"),)}),
        (
            "redis-sentinel://a,b:2/1?master=m&sentinel_password=s",
            {
                "topology": Topology.SENTINEL,
                "addresses": (Address("a", 26379), Address("b", 2)),
                "db": 1,
                "master": "m",
                "sentinel_password": "s",
            },
        ),
        (
            "redis-cluster://a:1,b:2",
            {"topology": Topology.CLUSTER, "addresses": (Address("a", 1), Address("b", 2))},
        ),
        (
            "valkey-cluster://a?tls=true",
            {"topology": Topology.CLUSTER, "addresses": (Address("a"),), "tls": Tls()},
        ),
        ("redis+cluster://a", {"topology": Topology.CLUSTER, "addresses": (Address("a"),)}),
        ("embedded:///var/q", {"topology": Topology.EMBEDDED, "addresses": (), "embedded_path": "/var/q"}),
        ("embedded://./q", {"topology": Topology.EMBEDDED, "addresses": (), "embedded_path": "./q"}),
        (
            "redis://h?connect_timeout=0.5&response_timeout=2",
            {"addresses": (Address("h"),), "connect_timeout": 0.5, "response_timeout": 2.0},
        ),
    ],
)
def test_urls_that_are_understood(url: str, expected: dict[str, Any]) -> None:
    """Every form that the documentation names."""
    assert ConnectionOptions.from_url(url) == ConnectionOptions(**expected)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:6379", ["scheme", "redis://"]),
        ("rediz://h", ["did you mean redis"]),
        ("http://h", ["use one of"]),
        ("redis://h/x", ["db", "whole number"]),
        ("redis://h/-1", ["db", "whole number"]),
        ("redis://h/²", ["db", "whole number"]),
        ("redis://h:99999", ["address"]),
        ("redis://h:x", ["address"]),
        ("redis://a,b", ["one host", "redis-sentinel"]),
        ("redis://h?mastre=x", ["mastre", "'master'"]),
        ("redis://h?connect_timeout=soon", ["connect_timeout", "seconds"]),
        ("redis://h?connect_timeout=0", ["connect_timeout", "above 0"]),
        ("redis://h?response_timeout=nan", ["response_timeout"]),
        ("rediss://h?tls_verify=perhaps", ["tls_verify", "true or false"]),
        ("unix://relative/path", ["absolute path"]),
        ("unix://", ["absolute path"]),
        ("redis-cluster://h/3", ["db", "only database of a cluster"]),
        ("embedded://", ["path"]),
        ("redis://[::1", ["redis://"]),
    ],
)
def test_urls_that_are_not(url: str, words: list[str]) -> None:
    """The error names the part, and what would be right."""
    with pytest.raises(ConfigError) as caught:
        ConnectionOptions.from_url(url)
    for word in words:
        assert word in str(caught.value)


_schemes = st.sampled_from(
    ["redis", "rediss", "unix", "redis-sentinel", "redis-cluster", "valkey", "embedded", "http", "", "redis:"]
)
_part = st.text(st.sampled_from("aZ0.-_~:/?#[]@!$&'()*+,;=%² {}é\n"), max_size=20)


@given(scheme=_schemes, rest=_part)
@example("redis", "[")
@example("redis", "h?=")
@example("redis", "h?&")
@example("redis", "h/0/0")
@example("unix", "//@/a")
def test_any_text_is_a_url_or_an_error_of_ours(scheme: str, rest: str) -> None:
    """From a configuration that somebody got wrong."""
    try:
        options = ConnectionOptions.from_url(f"{scheme}://{rest}")
    except ConfigError:
        return
    assert options.describe()


_secret = st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=20).map(
    lambda text: f"s3cret{text}"
)


@given(
    user=st.text(max_size=10),
    password=_secret,
    scheme=_schemes,
    tail=st.sampled_from(["h", "h/x", "h:x", "h?bad=1", "a,b", "/s"]),
)
def test_passwords_are_read_and_never_shown(user: str, password: str, scheme: str, tail: str) -> None:
    """Neither in an error, nor by the options, nor by where they lead."""
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    try:
        options = ConnectionOptions.from_url(f"{scheme}://{login}@{tail}")
    except ConfigError as error:
        shown = str(error)
    else:
        if options.topology is Topology.EMBEDDED:
            return  # there is nobody to log in to: all of it is the path
        assert (options.username or "", options.password) == (user, password)
        shown = repr(options) + options.describe()
    assert "s3cret" not in shown


def test_what_is_given_beside_the_url_wins() -> None:
    """And an unknown name is refused."""
    options = ConnectionOptions.from_url("redis://:p@h/1", db=2, response_timeout=1.0)
    assert (options.db, options.response_timeout, options.password) == (2, 1.0, "p")
    with pytest.raises(ConfigError, match="'response_timeout'"):
        ConnectionOptions.from_url("redis://h", response_timeoutt=1.0)


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"addresses": ()}, ["addresses"]),
        ({"db": -1, "connect_timeout": 0}, ["db", "connect_timeout", "2 values"]),
        ({"db": 1, "topology": Topology.CLUSTER}, ["only database"]),
        ({"topology": Topology.EMBEDDED, "addresses": ()}, ["embedded://"]),
    ],
)
def test_options_are_checked_together(given_: dict[str, Any], words: list[str]) -> None:
    """All problems in one error."""
    with pytest.raises(ConfigError) as caught:
        ConnectionOptions(**given_)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("address", "text"),
    [(Address("h", 1), "h:1"), (Address("::1", 1), "[::1]:1"), (Address(path="/s"), "unix:/s")],
)
def test_addresses_are_shown_as_they_are_written(address: Address, text: str) -> None:
    """In every error that has to do with one."""
    assert str(address) == text
