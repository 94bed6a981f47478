"""The code on the pages runs: in the README, where the first impression is made, and in the guides."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from asyncq.embedded import open_embedded
from tests.acceptance.pages import DOCS, ROOT, Block, blocks

pytestmark = [pytest.mark.acceptance]

README = ROOT / "README.md"
PAGES = sorted([README, *DOCS.rglob("*.md")])


def _is_complete(block: Block) -> bool:
    """Whether it runs as it stands: a record of a decision may show a line of the inside."""
    tree = ast.parse(block.body)
    return any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body)


COMPLETE = [block for page in PAGES for block in blocks(page, "python") if _is_complete(block)]
SERVING = [block for block in COMPLETE if ".run(mux)" in block.body]
ENDING = [block for block in COMPLETE if block not in SERVING]


def _start(block: Block, folder: Path) -> subprocess.Popen[str]:
    file = folder / "block.py"
    file.write_text(block.body, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-u", "-W", "error", file],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _assert_server_gone(folder: Path) -> None:
    """Nothing is left of the embedded server that a block may have started in `./queue`."""
    if (folder / "queue").exists():
        server = open_embedded(folder / "queue")
        server.close()
        assert server.wait_gone()


def test_the_pages_have_blocks_that_run() -> None:
    """The README has one that serves, and the others have many."""
    assert [block.page for block in SERVING].count("README.md") == 1
    assert len(ENDING) >= 10


@pytest.mark.parametrize("block", ENDING, ids=str)
def test_a_block_runs(block: Block, tmp_path: Path) -> None:
    """Definitions, and programs that end by themselves, with warnings as errors."""
    process = _start(block, tmp_path)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, out + err
    _assert_server_gone(tmp_path)


@pytest.mark.parametrize("block", SERVING, ids=str)
def test_a_block_serves_until_it_is_told_to_leave(block: Block, tmp_path: Path) -> None:
    """Both users are welcome, and SIGTERM ends it in order."""
    with _start(block, tmp_path) as process:
        assert process.stdout is not None
        # A program that never says what it should must not hold up the tests.
        watchdog = threading.Timer(30, process.kill)
        watchdog.start()
        lines = [process.stdout.readline().strip() for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        watchdog.cancel()
    assert lines == ["welcome, user 42", "welcome, user 43"], err
    assert process.returncode == 0, out + err
    assert "Traceback" not in err
    _assert_server_gone(tmp_path)


def test_the_readme_is_twenty_lines() -> None:
    """As it says: more or less, and the blank ones do not count."""
    (block,) = (block for block in SERVING if block.page == "README.md")
    assert len([line for line in block.body.splitlines() if line.strip()]) <= 20
