"""The tables that the command prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Cell = float | None


def write_table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[Cell]], digits: int = 2) -> str:
    """Return a Markdown table; a missing figure is a dash."""
    lines = [f"### {title}", "", f"| | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    for name, cells in rows.items():
        shown = ["-" if cell is None else f"{cell:,.{digits}f}" for cell in cells]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join([*lines, ""])
