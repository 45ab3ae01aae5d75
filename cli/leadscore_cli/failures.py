"""The one exception whose text is written for the person at the terminal; `main` prints it and exits with 1."""

from __future__ import annotations

from pathlib import Path


class CommandError(Exception):
    """What was asked for cannot be done: `str()` says why in a sentence, `detail` holds the log lines that show it."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


def last_lines(path: Path, count: int = 40) -> str:
    """Return the last `count` lines of a text file, or nothing when there is no such file."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-count:])
