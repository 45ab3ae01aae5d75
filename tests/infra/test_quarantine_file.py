"""A file of what must not count that `score` would refuse stops the synth with words, not with a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.quarantine import QuarantineFileError, load_quarantine
from tests.infra.synthesized import ROOT, Assembly

BAD = "bots: often\ninternal: {ips: [203.0.113.7/24]}\n"


def test_every_problem_is_named_with_path_and_value(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD, encoding="utf-8")

    with pytest.raises(QuarantineFileError) as caught:
        load_quarantine(path)

    first, *problems = str(caught.value).splitlines()
    assert first == f"{path}: does not say what is not to count"
    assert any("bots: " in line and "'often'" in line for line in problems)
    assert any("internal.ips[0]: " in line and "203.0.113.7/24" in line for line in problems)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"\xff\xfe", "not UTF-8"),
        (b"user_agents: {block: [" + b"monitor, " * 1_000 + b"]}", "a parameter holds 8192"),
    ],
)
def test_a_file_that_cannot_be_taken_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "quarantine.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(QuarantineFileError, match=words) as caught:
        load_quarantine(path)

    assert str(path) in str(caught.value)


def test_the_parameter_holds_the_shipped_file(assembly: Assembly) -> None:
    value = assembly.properties("AWS::SSM::Parameter")["Quarantine"]["Value"]

    assert value == load_quarantine(ROOT / "infra" / "quarantine.yaml")
    assert json.loads(value)["bots"] is True


def test_synth_ends_with_the_problem_and_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD, encoding="utf-8")
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
        "CDK_CONTEXT_JSON": json.dumps({"stage": "dev", "quarantine": str(path)}),
        "CDK_OUTDIR": str(tmp_path / "out"),
    }

    done = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith(f"leadscore: {path}: does not say what is not to count\n")
    assert "Traceback" not in done.stderr
