"""Runs the CDK command line that package.json pins; no other version, and nothing that is installed globally."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leadscore_cli.failures import CommandError, last_lines


@dataclass(frozen=True, slots=True)
class CdkCommand:
    """The pinned `cdk` of a project.

    What a command prints goes to `cdk-<command>.log` in the folder `logs`; None leaves it on the terminal.
    """

    project: Path
    environment: Mapping[str, str]
    logs: Path | None

    def run(self, *arguments: str, cwd: Path | None = None) -> None:
        """Run `cdk ARGUMENTS` in the project (or `cwd`) to its end; CommandError when it fails."""
        command = [str(self.project / "node_modules" / ".bin" / "cdk"), *arguments, "--no-notices"]
        log = self.logs / f"cdk-{arguments[0]}.log" if self.logs else None
        if self._status(command, cwd or self.project, log) != 0:
            raise CommandError(f"cdk {arguments[0]} failed", last_lines(log) if log else "")

    def _status(self, command: list[str], cwd: Path, log_file: Path | None) -> int:
        if log_file is None:
            return subprocess.run(command, cwd=cwd, env=self.environment, check=False).returncode
        with log_file.open("wb") as log:
            return subprocess.run(
                command,
                cwd=cwd,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode


def ensure_cdk(project: Path) -> None:
    """Install the pinned CDK command line when it is missing or older than the lock file."""
    installed = project / "node_modules" / ".package-lock.json"
    if installed.is_file() and installed.stat().st_mtime >= (project / "package-lock.json").stat().st_mtime:
        return
    environment = {**os.environ, "PATH": tool_path(project)}
    command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        raise CommandError("npm is missing: `uv sync` installs it together with node") from missing
    if done.returncode != 0:
        raise CommandError("npm ci failed", (done.stdout + done.stderr).strip())
    installed.touch()


def tool_path(project: Path) -> str:
    """Return the search path on which this environment's Python and node come before any other."""
    own = [str(Path(sys.executable).parent), str(project / "node_modules" / ".bin")]
    return os.pathsep.join([*own, os.environ.get("PATH", os.defpath)])
