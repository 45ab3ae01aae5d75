"""What must not count, from its file into Parameter Store: what `score` would refuse never leaves the synth."""

from __future__ import annotations

from pathlib import Path

from leadscore.quarantine import InvalidQuarantine, parse_quarantine

# What an advanced parameter holds.
PARAMETER_BYTES = 8192


class QuarantineFileError(ValueError):
    """The file of what must not count cannot be read, or not every line of it makes sense."""


def load_quarantine(path: Path) -> str:
    """The canonical JSON of a file in YAML or JSON that says which events must not count.

    Raises `QuarantineFileError` whose text names the file and, one a line, the path, reason and value of every problem.
    """
    try:
        text = parse_quarantine(path.read_text(encoding="utf-8")).document
    except OSError as error:
        raise QuarantineFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise QuarantineFileError(f"{path}: not UTF-8 text") from error
    except InvalidQuarantine as error:
        problems = (f"  {each.path or '(document)'}: {each.message} (found {each.value!r})" for each in error.errors)
        raise QuarantineFileError("\n".join([f"{path}: does not say what is not to count", *problems])) from error
    if len(text.encode()) > PARAMETER_BYTES:
        raise QuarantineFileError(
            f"{path}: {len(text.encode())} bytes as JSON, and a parameter holds {PARAMETER_BYTES}"
        )
    return text
