"""Order of the test stages; the fixtures are in `tests/conftest.py`.

The tests of a stage run in random order (pytest-randomly), the stages themselves
cheap first: a broken rule of the house is reported before the first server starts.
"""

from __future__ import annotations

from pathlib import Path

import pytest

_ROOT = Path(__file__).parent
_STAGES = (
    "architecture",
    "typing",
    "unit",
    "lua",
    "integration",
    "engine",
    "faults",
    "acceptance",
    "interop",
    "examples",
    "docs",
)


def _stage(item: pytest.Item) -> int:
    parts = item.path.relative_to(_ROOT).parts
    folder = parts[1] if len(parts) > 2 else ""
    return _STAGES.index(folder) if folder in _STAGES else len(_STAGES)


# `trylast`: pytest-randomly shuffles first, and a stable sort keeps its order inside a stage.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the stages into order, leaving each stage as shuffled."""
    items.sort(key=_stage)
