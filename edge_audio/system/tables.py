"""Whether the tables of a .tflite file hold together, before LiteRT reads them.

LiteRT checks that every table lies inside the file and that operators name tensors that are
there. It ends the whole process when there are no subgraphs, or when a signature names a subgraph
or a tensor that is not there. Here such a file is an error in one line. A file that passes may
still be more than LiteRT can take: only its hash, checked against a manifest that you trust, says
that it is what somebody made and ran.

Field numbers are those of LiteRT's schema.fbs (version 3).
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

IDENTIFIER = b"TFL3"
#: of what a signature takes or gives; a graph that says more was damaged, or made to do harm
MOST_DIMENSIONS, MOST_ELEMENTS = 8, 1 << 28
#: numbers to read of a file; tables that point to each other could keep a reader busy for ever
MOST_NUMBERS = 1 << 20

_OPERATOR_CODES, _SUBGRAPHS, _BUFFERS, _SIGNATURES = 1, 2, 4, 7  # of the model
_TENSORS = 0  # of a subgraph
_SHAPE = 0  # of a tensor
_TAKES, _GIVES, _SUBGRAPH = 0, 1, 4  # of a signature
_TENSOR = 1  # of an entry of _TAKES and _GIVES


def check(path: Path) -> None:
    """ValueError says what of the file cannot be; OSError if it cannot be read."""
    if path.stat().st_size < 8:
        raise ValueError("it is too short")
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[4:8] != IDENTIFIER:
            raise ValueError("it does not say that it is one")
        try:
            _check_model(File(data, MOST_NUMBERS).root())
        except struct.error:
            raise ValueError("a table points outside of it") from None


class File:
    """The bytes of a flatbuffer, of which `most` numbers are read; struct.error where a read leaves
    them.
    """

    def __init__(self, data: mmap.mmap | memoryview, most: int):
        self._data, self._left = data, most

    def root(self) -> Table:
        """The table that leads to all others."""
        return Table(self, self.follow(0))

    def number(self, kind: str, place: int) -> int:
        """A number of one of struct's kinds."""
        return self.numbers(kind, place, 1)[0]

    def numbers(self, kind: str, place: int, count: int) -> tuple[int, ...]:
        """Several of them, one after the other."""
        if place < 0:  # struct would count it from the end
            raise struct.error
        self._left -= count
        if self._left < 0:
            raise ValueError("it has more tables than a graph can have")
        return struct.unpack_from(f"<{count}{kind}", self._data, place)

    def bytes(self, place: int, count: int) -> bytes:
        """A part of the file."""
        self.numbers("B", place + count - 1 if count else place, 1)  # the last one is inside
        return bytes(self._data[place : place + count])

    def follow(self, place: int) -> int:
        """Where the offset at a place points to."""
        return place + self.number("I", place)


class Table:
    """A table of a flatbuffer."""

    def __init__(self, file: File, start: int):
        self._file, self._start = file, start
        self._fields = start - file.number("i", start)
        self._size = file.number("H", self._fields)

    def _place(self, field: int) -> int | None:
        """Where a field stands; None if it is left out."""
        entry = 4 + 2 * field
        if entry + 2 > self._size:
            return None
        offset = self._file.number("H", self._fields + entry)
        return self._start + offset if offset else None

    def vector(self, field: int) -> tuple[int, int]:
        """Where the elements of a vector begin, and how many there are."""
        place = self._place(field)
        if place is None:
            return 0, 0
        place = self._file.follow(place)
        return place + 4, self._file.number("I", place)

    def number(self, field: int, kind: str = "i") -> int:
        """A field of one of struct's kinds, 0 where it is left out."""
        place = self._place(field)
        return 0 if place is None else self._file.number(kind, place)

    def text(self, field: int) -> bytes:
        """A string."""
        return self._file.bytes(*self.vector(field))

    def part(self, field: int) -> Table | None:
        """A table of its own; None if it is left out."""
        place = self._place(field)
        return None if place is None else Table(self._file, self._file.follow(place))

    def numbers(self, field: int) -> tuple[int, ...]:
        """A vector of 32-bit numbers."""
        return self._file.numbers("i", *self.vector(field))

    def count(self, field: int) -> int:
        """Length of a vector."""
        return self.vector(field)[1]

    def table(self, field: int, index: int) -> Table:
        """A table of a vector of them."""
        return Table(self._file, self._file.follow(self.vector(field)[0] + 4 * index))

    def tables(self, field: int) -> Iterator[Table]:
        """A vector of tables."""
        for index in range(self.count(field)):
            yield self.table(field, index)


def _check_model(model: Table) -> None:
    subgraphs = list(model.tables(_SUBGRAPHS))
    if not subgraphs or not model.count(_OPERATOR_CODES) or not model.count(_BUFFERS):
        raise ValueError("it has no subgraphs, operators or buffers")
    for signature in model.tables(_SIGNATURES):
        number = signature.number(_SUBGRAPH)
        if not 0 <= number < len(subgraphs):
            raise ValueError(f"a signature is subgraph {number} of {len(subgraphs)}")
        for field in (_TAKES, _GIVES):
            for entry in signature.tables(field):
                _check_tensor(subgraphs[number], entry.number(_TENSOR))


def _check_tensor(subgraph: Table, number: int) -> None:
    if not 0 <= number < subgraph.count(_TENSORS):
        raise ValueError(f"a signature names tensor {number} of {subgraph.count(_TENSORS)}")
    shape = subgraph.table(_TENSORS, number).numbers(_SHAPE)
    if (
        min(shape, default=0) < 0
        or len(shape) > MOST_DIMENSIONS
        or math.prod(shape) > MOST_ELEMENTS
    ):
        raise ValueError(f"a signature's tensor has the shape {list(shape[:MOST_DIMENSIONS])}")
