"""What names of metrics may be like."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from asyncq.errors import ConfigError

_NAMESPACE: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")


def require_namespace(namespace: str) -> str:
    """Refuse what no name of a metric can begin with.

    Raises:
        ConfigError: It is none.
    """
    if not _NAMESPACE.fullmatch(namespace):
        raise ConfigError("namespace", namespace, "letters, digits and underscores, a letter first")
    return namespace


def require_different(names: Sequence[str], *, label: str) -> None:
    """Refuse two of one name, whose numbers nobody could tell apart.

    Args:
        names: What the label will have.
        label: What it is called, which is what has the names, too.

    Raises:
        ConfigError: There are two.
    """
    if len(set(names)) < len(names):
        raise ConfigError("name", names, f"a different one of each {label}, for the label `{label}`")
