"""What a test lacks, and who has to have it."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

__all__ = ["ServiceMissingError", "find_program", "is_required", "not_tested"]


class ServiceMissingError(Exception):
    """A program is not installed, or what it needs cannot be had from here."""


def find_program(name: str, package: str) -> str:
    """Return the path of a program.

    Raises:
        ServiceMissingError: It is not on PATH.
    """
    # Debian keeps servers in a folder that only root has on its PATH.
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ServiceMissingError(f"there is no `{name}` on PATH (Debian package {package})")
    return found


def is_required() -> bool:
    """Tell whether a missing service is a failure here."""
    return os.environ.get("ASYNCQ_SERVICES") == "required"


def not_tested(what: str, error: Exception) -> NoReturn:
    """Skip what needs a service that is missing; fail where it must be there."""
    if is_required():
        pytest.fail(f"{what}: {error}")
    pytest.skip(f"NOT TESTED with {what}: {error}")
