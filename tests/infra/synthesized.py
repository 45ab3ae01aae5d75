"""What the synth makes of each stage, read back from the files that would be deployed.

References are shown by the logical id without CloudFormation's hash: `Table.Arn`, `EventsQueue`, also across stacks.
"""

from __future__ import annotations

import atexit
import functools
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STACKS = ("stateful", "stateless")
Resource = dict[str, Any]
_HASH = re.compile(r"[0-9A-F]{8}$")


def assemblies() -> Path:
    """The folder with one cloud assembly a stage, made once in a session; see `synthesize_stages`."""
    folder, done = _synthesize()
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@functools.cache
def _synthesize() -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = Path(tempfile.mkdtemp(prefix="leadscore-assemblies-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = [sys.executable, "-m", "tests.infra.synthesize_stages", str(folder)]
    return folder, subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@dataclass(frozen=True, slots=True)
class Assembly:
    """The two templates of one stage; its stacks are called `stateful` and `stateless` here."""

    folder: Path
    stage: str

    def template(self, stack: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.file(stack).read_text(encoding="utf-8"))
        return loaded

    def file(self, stack: str, kind: str = "template") -> Path:
        return self.folder / f"leadscore-{self.stage}-{stack}.{kind}.json"

    def resources(self, kind: str) -> dict[str, Resource]:
        """Resources of a type such as `AWS::SQS::Queue` in both stacks, by shown name."""
        return {
            shown(logical_id): resource
            for stack in STACKS
            for logical_id, resource in self.template(stack)["Resources"].items()
            if resource["Type"] == kind
        }

    def properties(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: resource["Properties"] for name, resource in self.resources(kind).items()}

    def show(self, value: Any) -> str:
        """A template's value as one readable string."""
        match value:
            case {"Ref": str(name)}:
                return shown(name)
            case {"Fn::GetAtt": [str(name), str(attribute)]}:
                return f"{shown(name)}.{attribute}"
            case {"Fn::Join": [str(separator), list(parts)]}:
                return separator.join(self.show(part) for part in parts)
            case {"Fn::ImportValue": str(export)}:
                return self.show(self._exports()[export])
            case dict():
                raise AssertionError(f"no rule to show {value!r}")
            case _:
                return str(value)

    def _exports(self) -> dict[str, Any]:
        outputs = self.template("stateful")["Outputs"].values()
        return {each["Export"]["Name"]: each["Value"] for each in outputs if "Export" in each}


def assembly_of(stage: str) -> Assembly:
    return Assembly(assemblies() / stage, stage)


def shown(logical_id: str) -> str:
    return _HASH.sub("", logical_id)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
