"""How far an import has come, in a file: what was interrupted goes on there when the same command runs again.

A line of JSON is appended for each step, and of each source the last one holds. Invariant: the file never says that
more is in the queue than is; what a crash cut off in its last line is done again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from leadscore.archive_lines import Place
from leadscore_cli.failures import CommandError
from leadscore_cli.import_sources import FoundSource

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Reached:
    """How far one source was imported, which one that was, and whether that was all of it."""

    fingerprint: str
    place: Place = field(default_factory=Place)
    done: bool = False


@dataclass(frozen=True, slots=True)
class ProgressFile:
    """What is known of the sources of imports into one queue; whoever opened it closes it."""

    file: IO[str]
    reached: dict[str, Reached]
    anew: bool

    @classmethod
    def open(cls, path: Path, queue: str, *, anew: bool = False) -> Self:
        """Return what the file says, nothing where there is none or it is of another queue.

        With `anew` what it says of a source does not count. Raises CommandError where it is another kind of file.
        """
        header = {"progress": "leadscore import", "version": _VERSION, "queue": queue}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            reached = _read(text, header)
            draft = path.with_name(f"{path.name}.new")
            draft.write_text(_lines([header, *map(_written, reached.items())]), encoding="utf-8")
            draft.replace(path)
            return cls(path.open("a", encoding="utf-8", buffering=1), reached, anew)
        except OSError as problem:
            raise CommandError(f"the progress cannot be kept in {path}: {problem.strerror}") from problem
        except (ValueError, KeyError, TypeError) as problem:
            raise CommandError(f"{path} is no progress of an import: name another by --progress") from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def of(self, source: FoundSource) -> Reached:
        """Return how far that very source was imported."""
        known = self.reached.get(_name(source))
        if self.anew or known is None or source.fingerprint is None or known.fingerprint != source.fingerprint:
            return Reached(source.fingerprint or "")
        return known

    def note(self, source: FoundSource, place: Place, *, done: bool = False) -> None:
        """Write down how far the source is imported; one without a fingerprint is not noted."""
        if source.fingerprint is not None:
            self.file.write(_lines([_written((_name(source), Reached(source.fingerprint, place, done)))]))


def _name(source: FoundSource) -> str:
    return source.name if "://" in source.name else str(Path(source.name).resolve())


def _lines(records: Iterable[Mapping[str, object]]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def _written(one: tuple[str, Reached]) -> dict[str, object]:
    name, reached = one
    place = reached.place
    return {
        "source": name,
        "fingerprint": reached.fingerprint,
        "offset": place.offset,
        "line": place.line,
        "done": reached.done,
    }


def _read(text: str, header: Mapping[str, object]) -> dict[str, Reached]:
    lines = text.split("\n")
    # A line that was written whole ends in one; what is behind the last is not.
    records = [json.loads(line) for line in lines[:-1]]
    if not records:
        return {}
    if records[0]["progress"] != header["progress"]:
        raise ValueError("not of an import")
    if records[0] != header:
        return {}
    return {
        each["source"]: Reached(
            each["fingerprint"], Place(int(each["offset"]), int(each["line"])), each["done"] is True
        )
        for each in records[1:]
    }
