"""A backtest on the deployed stack: what the log says is what the file says from which it was imported."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from leadscore.adapters.rulesets import read_ruleset
from leadscore.core.instants import format_instant, from_datetime
from leadscore_cli import backtest_command, import_command, main
from leadscore_cli.sample_company import SampleCompany, sample_ruleset
from leadscore_cli.target import choose_target
from tests.e2e.deployed import Stack, eventually
from tests.e2e.test_main_road import queue_is_empty

NOW = datetime.now(UTC)  # noqa: TID251
# Old enough that all labels are known. Of the log, unlike the file, the leads of the first 90 days are left out.
OLDEST = format_instant(from_datetime(NOW - timedelta(days=309)))
COMPANY = SampleCompany(90, NOW - timedelta(days=32), seed=31, base_rate=0.4)


@pytest.fixture(autouse=True)
def this_stack(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands find the stack of the tests."""
    target = choose_target("local", stack.stage.directory)
    for module in (backtest_command, import_command):
        monkeypatch.setattr(module, "target_of_project", lambda _stage: target)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(main.app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 0, done.output
    return done.stdout


def backtest(draft: Path, *arguments: str) -> Any:
    return json.loads(run("backtest", str(draft), "--json", *arguments))


def company_events() -> list[dict[str, object]]:
    """Return the events of the leads that are as new to the log as they are to the file."""
    people = [COMPANY.events_of(lead) for lead in COMPANY.people()]
    return [event for told in people if min(str(event["timestamp"]) for event in told) > OLDEST for event in told]


def counts(document: Any, name: str) -> list[tuple[str, int, int]]:
    return [(row["tier"], row["leads"], row["conversions"]) for row in document[name]["tiers"]]


def test_the_log_says_what_the_file_says_from_which_it_was_imported(stack: Stack, tmp_path: Path) -> None:
    draft, active, events = (tmp_path / name for name in ("draft.json", "active.json", "events.ndjson"))
    draft.write_text(json.dumps(sample_ruleset()))
    active.write_text(read_ruleset(stack.clients.ssm, stack.names.ruleset_parameter).document)
    # By this one the file, too, knows what became of all until now.
    last: dict[str, object] = {"type": "track", "event": "Looked Back", "userId": "backtest-last"}
    last |= {"messageId": "backtest-last", "timestamp": NOW.isoformat()}
    told = [*company_events(), last]
    events.write_text("".join(json.dumps(event) + "\n" for event in told))

    # Other tests have left leads in the log: what is new is what counts.
    before = backtest(draft, "--against", "active")
    run("import", str(events), "--progress", str(tmp_path / "progress"), "--events-per-second", "1000")
    eventually(lambda: queue_is_empty(stack), 120)
    page = tmp_path / "report.html"
    after = backtest(draft, "--against", "active", "--html", str(page))
    of_file = backtest(draft, "--against", str(active), "--events", str(events))

    assert of_file["leads"]["leads"] > 40
    assert of_file["leads"]["conversions"] > 3
    assert after["sample"]["leads_read"] - before["sample"]["leads_read"] == len({e["userId"] for e in told})
    for name in ("tested", "against"):
        assert after[name]["version"] == of_file[name]["version"]
        known = counts(before, name) or [(tier, 0, 0) for tier, _, _ in counts(after, name)]
        new = [
            (tier, leads - had, conversions - converted)
            for (tier, leads, conversions), (_, had, converted) in zip(counts(after, name), known, strict=True)
        ]
        assert new == counts(of_file, name)
    assert "Backtest of draft.json against active" in page.read_text()
