"""Each example runs, ends by itself, and prints what its docstring says it prints."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncq.embedded import open_embedded
from tests.support.fake_beanstalkd import fakes_in_a_thread

ROOT = Path(__file__).resolve().parents[2]
# The demo has a test of its own; a leading underscore marks what examples share.
EXAMPLES = sorted(
    path for path in (ROOT / "examples").glob("*.py") if not path.stem.startswith("_") and path.stem != "demo"
)

pytestmark = [pytest.mark.acceptance]


@pytest.fixture
def embedded_url(tmp_path: Path) -> Iterator[str]:
    """The URL of an embedded server with nothing in it."""
    with open_embedded(tmp_path / "data") as server:
        yield f"unix://{server.socket_path}"
    assert server.wait_gone()


def _promised(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    _, _, block = docstring.partition("It prints:\n")
    return textwrap.dedent(block).strip()


def _run(path: Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "ASYNCQ_URL"}
    return subprocess.run(
        [sys.executable, "-W", "error", path],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=45,
    )


def test_the_examples_were_found() -> None:
    """An empty folder would make the tests below pass."""
    assert "quickstart" in {path.stem for path in EXAMPLES}


@pytest.fixture
def nodes() -> Iterator[str]:
    """The endpoints of two beanstalkds; tests/services runs the examples with real ones."""
    with fakes_in_a_thread(2) as endpoints:
        yield ",".join(endpoints)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_prints_what_it_says(path: Path, embedded_url: str, nodes: str, tmp_path: Path) -> None:
    """Readers believe the docstring; here it is compared word for word."""
    promised = _promised(path)
    assert promised, "say in the docstring what it prints, after 'It prints:'"
    done = _run(path, tmp_path, ASYNCQ_URL=embedded_url, ASYNCQ_EXAMPLE_NODES=nodes)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == promised, done.stderr


def test_an_example_brings_its_own_server_and_leaves_nothing(tmp_path: Path) -> None:
    """Without ASYNCQ_URL a server is started, and everything of it is gone afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    done = _run(ROOT / "examples" / "quickstart.py", tmp_path, TMPDIR=str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(folder.iterdir())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_uses_public_names_only(path: Path) -> None:
    """What an example imports, its reader will import."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    private = [name for name in imported if name.startswith("asyncq.") and "._" in name]
    assert private == []
