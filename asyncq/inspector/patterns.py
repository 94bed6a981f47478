"""Names with `*` in them, as people write them."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache


@lru_cache(maxsize=256)
def like(pattern: str) -> Callable[[str], bool]:
    """Whether a text is this one, of which each `*` stands for any text.

    It takes time in proportion to the text, whatever the pattern: it comes from somebody's browser.
    """
    if "*" not in pattern:
        return pattern.__eq__
    # Of the signs of fnmatch people mean none but this one.
    literal = re.sub(r"([\[?])", r"[\1]", pattern)
    matches = re.compile(translate(literal)).match
    return lambda text: matches(text) is not None
