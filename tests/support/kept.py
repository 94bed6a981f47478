"""What takes long to get is got once, in the background, and kept for the next runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from subprocess import Popen

import pytest

from .turns import SHARED_FOLDER

__all__ = ["begin_for", "kept_folder"]


def kept_folder(config: pytest.Config, name: str) -> Path:
    """Return a folder that outlives the run: without pytest's cache, one for this run alone."""
    cache: pytest.Cache | None = getattr(config, "cache", None)
    if cache is not None:
        return cache.mkdir(name)
    (folder := config.stash[SHARED_FOLDER] / name).mkdir(exist_ok=True)
    return folder


def begin_for(marker: str, session: pytest.Session, begin: Callable[[], Iterable[Popen[bytes]]]) -> None:
    """Start programs in one worker of a run that has tests with this marker, and end them with the run."""
    is_first = getattr(session.config, "workerinput", {"workerid": "gw0"})["workerid"] == "gw0"
    is_needed = any(item.get_closest_marker(marker) for item in session.items)
    if not is_first or not is_needed or session.config.option.collectonly:
        return
    begun = list(begin())

    def end() -> None:
        for one in begun:
            one.terminate()
            one.wait()

    session.config.add_cleanup(end)
