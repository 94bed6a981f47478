"""Modules that are imported when something of them is used: the help and each completion wait for the others.

if TYPE_CHECKING:
    import json
else:
    json = Later("json")
"""

from __future__ import annotations

import importlib
from typing import Any, Final


class Later:
    """A module that is not there yet."""

    def __init__(self, name: str) -> None:
        self._name: Final = name

    def __getattr__(self, attribute: str) -> Any:
        """Import it, and return what was asked for."""
        return getattr(importlib.import_module(self._name), attribute)
