"""`leadscore backtest` from the command line: from events in a file or the stage's log to figures, JSON and a page."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]
from typer.testing import CliRunner, Result

from leadscore import parse_ruleset
from leadscore.core.instants import DAY, parse_instant
from leadscore.learning.samples import Counts
from leadscore.learning.sampling import Sample, SampleKey, Sampling, Timing
from leadscore.learning.snapshots import LeadSnapshot, draw_moment, take_snapshot
from leadscore_cli import backtest_command
from leadscore_cli.main import app
from leadscore_cli.sample_company import GOAL, SampleCompany, sample_ruleset

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

COMPANY = SampleCompany(250, datetime(2026, 11, 1, tzinfo=UTC), base_rate=0.25)
OTHER = sample_ruleset({"teammate": 20, "power-user": 20})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["backtest", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    (folder / "events.ndjson").write_text("".join(json.dumps(event) + "\n" for event in COMPANY.events()))
    (folder / "present.json").write_text(json.dumps(sample_ruleset()))
    (folder / "draft.json").write_text(json.dumps(OTHER))
    return folder


def on_files(files: Path, *arguments: str) -> Result:
    return run(str(files / "draft.json"), "--events", str(files / "events.ndjson"), *arguments)


def snapshots(document: dict[str, object]) -> list[LeadSnapshot]:
    """The leads of the company as they are tested, taken one by one from all that is known of them."""
    ruleset = parse_ruleset(document)
    logs: dict[str, list[dict[str, object]]] = defaultdict(list)
    for event in COMPANY.events():
        logs[f"user:{event['userId']}"].append(event)
    now = max(parse_instant(str(event["timestamp"])) for log in logs.values() for event in log)
    taken = []
    for lead, log in logs.items():
        at = draw_moment(min(parse_instant(str(event["timestamp"])) for event in log), f"0:{lead}")
        found = take_snapshot(ruleset, log, at, window=30 * DAY, now=now)
        if isinstance(found, LeadSnapshot):
            taken.append(found)
    return taken


def test_the_figures_are_those_of_leads_taken_one_by_one(files: Path) -> None:
    result = on_files(files, "--against", str(files / "present.json"), "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    for name, ruleset in (("tested", OTHER), ("against", sample_ruleset())):
        leads = snapshots(ruleset)
        expected = roc_auc_score([one.converted for one in leads], [one.total // (1 / 16) for one in leads])
        assert document[name]["auc"]["value"] == pytest.approx(expected)
        assert document[name]["version"] == parse_ruleset(ruleset).version
        assert document["leads"]["leads"] == len(leads)
        assert document["leads"]["conversions"] == sum(one.converted for one in leads)
    assert document["auc_difference"]["value"] == pytest.approx(
        document["tested"]["auc"]["value"] - document["against"]["auc"]["value"]
    )
    assert document["sample"]["leads_read"] == 250
    assert document["sample"]["omitted"]["too recent"] > 0
    assert document["per_week"] == 40


def test_the_terminal_says_what_came_of_it(files: Path) -> None:
    result = on_files(files, "--against", str(files / "present.json"), "--per-week", "2")
    assert result.exit_code == 0, result.output
    assert "on the same leads: draft.json" in result.stdout.splitlines()[0]
    for part in ("In short", "Tiers", "The top of the list", "Reliability of the probabilities", "Over time"):
        assert part in result.output
    assert "cut for 2 leads a week" in result.output
    for name in ("draft.json", "present.json"):
        assert re.search(rf"At 2 leads a week the cut of {name} is \d+ and expects \d", result.stdout)
    assert "AUC, tested less against" in result.output


def test_one_ruleset_is_tested_alone(files: Path) -> None:
    result = on_files(files, "--window", "7d", "--moment", "qualified", "--json")
    document = json.loads(result.stdout)
    assert document["against"] is None
    assert document["window_days"] == 7
    assert document["sample"]["moment"] == "qualified"
    assert 0 < document["leads"]["leads"] < 250


def test_the_report_is_written(files: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    result = on_files(files, "--html", str(page))
    assert result.exit_code == 0, result.output
    assert "Backtest of draft.json" in page.read_text()
    assert str(page) in result.stderr.replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--window", "soon"), "--window 'soon'"),
        (("--html", "missing/report.html"), "the report cannot be written: missing is no folder"),
        (("--html", "."), "the report cannot be written"),
        (("--against", "missing.yaml"), "missing.yaml cannot be read"),
        (("--against", "events.ndjson"), "events.ndjson cannot be published"),
    ],
)
def test_what_cannot_be_done_is_told(
    files: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, str], said: str
) -> None:
    monkeypatch.chdir(files)
    result = on_files(files, *arguments)
    assert result.exit_code == 1
    assert said in result.output


def test_a_ruleset_without_a_goal_cannot_be_tested(files: Path, tmp_path: Path) -> None:
    (tmp_path / "aimless.json").write_text(json.dumps({k: v for k, v in OTHER.items() if k != "goal"}))
    result = run(str(tmp_path / "aimless.json"), "--events", str(files / "events.ndjson"))
    assert result.exit_code == 1
    assert "names no goal" in result.output


def test_events_of_a_visitor_count_for_the_user_it_became(tmp_path: Path) -> None:
    """The product's own rules of identity: what was done before signing up is the lead's."""
    lines: list[dict[str, object]] = []
    for day in range(1, 29):
        for number in range(6):
            visitor, user = f"browser-{day}-{number}", f"user-{day}-{number}"
            at = f"2026-01-{day:02}T"
            lines.append({"type": "page", "anonymousId": visitor, "name": "/pricing", "timestamp": f"{at}10:00:00Z"})
            lines[-1] |= {"messageId": f"{visitor}-1", "properties": {"path": "/pricing"}}
            lines.append({"type": "identify", "anonymousId": visitor, "userId": user, "timestamp": f"{at}11:00:00Z"})
            lines[-1] |= {"messageId": f"{visitor}-2", "traits": {"title": "Developer"}}
    lines.append({"type": "track", "userId": "late", "event": GOAL, "timestamp": "2026-06-01T00:00:00Z"})
    lines[-1] |= {"messageId": "late"}
    (tmp_path / "events.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "rules.json").write_text(json.dumps(sample_ruleset()))
    result = run(str(tmp_path / "rules.json"), "--events", str(tmp_path / "events.ndjson"), "--json")
    document = json.loads(result.stdout)
    assert document["sample"]["leads_read"] == 28 * 6 + 1
    assert document["leads"]["leads"] == 28 * 6
    # Every one of them has seen the pricing page, a month ago at most.
    assert all(float(band["from"]) >= 5 for band in document["tested"]["bands"] if band["leads"])


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Sampling]]:
    """A stage whose published ruleset is the company's, and whose log gives a known sample."""
    asked: list[Sampling] = []
    with mock_aws():
        client = boto3.client("ssm", region_name="eu-west-1")
        client.put_parameter(Name="/leadscore/ruleset", Value=json.dumps(sample_ruleset()), Type="String")

        @contextmanager
        def ssm() -> Iterator[SSMClient]:
            yield client

        deployment = SimpleNamespace(stage="dev", ruleset_parameter="/leadscore/ruleset")
        target = SimpleNamespace(deployment=deployment, ssm=ssm)
        monkeypatch.setattr(backtest_command, "target_of_project", lambda _stage: target)

        def take(_target: object, sampling: Sampling) -> Sample:
            asked.append(sampling)
            against = "" if sampling.against is None else sampling.against.version
            key = SampleKey(sampling.ruleset.version, against, sampling.window, sampling.now, 0, sampling.moment)
            known = {(50.0, 20.0): Counts(30, 10), (10.0, 30.0): Counts(70, 5)}
            weeks = range(2900, 2920)
            return Sample(
                key,
                ("executive",),
                pairs={week: known for week in weeks if against},
                totals={
                    week: {5.0: Counts(3, 0), **{pair[0]: counts for pair, counts in known.items()}} for week in weeks
                },
                timings={"executive": Timing(50, 50)},
                leads=2000,
                events=9000,
            )

        monkeypatch.setattr(backtest_command, "take_sample", take)
        yield asked


def test_the_active_ruleset_is_the_stages(files: Path, stage: list[Sampling]) -> None:
    result = run(str(files / "draft.json"), "--against", "active", "--stage", "dev", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["against"]["version"] == parse_ruleset(sample_ruleset()).version
    assert document["against"]["ruleset"] == "active"
    assert document["sample"]["source"] == "the log of the stage dev"
    assert document["leads"]["leads"] == 2000
    assert document["tested"]["auc"]["value"] > 0.5 > document["against"]["auc"]["value"]
    assert document["sample"]["omitted"] == {"disqualified by the other ruleset": 20 * 3}
    assert any("executive reads what was written after" in one for one in document["warnings"])
    (asked,) = stage
    assert (asked.window, asked.moment, asked.seed) == (30 * DAY, "random", 0)


def test_the_log_is_read_for_one_ruleset_as_well(files: Path, stage: list[Sampling]) -> None:
    document = json.loads(run(str(files / "draft.json"), "--json").stdout)
    assert document["against"] is None
    assert document["leads"]["leads"] == 20 * 103
    assert document["sample"]["omitted"] == {}
    assert stage[0].against is None
