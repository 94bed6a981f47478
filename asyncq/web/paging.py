"""A page of a list that is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

PAGE_SIZE: Final = 50


@dataclass(frozen=True, slots=True)
class Paged(Generic[T]):
    """Some of a list, and where they are in it."""

    items: Sequence[T]
    number: int  #: of this page, from 1
    pages: int
    total: int


def paged(items: Sequence[T], number: int, size: int = PAGE_SIZE) -> Paged[T]:
    """A page; the last one for a number beyond it."""
    pages = max(1, -(-len(items) // size))
    number = min(number, pages)
    return Paged(items[(number - 1) * size : number * size], number, pages, len(items))
