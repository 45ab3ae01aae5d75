"""Rulesets as people give them to a command: parsed, or refused with every problem told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leadscore import InvalidRuleset, Ruleset, parse_ruleset
from leadscore.stored_ruleset import split_document
from leadscore_cli.failures import CommandError

RulesetFile = Annotated[typer.FileText, typer.Argument(encoding="utf-8", help="YAML or JSON; - for standard input.")]


def read_ruleset_text(text: str, name: str) -> Ruleset:
    """Return the ruleset that a file's text holds; CommandError with each problem's path and value."""
    try:
        return parse_ruleset(text)
    except InvalidRuleset as invalid:
        lines = (f"{p.path or '(document)'}: {p.message} (value: {p.value!r})" for p in invalid.errors)
        raise CommandError(f"{name} cannot be published: {len(invalid.errors)} problem(s)", "\n".join(lines)) from None


def read_publishable_text(text: str, name: str) -> Ruleset:
    """Return the ruleset that a file's text holds; CommandError also where it is larger than what can be stored."""
    ruleset = read_ruleset_text(text, name)
    try:
        split_document(ruleset.document)
    except ValueError as too_large:
        raise CommandError(f"{name} cannot be published: {too_large}") from too_large
    return ruleset


def read_ruleset_path(path: str) -> Ruleset:
    """Return the ruleset of a file; CommandError where it cannot be read, or is none."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise CommandError(f"{path} cannot be read: {problem}") from problem
    return read_ruleset_text(text, path)
