"""Learning from history on the deployed stack: a past is imported, the state machine runs, and readers get insights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from leadscore import parse_ruleset
from leadscore.adapters.histories import DynamoHistories
from leadscore.core.instants import DAY, parse_instant
from leadscore.learning.concluding import conclude
from leadscore.learning.sampling import Sample, Sampler, Sampling
from leadscore.usecases.histories import History
from leadscore_cli import import_command, insights_command, main
from leadscore_cli.sample_company import Event, SampleCompany, sample_ruleset
from leadscore_cli.target import choose_target
from tests.e2e.deployed import Stack, eventually
from tests.e2e.test_main_road import queue_is_empty

LEADS = 200
RULES = parse_ruleset(sample_ruleset())


@pytest.fixture(autouse=True)
def this_stack(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands find the stack of the tests."""
    target = choose_target("local", stack.stage.directory)
    for module in (import_command, insights_command):
        monkeypatch.setattr(module, "target_of_project", lambda _stage: target)


@pytest.fixture
def company(stack: Stack) -> Iterator[list[Event]]:
    """What a company's leads did in the year until now, and its ruleset, published."""
    ssm, name = stack.clients.ssm, stack.names.ruleset_parameter
    original = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    ssm.put_parameter(Name=name, Value=RULES.document, Type="String", Overwrite=True)
    yield list(SampleCompany(LEADS, datetime.now(UTC), seed=71, base_rate=0.3).events())  # noqa: TID251
    ssm.put_parameter(Name=name, Value=original, Type="String", Overwrite=True)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})


def sampled(stack: Stack, histories: Iterable[History], now: str) -> Sample:
    at = parse_instant(now)
    sampler = Sampler(Sampling(RULES, at, horizon=at - stack.names.event_retention_days * DAY))
    for history in histories:
        sampler.add(history)
    return sampler.sample()


def told(events: list[Event]) -> list[History]:
    """Return the leads as their events tell of them, without any of what is deployed."""
    logs: dict[str, list[Event]] = {}
    for event in events:
        logs.setdefault(f"user:{event['userId']}", []).append(event)
    return [History(lead, log, [], None) for lead, log in logs.items()]


def logged(stack: Stack) -> list[History]:
    """Return all leads of the table, other tests' among them, read in one piece."""
    reader = DynamoHistories(stack.clients.dynamodb, stack.names.table)
    found: list[History] = []
    after: str | None = None
    while True:
        page = reader.read(0, 1, after, 1000)
        found += page.histories
        after = page.after
        if after is None:
            return found


def test_what_was_imported_is_learned_from_to_the_last_lead(stack: Stack, company: list[Event], tmp_path: Path) -> None:
    archive = tmp_path / "company.ndjson"
    archive.write_text("".join(f"{json.dumps(event)}\n" for event in company), encoding="utf-8")
    imported = run("import", str(archive), "--progress", str(tmp_path / "progress"), "--json")
    assert imported.exit_code == 0, imported.output
    assert json.loads(imported.stdout)["accepted"] == len(company)
    eventually(lambda: queue_is_empty(stack), timeout_seconds=300)

    refreshed = run("insights", "--refresh", "--json")

    assert refreshed.exit_code == 0, refreshed.output
    found: dict[str, Any] = json.loads(refreshed.stdout)
    assert found == stack.api.insights()
    sample = sampled(stack, logged(stack), found["at"])
    wanted = json.loads(json.dumps(conclude(sample, RULES, run=found["run"], before=None).insights))
    for figures in ("leads", "conversions", "criteria", "pairs", "tiers", "bands", "periods", "calibration", "ruleset"):
        assert found[figures] == wanted[figures], figures
    own = sampled(stack, told(company), found["at"])
    assert found["leads_read"] >= own.leads == LEADS
    assert found["leads"] >= own.grouped().leads > 100
    assert found["conversions"] >= own.grouped().conversions > 10
    for week, scores in own.totals.items():
        for score, (leads, conversions) in scores.items():
            everybody = sample.totals[week][score]
            assert (leads <= everybody.leads, conversions <= everybody.conversions) == (True, True)
    shown = run("insights")
    assert shown.exit_code == 0, shown.output
    assert f"{found['leads']:,} leads of" in shown.stdout
    assert "free-trial" in shown.stdout
