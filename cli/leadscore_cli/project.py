"""Where this checkout keeps what the commands work with."""

from __future__ import annotations

from pathlib import Path

from leadscore_cli.failures import CommandError


def find_project() -> Path:
    """Return the root of the checkout that this command was installed from; CommandError when there is none."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "cdk.json").is_file():
        raise CommandError(f"{root} is no Leadscore checkout: this command needs the CDK app's sources")
    return root


def local_state(project: Path) -> Path:
    """Return the directory that holds all there is of a checkout's local stage."""
    return project / ".local"
