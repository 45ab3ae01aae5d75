"""Suggestions on the deployed stack: from its own log and its own ruleset, and silent where there is too little."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from leadscore.adapters.rulesets import read_ruleset
from leadscore_cli import import_command, main, suggest_command
from leadscore_cli.sample_company import SampleCompany, sample_ruleset
from leadscore_cli.target import choose_target
from tests.e2e.deployed import Stack, eventually
from tests.e2e.test_main_road import queue_is_empty

# Old enough that all labels are known, young enough that the log holds the first events.
UNTIL = datetime.now(UTC) - timedelta(days=32)  # noqa: TID251
COMPANY = SampleCompany(40, UNTIL, seed=47, base_rate=0.4)


@pytest.fixture(autouse=True)
def this_stack(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands find the stack of the tests."""
    target = choose_target("local", stack.stage.directory)
    for module in (suggest_command, import_command):
        monkeypatch.setattr(module, "target_of_project", lambda _stage: target)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(main.app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_stages_own_log_and_ruleset_are_learned_from_and_little_suggests_nothing(
    stack: Stack, tmp_path: Path
) -> None:
    events, draft, new = (tmp_path / name for name in ("events.ndjson", "draft.json", "new.json"))
    events.write_text("".join(json.dumps(event) + "\n" for event in COMPANY.events()))
    draft.write_text(json.dumps(sample_ruleset()))
    run("import", str(events), "--progress", str(tmp_path / "progress"), "--events-per-second", "1000")
    eventually(lambda: queue_is_empty(stack), 120)

    of_stage: Any = json.loads(run("criteria", "suggest", "--json", "--tiers", "-o", str(new)))
    of_draft: Any = json.loads(run("criteria", "suggest", str(draft), "--json"))
    of_file: Any = json.loads(run("criteria", "suggest", str(draft), "--events", str(events), "--json"))
    half_lives: Any = json.loads(run("criteria", "suggest", str(draft), "--half-lives", "--json"))

    assert of_stage["ruleset"] == read_ruleset(stack.clients.ssm, stack.names.ruleset_parameter).version
    assert (of_stage["shown"], of_stage["reason"], of_stage["points"]) == (False, "too few conversions", {})
    assert not new.exists()
    assert of_file["sample"]["leads"] == 40
    # Other tests leave leads in the log, too.
    assert of_draft["sample"]["leads"] >= 40
    assert of_draft["sample"]["events"] >= of_file["sample"]["events"]
    assert half_lives["half_lives"]["reason"] == "too few conversions"
    assert half_lives["half_lives"]["conversions"] > 0
