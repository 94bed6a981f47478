"""The size ratchet, and the rules of the ratchet itself."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.architecture.repository import ROOT


@pytest.fixture(scope="module")
def ratchet() -> ModuleType:
    """`tools/sizes.py`, which is a script and no package."""
    path = ROOT / "tools" / "sizes.py"
    spec = importlib.util.spec_from_file_location("asyncq_tools_sizes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_file_and_function_fits(ratchet: ModuleType) -> None:
    """400 lines a file, 60 a function; exceptions are frozen and may only shrink."""
    assert ratchet.problems(ratchet.measure(ROOT), ratchet.read_list(ROOT / ratchet.LIST_NAME)) == []


@pytest.mark.parametrize(
    ("size", "frozen", "word"),
    [
        (400, {}, None),
        (401, {}, "the limit is 400"),
        (450, {"a.py": 450}, None),
        (451, {"a.py": 450}, "grew from 450"),
        (449, {"a.py": 450}, "shrank from 450"),
        (300, {"a.py": 300}, "need no exception"),
    ],
)
def test_the_list_may_only_shrink(
    ratchet: ModuleType, size: int, frozen: dict[str, int], word: str | None
) -> None:
    """A ratchet that lets a file grow back is no ratchet."""
    found = ratchet.problems(ratchet.Sizes(files={"a.py": size}), ratchet.Sizes(files=frozen))
    assert found == [] if word is None else word in found[0]


def test_update_never_adds_and_never_raises(ratchet: ModuleType) -> None:
    """`--update` may be run by anybody without thinking."""
    actual = ratchet.Sizes(files={"grown.py": 500, "new.py": 900, "shrunk.py": 410, "small.py": 10})
    frozen = ratchet.Sizes(files={"gone.py": 700, "grown.py": 450, "shrunk.py": 450, "small.py": 450})
    assert ratchet.shrink(actual, frozen).files == {"grown.py": 450, "shrunk.py": 410}


def test_a_docstring_is_no_reason_to_split_a_function(ratchet: ModuleType, tmp_path: Path) -> None:
    """A function counts without its docstring, a file with everything."""
    folder = tmp_path / "asyncq"
    folder.mkdir()
    (tmp_path / "conftest.py").touch()
    (folder / "a.py").write_text(
        'class A:\n    def f(self):\n        """One.\n\n        Two.\n        """\n        return 1\n'
    )
    sizes = ratchet.measure(tmp_path)
    assert sizes.functions == {"asyncq/a.py::A.f": 2}
    assert sizes.files["asyncq/a.py"] == 7
