"""All that is held about one person, as lines of JSON in a file that only its owner may read, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from leadscore_cli.failures import CommandError


def write_lines(lines: Iterable[str], path: Path) -> int:
    """Write lines to a file, each with its line end, and return how many; what fails half-way leaves no file.

    Raises CommandError where there is a file already, or none can be made.
    """
    draft = path.with_name(f"{path.name}.part")
    if path.exists():
        raise CommandError(f"{path} is there already: an export does not replace a file")
    try:
        draft.touch(mode=0o600)
        count = 0
        with draft.open("w", encoding="utf-8") as file:
            for count, line in enumerate(lines, start=1):  # noqa: B007
                file.write(f"{line}\n")
        draft.replace(path)
    except OSError as problem:
        raise CommandError(f"the export cannot be written: {problem}") from problem
    finally:
        draft.unlink(missing_ok=True)
    return count
