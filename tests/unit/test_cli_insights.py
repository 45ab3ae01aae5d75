"""`leadscore insights` shows what is stored, learns anew when asked, and follows the run until readers get it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from typer.testing import CliRunner, Result

from leadscore.learning.facts import Facts
from leadscore.learning.samples import Counts
from leadscore.usecases.learning import SampledSegment
from leadscore_cli import insights_command
from leadscore_cli.api_client import ApiError
from leadscore_cli.insights_run import InsightsRun
from leadscore_cli.main import app
from leadscore_cli.outputs import Deployment
from tests.unit.test_cli_outputs import CDK_OUTPUTS
from tests.unit.test_learning_concluding import COLD, FALLEN, HOT, NOW, TOGETHER, USUAL, Week, insights

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

MACHINE = CDK_OUTPUTS["InsightsMachineArn"]
FACTS = Facts({"event": {"Exported [red]": Counts(400, 200), "Slept": Counts(400, 56)}}, frozenset({"page"}))


@dataclass
class Deployed:
    """A stage: its Step Functions, its table and its API, which answers `found`."""

    found: Mapping[str, Any] | None = None
    executions: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    looks_before_the_end: int = 2
    ends_as: str = "SUCCEEDED"
    started: list[str] = field(default_factory=list)
    looked: int = 0

    @property
    def deployment(self) -> Deployment:
        return Deployment.from_cdk("local", "us-east-1", CDK_OUTPUTS)

    @contextmanager
    def states(self) -> Iterator[Deployed]:
        yield self

    @contextmanager
    def dynamodb(self, connections: int) -> Iterator[Deployed]:
        assert connections == 1
        yield self

    @contextmanager
    def api(self) -> Iterator[Deployed]:
        yield self

    def insights(self) -> Mapping[str, Any]:
        if self.found is None:
            raise ApiError(404, "no_insights", "nothing was learned yet")
        return self.found

    def describe_table(self, *, TableName: str) -> dict[str, Any]:  # noqa: N803
        assert TableName == CDK_OUTPUTS["TableName"]
        return {"Table": {"ItemCount": 10}}

    def list_executions(self, *, stateMachineArn: str, maxResults: int) -> dict[str, Any]:  # noqa: N803
        assert (stateMachineArn, maxResults) == (MACHINE, 1)
        return {"executions": self.executions[:1]}

    def start_execution(self, *, stateMachineArn: str, input: str) -> dict[str, Any]:  # noqa: N803, A002
        assert (stateMachineArn, input) == (MACHINE, "{}")
        self.started.append("new")
        return {"executionArn": "new"}

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803
        self.looked += 1
        is_over = self.looked > self.looks_before_the_end
        return {
            "executionArn": executionArn,
            "status": self.ends_as if is_over else "RUNNING",
            "cause": "a call failed",
        }

    def get_execution_history(self, *, executionArn: str, reverseOrder: bool, maxResults: int) -> dict[str, Any]:  # noqa: N803
        assert (executionArn, reverseOrder, maxResults) == (self.executions[0]["executionArn"], True, 1000)
        return {"events": self.events[::-1]}

    def call(self, payload: Mapping[str, Any]) -> None:
        details = {"output": json.dumps({"Payload": payload})}
        self.events += [{"type": "TaskScheduled"}, {"taskSucceededEventDetails": details}]


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Deployed:
    stage = Deployed(found=insights(dict.fromkeys(range(10), USUAL), leads=3333, unread=FACTS))
    stage.executions = [{"executionArn": "new", "status": "SUCCEEDED"}]
    monkeypatch.setattr(insights_command, "target_of_project", lambda _stage: stage)
    monkeypatch.setattr(insights_command, "_LOOK_SECONDS", 0)
    return stage


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["insights", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def row(shown: str, name: str) -> list[str]:
    [line] = [line for line in shown.splitlines() if line.startswith(name)]
    return line.split()


def test_each_criterion_is_shown_with_what_it_was_worth_and_how_sure_that_is(deployed: Deployed) -> None:
    shown = run().stdout
    assert "3,000 leads of 3,333" in shown
    assert "420 converted within 30 days" in shown
    assert "base rate 14.0% (12.8% to 15.3%)" in shown
    assert row(shown, "trial")[:5] == ["trial", "+40", "33.3%", "30.0%", "2.14"]
    assert row(shown, "visit")[:5] == ["visit", "+20", "33.3%", "10.0%", "0.71"]
    lines = shown.splitlines()
    below = lines[next(place for place, line in enumerate(lines) if line.startswith("trial")) + 1]
    # The interval of the share, of the rate, and of the lift.
    assert below.split()[:6] == ["31.7%", "to", "35.0%", "27.2%", "to", "32.9%"]


def test_what_no_criterion_reads_is_shown_to_the_letter_where_it_matters(deployed: Deployed) -> None:
    shown = run().stdout
    assert row(shown, "event: Exported [red]")[3] == "13.3%"
    assert "Slept" not in shown
    assert "too many values to look at: page" in shown


def test_bands_tiers_over_time_and_the_calibration_are_shown(deployed: Deployed) -> None:
    shown = run().stdout
    assert row(shown, "40 ") == ["40", "1,000", "300", "30.0%"]
    assert row(shown, "all")[:2] == ["all", "3,000"]
    assert row(shown, "all")[-3:] == ["30.0%", "10.0%", "2.0%"]
    assert deployed.found is not None
    for period in deployed.found["periods"]:
        assert row(shown, period["period"])[1] == f"{period['leads']:,}"
    assert "points double the odds to convert" in shown


def test_a_tier_whose_rate_has_moved_is_told(deployed: Deployed) -> None:
    first = insights(dict.fromkeys(range(30), USUAL))
    weeks = dict.fromkeys(range(30), USUAL) | dict.fromkeys(range(30, 42), FALLEN)
    deployed.found = insights(weeks, before=first)
    assert "! hot leads convert at 5.0% (3.9% to 6.4%) now; usual was 30.0% (28.4% to 31.7%)" in run().stdout


def test_findings_redundant_pairs_and_warnings_are_told(deployed: Deployed) -> None:
    both: Week = {TOGETHER: Counts(500, 20), COLD: Counts(500, 5), HOT: Counts(1, 0)}
    deployed.found = insights({0: both})
    shown = run().stdout
    assert "redundant: holds for nearly the same leads as visit" in shown
    assert "trial and visit hold for nearly the same leads: correlation 1.00" in shown
    assert "! 25 conversions: no points are judged below 100" in shown


def test_without_leads_only_the_reason_is_shown(deployed: Deployed) -> None:
    deployed.found = insights({}, leads=7, omitted={"too recent": 7})
    shown = run().stdout
    assert "0 leads of 7" in shown
    assert "left out: 7 too recent" in shown
    assert "! there are no leads to learn from" in shown
    assert "Criterion" not in shown


def test_json_is_the_apis_own_answer(deployed: Deployed) -> None:
    assert json.loads(run("--json").stdout) == deployed.found
    assert deployed.started == []


def test_before_the_first_run_the_way_to_it_is_told(deployed: Deployed) -> None:
    deployed.found = None
    result = run()
    assert (result.exit_code, "no_insights" in result.stderr) == (1, True)


def test_refresh_starts_a_run_and_shows_what_it_came_to(deployed: Deployed) -> None:
    deployed.call({"next": SampledSegment("new", NOW, 0, 2, items=70, leads=7, done=True).to_dict()})
    deployed.call({"run": "new", "leads": 3000})
    result = run("--refresh")
    assert result.exit_code == 0, result.output
    assert deployed.started == ["new"]
    assert deployed.looked == deployed.looks_before_the_end + 1
    assert "learning from the whole log" in result.stderr
    assert "3,000 leads" in result.stdout


def test_refresh_follows_a_run_that_is_under_way(deployed: Deployed) -> None:
    deployed.executions = [{"executionArn": "older", "status": "RUNNING"}]
    result = run("--refresh")
    assert deployed.started == []
    assert "following the run that is under way" in result.stderr
    assert result.exit_code == 0


@pytest.mark.parametrize(
    "call", ["list_executions", "start_execution", "describe_table", "describe_execution", "get_execution_history"]
)
@pytest.mark.parametrize(
    "problem",
    [
        ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not for you"}}, "AnyCall"),
        EndpointConnectionError(endpoint_url="https://not for you"),
    ],
    ids=["refused", "unreachable"],
)
def test_a_refresh_that_aws_refuses_is_an_error_in_one_line(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, call: str, problem: Exception
) -> None:
    def refuse(**_arguments: object) -> None:
        raise problem

    monkeypatch.setattr(deployed, call, refuse)
    result = run("--refresh")
    assert result.exit_code == 1
    assert "the run cannot be started or followed: " in result.stderr
    assert "not for you" in result.stderr
    assert "Traceback" not in result.output


def test_a_run_that_stops_is_an_error_that_says_where_to_look(deployed: Deployed) -> None:
    deployed.ends_as = "FAILED"
    result = run("--refresh")
    assert result.exit_code == 1
    assert "the run stopped (FAILED): `leadscore logs insights` says why" in result.stderr
    assert "a call failed" in result.stderr
    assert result.stdout == ""


def test_a_run_stands_where_its_segments_were_last(deployed: Deployed) -> None:
    first = SampledSegment("new", NOW, 0, 2, after="x", call=1, items=50, leads=5)
    deployed.call({"next": first.to_dict()})
    deployed.call({"next": SampledSegment("new", NOW, 1, 2, items=30, leads=3, done=True).to_dict()})
    deployed.call({"next": SampledSegment("new", NOW, 0, 2, items=70, leads=7, done=True).to_dict()})
    standing = InsightsRun(cast("SFNClient", deployed), "new", "new").look()
    assert (standing.items, standing.leads, standing.is_over) == (100, 10, False)
