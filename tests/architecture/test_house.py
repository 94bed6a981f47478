"""The files around the package say the same things as the package and as each other."""

from __future__ import annotations

import os
import re
import tomllib
from typing import Any

import pytest
import yaml

import asyncq
from tests.architecture.repository import PACKAGE, ROOT, modules


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _pyproject() -> dict[str, Any]:
    return tomllib.loads(_read("pyproject.toml"))


def _targets() -> dict[str, str]:
    return dict(re.findall(r"^([a-z.-]+):.*?## (.+)$", _read("Makefile"), re.MULTILINE))


def _hooks() -> list[dict[str, Any]]:
    repos = yaml.safe_load(_read(".pre-commit-config.yaml"))["repos"]
    assert [repo["repo"] for repo in repos] == ["local"], "a hook from elsewhere has to be fetched"
    return repos[0]["hooks"]


# --- docker-compose.yml: there is no Docker in the gate, so its words are checked ----


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file as a YAML reader sees it, anchors resolved."""
    return yaml.safe_load(_read("docker-compose.yml"))


def _command(service: dict[str, Any]) -> str:
    return " ".join(service["command"])


def test_compose_starts_one_redis_unless_asked_for_more(compose: dict[str, Any]) -> None:
    """`docker compose up` is for everyday; sentinel and cluster are profiles."""
    profiles = {name: service.get("profiles", []) for name, service in compose["services"].items()}
    assert profiles == {"redis": [], "sentinel": ["sentinel"], "cluster": ["cluster"]}


def test_every_service_of_compose_is_fit_for_a_queue(compose: dict[str, Any]) -> None:
    """Password, append-only file, no eviction, a time zone, and data that stays."""
    for name, service in compose["services"].items():
        command = _command(service)
        assert "--requirepass" in command, name
        assert "--appendonly yes" in command, name
        assert "--maxmemory-policy noeviction" in command, name
        assert set(service["environment"]) >= {"TZ", "REDISCLI_AUTH"}, name
        assert service["healthcheck"]["test"], name
        volume, _, folder = service["volumes"][0].partition(":")
        assert volume in compose["volumes"], name
        assert folder == "/data", name


def test_compose_publishes_to_this_machine_only(compose: dict[str, Any]) -> None:
    """A password that stands in a file must not be reachable from the network."""
    published = [port for service in compose["services"].values() for port in service["ports"]]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_announced_ports_are_published_one_to_one(compose: dict[str, Any]) -> None:
    """A cluster or sentinel client connects to the address that it is told."""
    for name in ("sentinel", "cluster"):
        for port in compose["services"][name]["ports"]:
            _, outside, inside = port.split(":")
            assert outside == inside, name
            assert inside in _command(compose["services"][name]), name


def test_compose_escapes_the_dollars_of_its_shell(compose: dict[str, Any]) -> None:
    """A single dollar would be replaced by Compose before the shell sees it."""
    for service in compose["services"].values():
        shell = service["command"][-1] if service["command"][0] == "sh" else ""
        assert "$" not in shell.replace("$$", "")


# --- the gate ------------------------------------------------------------------------


def test_ci_runs_what_a_developer_runs() -> None:
    """A check that is not in `make check` does not exist."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.search(r"^make check\b", script.read_text(encoding="utf-8"), re.MULTILINE)
    assert re.search(r"^check: static test\b", _read("Makefile"), re.MULTILINE)


def test_promised_commands_exist() -> None:
    """README and contributors' guide promise these."""
    assert set(_targets()) >= {".venv", "bench", "check", "demo", "fmt", "help", "lint", "test", "types"}


def test_files_that_commands_run_exist() -> None:
    """`make demo` is the first thing that a stranger types."""
    files = re.findall(r"\$\(BIN\)/python ([\w/]+\.py)", _read("Makefile"))
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_pre_commit_hooks_are_local_and_part_of_the_gate() -> None:
    """A hook that checks something else than the gate would only annoy."""
    for hook in _hooks():
        command, target, *_ = hook["entry"].split()
        assert command == "make"
        assert target in _targets()


# --- packaging -----------------------------------------------------------------------


def test_the_changelog_knows_the_version() -> None:
    """Either this version has its heading, or everything in it is still unreleased."""
    headings = re.findall(r"^## \[?([^\]\s]+)", _read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    released = headings[1:]
    assert not released or asyncq.__version__ == released[0]


def test_all_means_every_extra() -> None:
    """`asyncq[all]` in a list that somebody forgot would lie."""
    extras = _pyproject()["project"]["optional-dependencies"]
    named = re.fullmatch(r"asyncq\[(.+)\]", extras["all"][0])
    assert named is not None
    assert set(named[1].split(",")) == set(extras) - {"all"}


def test_the_package_says_that_it_is_typed() -> None:
    """Without the marker no type checker reads our annotations."""
    assert (PACKAGE / "py.typed").exists()


def test_every_exception_to_the_linter_has_its_reason() -> None:
    """Lint everything, then argue: a bare exception is one that nobody argued for."""
    section = _read("pyproject.toml").partition("[tool.ruff.lint]")[2].partition("[tool.ruff.lint.flake8")[0]
    bare = [line for line in section.splitlines() if re.search(r'"[A-Z]+\d*",?\s*$', line)]
    assert not bare
    unargued = [
        line for line in section.splitlines() if re.match(r'\s+"[A-Z]+\d*",', line) and "#" not in line
    ]
    assert not unargued


def test_every_type_ignore_names_its_code() -> None:
    """A bare one would hide the next error on its line, too."""
    bare = [
        f"{path.name}:{number}"
        for path in modules()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"#\s*(type|pyright):\s*ignore(?!\[)", line)
    ]
    assert not bare
