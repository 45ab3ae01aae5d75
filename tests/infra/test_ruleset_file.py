"""A ruleset file that the functions would refuse stops the synth with words, not with a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.ruleset import RulesetFileError, load_ruleset
from tests.infra.synthesized import ROOT

BAD = """\
tiers: [{name: hot, from: 50}, {name: cold}]
criteria:
  - {id: pricing, event: {type: [{prefx: page}]}, points: 15}
  - {id: trial, event: {event: [Trial Started]}, points: 1.5}
"""


def test_every_problem_is_named_with_path_and_value(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD, encoding="utf-8")

    with pytest.raises(RulesetFileError) as caught:
        load_ruleset(path)

    first, *problems = str(caught.value).splitlines()
    assert first == f"{path}: not a ruleset"
    assert any("criteria[0].event.type[0]" in line and "prefx" in line for line in problems)
    assert any("criteria[1].points" in line and "1.5" in line for line in problems)


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), (b"\xff\xfe", "not UTF-8")])
def test_unreadable_file_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "ruleset.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(RulesetFileError, match=words) as caught:
        load_ruleset(path)

    assert str(path) in str(caught.value)


def test_ruleset_that_no_parameter_can_hold_is_refused(tmp_path: Path) -> None:
    pages = [{"type": ["page"], "name": [f"{n:0100}"]} for n in range(80)]
    criteria = [{"id": f"page-{n}", "group": "fit", "event": page, "points": 1} for n, page in enumerate(pages)]
    path = tmp_path / "ruleset.json"
    path.write_text(
        json.dumps({"tiers": [{"name": "hot", "from": 50}, {"name": "cold"}], "criteria": criteria}), encoding="utf-8"
    )

    with pytest.raises(
        RulesetFileError, match=r"a deployment writes one parameter of 8,192: .*leadscore criteria push"
    ):
        load_ruleset(path)


def test_synth_ends_with_the_problem_and_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(BAD, encoding="utf-8")
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
        "CDK_CONTEXT_JSON": json.dumps({"stage": "dev", "ruleset": str(path)}),
        "CDK_OUTDIR": str(tmp_path / "out"),
    }

    done = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert done.stderr.startswith(f"leadscore: {path}: not a ruleset\n")
    assert "criteria[1].points" in done.stderr
    assert "Traceback" not in done.stderr
