"""The mapping file on its way into Parameter Store: what `score` would refuse never leaves the synth."""

from __future__ import annotations

from pathlib import Path

from leadscore.mappings import InvalidMappings, parse_mappings

# What an advanced parameter holds.
PARAMETER_BYTES = 8192


class MappingsFileError(ValueError):
    """The mapping file cannot be read, or not every line of it makes sense."""


def load_mappings(path: Path) -> str:
    """The canonical JSON of a mapping file in YAML or JSON.

    Raises `MappingsFileError` whose text names the file and, one a line, the path and reason of every problem.
    """
    try:
        text = parse_mappings(path.read_text(encoding="utf-8")).document
    except OSError as error:
        raise MappingsFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MappingsFileError(f"{path}: not UTF-8 text") from error
    except InvalidMappings as error:
        problems = (f"  {each.path or '(document)'}: {each.message} (found {each.value!r})" for each in error.errors)
        raise MappingsFileError("\n".join([f"{path}: not a list of mappings", *problems])) from error
    if len(text.encode()) > PARAMETER_BYTES:
        raise MappingsFileError(f"{path}: {len(text.encode())} bytes as JSON, and a parameter holds {PARAMETER_BYTES}")
    return text
