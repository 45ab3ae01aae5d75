"""The ruleset file on its way into Parameter Store: what the functions would refuse never leaves the synth."""

from __future__ import annotations

from pathlib import Path

from leadscore.core.parsing import InvalidRuleset, parse_ruleset
from leadscore.stored_ruleset import PARAMETER_BYTES, storable_text


class RulesetFileError(ValueError):
    """The ruleset file cannot be read, or not every line of it makes sense."""


def load_ruleset(path: Path) -> str:
    """The canonical JSON of a ruleset file in YAML or JSON, as Parameter Store takes it.

    A template holds one parameter of it and no parts: those are written by whoever publishes, who also deletes them.
    Raises `RulesetFileError` whose text names the file and, one a line, the path, reason and value of every problem.
    """
    try:
        text = storable_text(parse_ruleset(path.read_text(encoding="utf-8")).document)
    except OSError as error:
        raise RulesetFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RulesetFileError(f"{path}: not UTF-8 text") from error
    except InvalidRuleset as error:
        problems = (f"  {each.path or '(document)'}: {each.message} (found {each.value!r})" for each in error.errors)
        raise RulesetFileError("\n".join([f"{path}: not a ruleset", *problems])) from error
    size = len(text.encode())
    if size > PARAMETER_BYTES:
        raise RulesetFileError(
            f"{path}: {size:,} bytes as JSON, and a deployment writes one parameter of {PARAMETER_BYTES:,}: deploy "
            f"with a smaller ruleset, then publish this one by `leadscore criteria push {path}`"
        )
    return text
