"""Which files count as changed, for `--reload`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from asyncq.cli.watching import Watch, look, unreadable


def _write(path: Path, text: str = "x = 1\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_only_python_files_that_are_somebodys_own_are_looked_at(tmp_path: Path) -> None:
    """An environment below the folder has thousands of files that nobody edits."""
    own = _write(tmp_path / "shop" / "tasks.py")
    for name in (
        "shop/notes.txt",
        "shop/__pycache__/tasks.py",
        ".git/hook.py",
        "env/lib/site-packages/redis.py",
        "node_modules/gyp.py",
    ):
        _write(tmp_path / name)
    _write(tmp_path / "venv" / "pyvenv.cfg")
    _write(tmp_path / "venv" / "bin" / "activate_this.py")
    (tmp_path / "dead.py").symlink_to(tmp_path / "nowhere.py")
    assert list(look([str(tmp_path)])) == [str(own)]


async def test_changes_are_gathered_until_none_comes(tmp_path: Path) -> None:
    """Who saves several files wants one reload: changed, new, and deleted ones, all at once."""
    changed, deleted = _write(tmp_path / "changed.py"), _write(tmp_path / "deleted.py")
    watch = Watch([tmp_path])
    os.utime(changed, ns=(1, 1))
    deleted.unlink()
    new = _write(tmp_path / "new.py")
    assert await watch.changes() == [changed, deleted, new]
    waiting = asyncio.ensure_future(watch.changes())
    assert await asyncio.wait([waiting], timeout=0.6) == (set(), {waiting}), "nothing has changed"
    os.utime(changed, ns=(2, 2))
    assert await waiting == [changed]


def test_syntax_is_checked_before_anything_is_stopped(tmp_path: Path) -> None:
    """A half-typed line must not take the running program away."""
    fine = _write(tmp_path / "fine.py")
    broken = _write(tmp_path / "broken.py", "def f(:\n")
    zero = tmp_path / "zero.py"
    zero.write_bytes(b"x = 1\0\n")
    problems = unreadable([fine, broken, zero, tmp_path / "gone.py"])
    assert len(problems) == 2
    assert problems[0] == f"{broken}:1: invalid syntax"
    assert problems[1].startswith(str(zero))
