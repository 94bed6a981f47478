"""`python -m asyncq` and the command `asyncq`."""

from __future__ import annotations

from asyncq.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main(prog_name="asyncq")
