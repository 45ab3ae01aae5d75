"""The two streams of the terminal, and how a failed command ends."""

from __future__ import annotations

from typing import Any, Final

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from leadscore_cli.failures import CommandError

out: Final = Console(highlight=False)
err: Final = Console(stderr=True, highlight=False)


class CommandGroup(TyperGroup):
    """Commands whose `CommandError` is told in words, with the log lines that show it, and ends in exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except CommandError as problem:
            if problem.detail:
                err.print(Text(problem.detail, style="dim"))
            err.print(Text.assemble(("leadscore: ", "bold red"), str(problem)))
            raise typer.Exit(1) from problem


def report(step: str) -> None:
    """Show on the error stream what a command is doing now."""
    err.print(Text(f"· {step}", style="dim"))
