"""`leadscore alerts verdict` and `report`: what is said goes to the API, what was said is counted from the table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from leadscore.adapters.desks import DynamoDesks
from leadscore.core.instants import DAY, parse_instant, to_datetime
from leadscore.core.verdicts import Verdict, VerdictKind
from leadscore_cli import alert_feedback, main
from tests.contract.leads_table import TABLE, create_leads_table
from tests.contract.test_desks import ADA, ALERT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ssm import SSMClient

NOW = "2026-03-10T12:00:00.000Z"
AT = parse_instant(NOW)
RULES = {
    "tiers": [{"name": "hot", "from": 5}, {"name": "cold"}],
    "criteria": [{"id": "a", "group": "fit", "traits": {"x": [1]}, "points": 10}],
    "alerts": {"tier": "hot", "warn_above": 1},
}


@dataclass
class Api:
    """What was said, and the answer."""

    said: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def judge(self, alert: str, said: Mapping[str, str]) -> dict[str, object]:
        self.said.append((alert, said))
        until = "2026-03-17T12:00:00.000Z" if said["verdict"] == "snooze" else None
        return {"alert": alert, "leads": ["1", "2"], "verdict": said["verdict"], "until": until}


@dataclass
class Deployment:
    table: str = TABLE
    event_retention_days: int = 400
    ruleset_parameter: str = "/ruleset"


@dataclass
class Stage:
    """A deployed stage of its own."""

    client: Api
    deployment: Deployment = field(default_factory=Deployment)

    def api(self) -> Api:
        return self.client

    @contextmanager
    def dynamodb(self, connections: int) -> Iterator[DynamoDBClient]:
        assert connections > 1
        yield boto3.client("dynamodb")

    @contextmanager
    def ssm(self) -> Iterator[SSMClient]:
        yield boto3.client("ssm")


@pytest.fixture(autouse=True)
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    with mock_aws():
        create_leads_table()
        boto3.client("ssm").put_parameter(Name="/ruleset", Value=json.dumps(RULES), Type="String")
        client = Api()
        monkeypatch.setattr(alert_feedback, "target_of_project", lambda _stage: Stage(client))
        monkeypatch.setattr(alert_feedback, "utc_now", lambda: to_datetime(AT))
        yield client


def send(id_: str, days_ago: int, kind: VerdictKind | None = None) -> None:
    desks = DynamoDesks(boto3.client("dynamodb"), TABLE, shards=2, retention_days=400)
    at = AT - days_ago * DAY
    desks.put_alert(replace(ALERT, id=id_, sealed_at=at))
    desks.mark_sent(id_, at)
    if kind is not None:
        desks.put_verdict(id_, ADA, Verdict(kind, AT, "kim"))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.app, ["alerts", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def test_a_verdict_goes_to_the_api_as_it_was_said(api: Api) -> None:
    shown = run("verdict", "a1", "snooze", "--for", "7d", "--lead", "ada", "--reason", "on leave")
    assert shown.output == "snooze until 2026-03-17T12:00:00.000Z: on record for 2 leads of the alert\n"
    assert json.loads(run("verdict", "a1", "good", "--json").output)["verdict"] == "good"
    assert api.said == [
        ("a1", {"verdict": "snooze", "for": "7d", "lead": "ada", "reason": "on leave"}),
        ("a1", {"verdict": "good"}),
    ]


def test_what_is_no_verdict_is_not_sent(api: Api) -> None:
    result = run("verdict", "a1", "great")
    assert (result.exit_code, api.said) == (1, [])
    assert "good, junk, snooze" in result.output


def test_the_report_counts_by_week_and_by_criterion_and_warns() -> None:
    for number, (days_ago, kind) in enumerate([(0, "good"), (1, "junk"), (1, None), (4, "good"), (30, "junk")]):
        send(f"a{number}", days_ago, kind)  # type: ignore[arg-type]
    shown = run("report", "--weeks", "2").output
    lines = [line.split() for line in shown.splitlines()]

    assert lines[1] == ["2026-03-09", "3", "2", "(67%)", "1", "1", "0", "50%"]
    assert lines[2] == ["2026-03-02", "1", "1", "(100%)", "1", "0", "0", "100%"]
    assert lines[3] == ["all", "4", "3", "(75%)", "2", "1", "0", "67%"]
    assert ["webinar", "4", "2", "1", "0", "67%"] in lines
    assert "warning: week of 2026-03-09: 3 alerts, over 1" in shown
    assert "week of 2026-03-02" not in shown


def test_the_report_is_there_for_machines() -> None:
    send("a1", 0, "good")
    found = json.loads(run("report", "--json").output)
    assert (len(found["weeks"]), found["total"]["alerts"], found["total"]["precision"]) == (4, 1, 1.0)


def test_a_stage_without_alerts_says_so() -> None:
    assert "no alert went out" in run("report").output
