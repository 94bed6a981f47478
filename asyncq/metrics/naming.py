"""What names of metrics may be like."""

from __future__ import annotations

import re
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
