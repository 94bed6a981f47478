"""Building the Go programs, once for all runs until their sources change.

    python -m tests.interop.golang FOLDER

builds them there. A run of the tests starts that at its beginning, behind all else that wants the processors.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support._processes import spawn

__all__ = ["GoMissingError", "begin", "build"]

SOURCE = Path(__file__).parent / "go"
_PACKAGES = ("./drive", "./golden", "./mon")
_BUILT = "built-"
# A cold build compiles Go's own library, too; on two busy cores that is minutes.
_BUILD_SECONDS = 600
_DOWNLOAD_SECONDS = 180


class GoMissingError(Exception):
    """There is no Go here, it is too old, or it cannot get what it needs."""


def build(cache: Path) -> Path:
    """Return the folder with the programs, built if they are not in `cache` yet.

    Raises:
        GoMissingError: Nothing can be built here. Not raised when Go refuses our own code.
    """
    go = shutil.which("go")
    if go is None:
        raise GoMissingError("there is no `go` on PATH")
    target = cache / f"{_BUILT}{_fingerprint(go)}"
    if not target.is_dir():
        with _alone(cache):
            if not target.is_dir():  # else another worker was faster
                _build(go, target)
    return target


def begin(cache: Path) -> subprocess.Popen[bytes]:
    """Start to build, for `build` to find it done; what is wrong is said there. Ends when terminated."""
    program = ["nice", "-n", "19", sys.executable, "-m", "tests.interop.golang", cache]
    return spawn(program, cwd=SOURCE.parents[2], log=cache / "log")


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(go: str, target: Path) -> None:
    cache = target.parent
    # `go list` downloads what the programs need, and nothing else can make it fail.
    listed = _go(go, "list", "-deps", *_PACKAGES, timeout=_DOWNLOAD_SECONDS)
    if listed.returncode:
        raise GoMissingError(f"Go cannot get its modules: {listed.stderr.strip()[-600:]}")
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        built = Path(folder) / "built"
        built.mkdir()
        # Where nothing is cached, Go's own library is compiled, too: not optimised, it takes half as long.
        quick = ("-gcflags=all=-N -l", "-ldflags=-s -w")
        done = _go(go, "build", *quick, "-o", f"{built}/", *_PACKAGES, timeout=_BUILD_SECONDS)
        assert not done.returncode, f"tests/interop/go does not build:\n{done.stderr}"
        for old in cache.glob(f"{_BUILT}*"):  # from older sources
            shutil.rmtree(old, ignore_errors=True)
        built.rename(target)


def _go(go: str, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    # What go.sum does not vouch for is not built, and go.mod is not rewritten.
    environment = {**os.environ, "GOFLAGS": "-mod=readonly -buildvcs=false", "CGO_ENABLED": "0"}
    try:
        return subprocess.run(
            [go, *arguments],
            cwd=SOURCE,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as error:
        raise GoMissingError(f"`go {arguments[0]}` took more than {timeout:g} s") from error


def _fingerprint(go: str) -> str:
    """Name what the programs depend on: Go itself and every source, go.sum among them."""
    digest = hashlib.sha256(_go(go, "version", timeout=30).stdout.encode())
    for path in sorted(SOURCE.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(SOURCE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:20]


def _main() -> None:
    # Leaves by an exception, so that Go is ended and the half of what was built is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    build(Path(sys.argv[1]))


if __name__ == "__main__":
    _main()
