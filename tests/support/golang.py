"""Building Go programs, once for all runs until their sources change.

    python -m tests.support.golang SOURCE CACHE PACKAGE...

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
from dataclasses import dataclass
from pathlib import Path

from ._processes import spawn

__all__ = ["GoMissingError", "GoModule"]

_ROOT = Path(__file__).parents[2]
_BUILT = "built-"
# A cold build compiles Go's own library, too; on two busy cores that is minutes.
_BUILD_SECONDS = 600
_DOWNLOAD_SECONDS = 180


class GoMissingError(Exception):
    """There is no Go here, it is too old, or it cannot get what it needs."""


@dataclass(frozen=True)
class GoModule:
    """A Go module of ours."""

    source: Path
    """Where its go.mod is."""
    packages: tuple[str, ...]
    """The programs in it, as in `./drive`."""

    def build(self, cache: Path) -> Path:
        """Return the folder with the programs, built if they are not in `cache` yet.

        Raises:
            GoMissingError: Nothing can be built here. Not raised when Go refuses our own code.
        """
        go = shutil.which("go")
        if go is None:
            raise GoMissingError("there is no `go` on PATH")
        target = cache / f"{_BUILT}{self._fingerprint(go)}"
        if not target.is_dir():
            with _alone(cache):
                if not target.is_dir():  # else another worker was faster
                    self._build(go, target)
        return target

    def begin(self, cache: Path) -> subprocess.Popen[bytes]:
        """Start to build, for `build` to find it done and say what is wrong. Ends when terminated."""
        program = ["nice", "-n", "19", sys.executable, "-m", "tests.support.golang"]
        return spawn([*program, self.source, cache, *self.packages], cwd=_ROOT, log=cache / "log")

    def _build(self, go: str, target: Path) -> None:
        cache = target.parent
        # `go list` downloads what the programs need, and nothing else can make it fail.
        listed = self._go(go, "list", "-deps", *self.packages, timeout=_DOWNLOAD_SECONDS)
        if listed.returncode:
            raise GoMissingError(f"Go cannot get its modules: {listed.stderr.strip()[-600:]}")
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            built = Path(folder) / "built"
            built.mkdir()
            # Where nothing is cached, Go's own library is compiled: not optimised, it takes half as long.
            quick = ("-gcflags=all=-N -l", "-ldflags=-s -w")
            done = self._go(go, "build", *quick, "-o", f"{built}/", *self.packages, timeout=_BUILD_SECONDS)
            assert not done.returncode, f"{self.source} does not build:\n{done.stderr}"
            for old in cache.glob(f"{_BUILT}*"):  # from older sources
                shutil.rmtree(old, ignore_errors=True)
            built.rename(target)

    def _go(self, go: str, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
        # What go.sum does not vouch for is not built, and go.mod is not rewritten.
        environment = {**os.environ, "GOFLAGS": "-mod=readonly -buildvcs=false", "CGO_ENABLED": "0"}
        try:
            return subprocess.run(
                [go, *arguments],
                cwd=self.source,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise GoMissingError(f"`go {arguments[0]}` took more than {timeout:g} s") from error

    def _fingerprint(self, go: str) -> str:
        """Name what the programs depend on: Go itself and every source, go.sum among them."""
        digest = hashlib.sha256(self._go(go, "version", timeout=30).stdout.encode())
        for path in sorted(self.source.rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(self.source)}\0".encode() + path.read_bytes())
        return digest.hexdigest()[:20]


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _main() -> None:
    # Leaves by an exception, so that Go is ended and the half of what was built is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    GoModule(Path(sys.argv[1]), tuple(sys.argv[3:])).build(Path(sys.argv[2]))


if __name__ == "__main__":
    _main()
