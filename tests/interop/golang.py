"""Building the Go programs, once for all runs until their sources change."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

__all__ = ["GoMissingError", "build"]

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
    if target.is_dir():
        return target
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
        try:
            built.rename(target)
        except OSError:  # another run was faster
            assert target.is_dir()
    return target


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
