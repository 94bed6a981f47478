"""What `asyncq run` was asked for, in a form that child processes can be told."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one process runs, and how. `None` is what the program itself says."""

    apps: tuple[str, ...]
    app_dir: str = "."
    factory: bool = False
    url: str | None = None
    prefix: str | None = None
    wire: str | None = None
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of the servers, by name."""
    log_level: str | None = None
    log_format: str = "text"
    uvloop: bool | None = None
    """`None`: where it is installed."""
    probes: str | None = None
    color: bool = False
    is_reloaded: bool = False
    number: int = 0
    """Which child process this is, from 1; 0 is a process without a parent."""

    def dumps(self) -> str:
        """As text, for a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Self:
        """From that text."""
        fields: dict[str, Any] = json.loads(text)
        fields["apps"] = tuple(fields["apps"])
        return cls(**fields)

    def for_child(self, number: int) -> Plan:
        """The plan of one of several processes: it has a port of its own for probes."""
        return replace(self, number=number, probes=beside(self.probes, number))


def beside(address: str | None, number: int) -> str | None:
    """The address of a child's probes: as many ports above the parent's as its number; 0 stays 0."""
    if address is None:
        return None
    host, _, port = address.rpartition(":")
    return f"{host}:{int(port) + number if int(port) else 0}"
