"""Where the examples find Redis: at `ASYNCQ_URL`, or in a server that is started for them and forgotten."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager

from asyncq.embedded import open_embedded


@contextmanager
def example_url() -> Generator[str]:
    """Give the URL of a Redis for the length of a block.

    A program of your own just writes its URL: `redis://localhost:6379/0`, or `embedded://PATH`
    for a server that is started by itself and keeps its data.
    """
    given = os.environ.get("ASYNCQ_URL")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="asyncq-example-") as folder:
        with open_embedded(folder) as server:
            yield f"unix://{server.socket_path}"
        server.wait_gone()
