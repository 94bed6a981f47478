"""Talking to the Go program `drive`: calls, and what its servers tell of themselves."""

from __future__ import annotations

from tests.support.driving import CallError as GoCallError
from tests.support.driving import Driven as Go
from tests.support.driving import unpacked

__all__ = ["Go", "GoCallError", "unpacked"]
