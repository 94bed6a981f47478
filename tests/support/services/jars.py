"""Kafka's jars, copied once from the repository that Maven is configured with.

    python -m tests.support.services.jars CACHE

fetches them there. A run of the tests starts that at its beginning: a download is mostly waiting.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support._processes import spawn

from .missing import ServiceMissingError, find_program

__all__ = ["begin_jars", "kafka_jars"]

_ROOT = Path(__file__).parents[3]
_SOURCE = _ROOT / "tools" / "kafka"
_FETCHED = "jars-"
# A hundred megabytes, from nothing.
_DOWNLOAD_SECONDS = 420


def kafka_jars(cache: Path) -> Path:
    """Return the folder with the jars, fetched if they are not in `cache` yet.

    Raises:
        ServiceMissingError: There is no Java or no Maven, or Maven cannot get them.
    """
    find_program("java", "openjdk-17-jre-headless")
    pom = _SOURCE / "pom.xml"
    target = cache / f"{_FETCHED}{hashlib.sha256(pom.read_bytes()).hexdigest()[:20]}"
    if not target.is_dir():
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.is_dir():  # else another worker was faster
                _fetch(find_program("mvn", "maven"), pom, target)
    return target


def begin_jars(cache: Path) -> subprocess.Popen[bytes]:
    """Start to fetch, for `kafka_jars` to find it done; what is wrong is said there. Ends when terminated."""
    program = ["nice", "-n", "19", sys.executable, "-m", "tests.support.services.jars", cache]
    return spawn(program, cwd=_ROOT, log=cache / "log")


def _fetch(maven: str, pom: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        folder = Path(name)
        jars = folder / "jars"
        shutil.copy(pom, folder)
        command = [
            maven,
            "--batch-mode",
            "--quiet",
            "dependency:copy-dependencies",
            f"-DoutputDirectory={jars}",
        ]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=_DOWNLOAD_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise ServiceMissingError(f"Maven took more than {_DOWNLOAD_SECONDS} s") from error
        if done.returncode or not jars.is_dir():
            raise ServiceMissingError(f"Maven cannot get Kafka's jars: {done.stdout.strip()[-600:]}")
        for old in target.parent.glob(f"{_FETCHED}*"):  # of another version
            shutil.rmtree(old, ignore_errors=True)
        jars.rename(target)


def _main() -> None:
    # Leaves by an exception, so that Maven is ended and the half of what was fetched is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    kafka_jars(Path(sys.argv[1]))


if __name__ == "__main__":
    _main()
