"""The command `asyncq`.

A command's module is imported when the command is used, so `asyncq --help` and the completion of
a shell stay quick.
"""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import Any, Final

import click

__all__ = ["main"]

COMMANDS: Final = {
    "bench": "Measure how fast Redis is for tasks, from this machine.",
    "completion": "Print the shell's completion script.",
    "cron": "Look at the entries of schedulers; pause, resume, run and remove them.",
    "dash": "Queues, tasks, servers and schedulers in the terminal, live, with keys to act on them.",
