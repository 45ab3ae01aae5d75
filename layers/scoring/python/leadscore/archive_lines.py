"""An archive file as numbered lines, from anywhere in it, in bounded memory: plain or gzip, as its bytes say.

A place in a file counts the bytes of its text, inflated; in gzip what lies before it is inflated again and passed
over, which takes a hundredth of the time that its events took.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# An event of the largest size, and as much again of what the normaliser does not keep, many times over.
MAX_LINE_BYTES = 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_BLOCK_BYTES = 256 * 1024


class DamagedArchiveError(ValueError):
    """The bytes of a file end amid gzip or are none; the lines before that were read."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far in a file one has come: bytes of text and whole lines."""

    offset: int = 0
    line: int = 0


class Line(NamedTuple):
    """One line without its end, None where it is longer than MAX_LINE_BYTES, and the place behind it."""

    text: bytes | None
    end: Place


class Source(Protocol):
    """A file of an archive."""

    @property
    def name(self) -> str:
        """What people know it by."""

    def open(self, offset: int) -> IO[bytes]:
        """Return its bytes from that one on; the caller closes it."""


def read_lines(source: Source, start: Place | None = None) -> Iterator[Line]:
    """Yield the lines behind a place, blank ones too; raises DamagedArchiveError, and what the source raises."""
    place = start or Place()
    with closing(source.open(0)) as raw:
        head = raw.read(len(_GZIP_MAGIC))
        if head == _GZIP_MAGIC:
            with gzip.GzipFile(fileobj=cast(IO[bytes], _Rejoined(head, raw))) as inflated:
                try:
                    _pass_over(inflated, place.offset)
                    yield from _split(inflated, place)
                except (EOFError, gzip.BadGzipFile, zlib.error):
                    raise DamagedArchiveError("the gzip is damaged or not whole") from None
            return
        if not place.offset:
            yield from _split(io.BufferedReader(_Rejoined(head, raw), _BLOCK_BYTES), place)
            return
    with closing(source.open(place.offset)) as raw:
        yield from _split(io.BufferedReader(_Rejoined(b"", raw), _BLOCK_BYTES), place)


class _Rejoined(io.RawIOBase):
    """A stream of which the first bytes were read already."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._rest.read(size)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        into = memoryview(buffer)
        block = self.read(len(into))
        into[: len(block)] = block
        return len(block)


def _pass_over(inflated: gzip.GzipFile, left: int) -> None:
    while left and (passed := len(inflated.read(min(left, _BLOCK_BYTES)))):
        left -= passed


def _split(stream: io.BufferedIOBase, place: Place) -> Iterator[Line]:
    offset, number = place.offset, place.line
    while text := stream.readline(MAX_LINE_BYTES + 1):
        offset, number = offset + len(text), number + 1
        is_whole = len(text) <= MAX_LINE_BYTES
        ended = text.endswith(b"\n")
        while not (is_whole or ended):
            more = stream.readline(MAX_LINE_BYTES)
            offset += len(more)
            ended = not more or more.endswith(b"\n")
        yield Line(text.rstrip(b"\r\n") if is_whole else None, Place(offset, number))
