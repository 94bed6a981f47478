"""What an error is at its heart: the same for all tasks that failed for the same reason.

Pure: two errors of a type of task have one cause when they are of one class and their texts differ in what
names a case only: numbers, ids, addresses, instants.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 200
"""Characters of a message that tell causes apart."""

_CLASS: Final = re.compile(r"([A-Za-z_][\w.]{0,100}?)(?:: |\Z)")
_HEX: Final = r"[0-9a-fA-F]"
# The order matters: what is found first is not looked at again.
_CASES: Final = (
    # Not from the middle of a word: without that, each sign of a long one would be tried as a beginning.
    (re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]+"), "<mail>"),
    (re.compile(rf"{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}"), "<id>"),
    (re.compile(rf"0x{_HEX}+"), "<hex>"),
    (re.compile(rf"\b(?=[a-fA-F]*\d)(?=\d*[a-fA-F]){_HEX}{{8,}}\b"), "<hex>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\d+(?:[.,_]\d+)*"), "#"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why tasks of a type failed."""

    type: str
    error: str  #: the class of the error; empty where its text does not say one
    message: str  #: what it said, with `#` for numbers and so on

    @property
    def id(self) -> str:
        """A short name: the same for the same cause, anywhere and always."""
        parts = f"{self.type}\0{self.error}\0{self.message}".encode("utf-8", "surrogatepass")
        return hashlib.sha1(parts, usedforsecurity=False).hexdigest()[:12]


def cause_of(type_name: str, error: str) -> Cause:
    """Return why a task failed, from the text that is stored of its last error."""
    # Not beyond what counts, so that a long text costs no more than a short one.
    text = error[: 4 * LONGEST].strip()
    found = _CLASS.match(text)
    name = found[1] if found and _is_class(found[1]) else ""
    message = text[len(name) :].removeprefix(":") if name else text
    for pattern, instead in _CASES:
        message = pattern.sub(instead, message)
    return Cause(type_name, name, message.strip()[:LONGEST])


def _is_class(name: str) -> bool:
    """Whether a word at the beginning of a text is the class of an error, and not just a word."""
    last = name.rpartition(".")[2]
    return last[:1].isupper() and name.replace("_", "").replace(".", "").isalnum()
