"""What is to be imported, as the caller named it: files, folders, standard input, or objects in S3.

Each source knows its size and a fingerprint, so that progress is shown, and an interrupted import goes on in the file
that it stopped in and in no other that has taken its name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from leadscore.adapters.objects import S3Archive
from leadscore.usecases.importing import UnreadableSourceError
from leadscore_cli.failures import CommandError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

STDIN = "-"
_S3_SCHEME = "s3://"
type Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class FoundSource:
    """One file of an archive: `size` in bytes as stored, None where it is not known beforehand.

    Without a `fingerprint` nobody can go on in it.
    """

    name: str
    size: int | None
    fingerprint: str | None
    opened: Callable[[int], IO[bytes]]

    def watched(self, advance: Advance) -> WatchedSource:
        """Return it as what tells of every byte that was read."""
        return WatchedSource(self, advance)


@dataclass(frozen=True, slots=True)
class WatchedSource:
    """A source that tells of what is read of it."""

    found: FoundSource
    advance: Advance

    @property
    def name(self) -> str:
        """What people know it by."""
        return self.found.name

    def open(self, offset: int) -> IO[bytes]:
        """Return its bytes from that one on; raises UnreadableSourceError."""
        return cast(IO[bytes], _Watched(self.found.opened(offset), self.advance))


class _Watched:
    """The part of a stream that is used of it."""

    def __init__(self, stream: IO[bytes], advance: Advance) -> None:
        self._stream = stream
        self._advance = advance

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        self._advance(len(block))
        return block

    def close(self) -> None:
        self._stream.close()


@dataclass(frozen=True, slots=True)
class Prefix:
    """A part of a bucket, as `s3://bucket/prefix` names it."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, text: str) -> Prefix | None:
        """Return what the text names, None where it is no such name; raises CommandError where it has no bucket."""
        if not text.startswith(_S3_SCHEME):
            return None
        bucket, _, prefix = text.removeprefix(_S3_SCHEME).partition("/")
        if not bucket:
            raise CommandError(f"{text!r} names no bucket: s3://bucket/prefix")
        return cls(bucket, prefix)

    def __str__(self) -> str:
        return f"{_S3_SCHEME}{self.bucket}/{self.prefix}"


def find_files(paths: Iterable[str]) -> Iterator[FoundSource]:
    """Yield the files that paths name, of folders all below them in order; raises CommandError for one that is not."""
    for text in paths:
        path = Path(text)
        if text == STDIN:
            yield FoundSource(STDIN, None, None, _open_stdin)
        elif path.is_dir():
            files = (each for each in sorted(path.rglob("*")) if each.is_file() and not _is_hidden(each, path))
            yield from map(_file, files)
        elif path.exists():
            yield _file(path)
        else:
            raise CommandError(f"{text} is not there")


def find_objects(client: S3Client, where: Prefix) -> Iterator[FoundSource]:
    """Yield the objects under a prefix; raises CommandError where it cannot be listed."""
    archive = S3Archive(client, where.bucket)
    try:
        for listed in archive.list(where.prefix):
            found = archive.find(listed["Key"])
            yield FoundSource(
                f"{_S3_SCHEME}{where.bucket}/{found.name}", listed["Size"], f"etag {listed['ETag']}", found.open
            )
    except UnreadableSourceError as problem:
        raise CommandError(str(problem)) from problem


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _file(path: Path) -> FoundSource:
    known: Any = path.stat()
    is_plain = path.is_file()
    return FoundSource(
        str(path),
        known.st_size if is_plain else None,
        f"size {known.st_size} written {known.st_mtime_ns}" if is_plain else None,
        lambda offset: _open_file(path, offset),
    )


def _open_file(path: Path, offset: int) -> IO[bytes]:
    try:
        stream = path.open("rb")
        if offset:
            stream.seek(offset)
    except OSError as problem:
        raise UnreadableSourceError(problem.strerror or "it cannot be read") from problem
    return stream


def _open_stdin(_offset: int) -> IO[bytes]:
    return sys.stdin.buffer
