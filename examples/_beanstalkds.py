"""Where the examples find beanstalkd: at `ASYNCQ_EXAMPLE_NODES`, or two that are started for them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

PATIENCE = 10.0


@contextmanager
def example_nodes() -> Generator[list[str]]:
    """Give the endpoints of two nodes for the length of a block.

    A program of your own just writes them down. Real nodes run on different machines, with `-b DIR`.
    """
    given = os.environ.get("ASYNCQ_EXAMPLE_NODES")
    if given:
        yield given.split(",")
        return
    program = shutil.which("beanstalkd")
    if program is None:
        raise SystemExit("this example needs beanstalkd: apt install beanstalkd, or brew install beanstalkd")
    with ExitStack() as stack:
        yield [stack.enter_context(_running(program)) for _ in range(2)]


@contextmanager
def _running(program: str) -> Generator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([program, "-l", "127.0.0.1", "-p", str(port)])
    try:
        _wait_for(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
