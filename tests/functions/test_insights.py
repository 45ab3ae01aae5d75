"""insights as it is wired, and GET /insights: a log in the table, a run call by call, and what readers then get."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from leadscore import parse_ruleset
from leadscore.adapters.items import event_item
from leadscore.adapters.learning_items import DynamoInsights, load_calibration
from leadscore.core.instants import DAY, format_instant, from_datetime
from leadscore.usecases.learning import IncompleteRunError
from leadscore_cli.sample_company import SampleCompany, sample_ruleset
from tests.contract.leads_table import TABLE, create_leads_table
from tests.functions.deployed import Context, import_function
from tests.functions.test_documented_answers import ask
from tests.unit.test_signals import check

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
RULES = parse_ruleset(sample_ruleset())
LEADS = 80
SEGMENTS = 2


@dataclass
class Account:
    """A table with the log of a small company, a bus, and the functions that learn and read."""

    patch: pytest.MonkeyPatch
    bus_queue: str

    def function(self, name: str, **environment: str) -> ModuleType:
        everything = {
            "TABLE_NAME": TABLE,
            "BUS_NAME": "bus",
            "RULESET_PARAMETER": "/ruleset",
            "RULESET_TTL_SECONDS": "0",
            "EVENT_RETENTION_DAYS": "400",
            "RANK_SHARDS": "2",
            "EVENTS_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/111122223333/events",
            "WORK_SECONDS": "600",
        }
        return import_function(name, everything | environment, self.patch)

    def told(self) -> list[dict[str, Any]]:
        answer = boto3.client("sqs").receive_message(QueueUrl=self.bus_queue, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with mock_aws():
        create_leads_table()
        sqs, bus = boto3.client("sqs"), boto3.client("events")
        boto3.client("ssm").put_parameter(Name="/ruleset", Value=RULES.document, Type="String", Tier="Advanced")
        queue = sqs.create_queue(QueueName="bus")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        bus.create_event_bus(Name="bus")
        bus.put_rule(Name="all", EventBusName="bus", EventPattern='{"source":["leadscore"]}')
        bus.put_targets(Rule="all", EventBusName="bus", Targets=[{"Id": "queue", "Arn": arn}])
        yield Account(monkeypatch, queue)


def write_log() -> None:
    """Write the company's log as `score` does, and nothing else: who a lead is follows from its events."""
    items = [
        event_item(f"user:{event['userId']}", event, 400 * DAY)
        for event in SampleCompany(LEADS, UNTIL, base_rate=0.3).events()
    ]
    client = boto3.client("dynamodb")
    for some in batched(items, 25, strict=False):
        client.batch_write_item(RequestItems={TABLE: [{"PutRequest": {"Item": item}} for item in some]})


def run(insights: ModuleType, name: str = "run", at: datetime = UNTIL) -> dict[str, Any]:
    """Call the function as its state machine does, and return what the conclusion answered."""
    ended = []
    for segment in range(SEGMENTS):
        step = {"run": name, "at": format_instant(from_datetime(at)), "segment": segment, "segments": SEGMENTS}
        while not step.get("done"):
            step = json.loads(json.dumps(insights.handler(step, Context())))["next"]
        ended.append(step)
    answer: dict[str, Any] = insights.handler({"conclude": ended}, Context())
    return answer


def test_a_run_is_what_readers_get_as_it_is_documented(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    write_log()
    answer = run(account.function("insights"))
    read = ask(account.function("api"), "GET /insights")

    found = json.loads(read["body"])
    assert (found["run"], found["leads"], found["conversions"]) == ("run", answer["leads"], answer["conversions"])
    assert (found["leads_read"], found["ruleset"]) == (LEADS, RULES.version)
    assert found["leads"] + sum(found["omitted"].values()) == LEADS
    assert found["leads"] > 40
    # The log keeps 400 days, of which the company was there for a year.
    assert found["omitted"]["older than the log"] > 0
    assert found["conversions"] > 5
    assert [one["criterion"] for one in found["criteria"]] == [one["id"] for one in sample_ruleset()["criteria"]]  # type: ignore[attr-defined]
    assert (read["headers"]["ETag"], read["headers"]["Cache-Control"]) == ('"run"', "private, no-cache")
    # Neither an answer nor the log names a person.
    told = capsys.readouterr().out + json.dumps(answer) + read["body"]
    assert "sample-7-" not in told


def test_a_call_that_is_out_of_time_hands_on_where_it_was(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log()
    whole = run(account.function("insights"))
    monkeypatch.setattr("leadscore.usecases.learning._PAGE_ITEMS", 100)
    parts = run(account.function("insights", WORK_SECONDS="0"), "parts")
    assert {**parts, "run": "run"} == whole
    client = boto3.client("dynamodb")
    keys = [item["sk"]["S"] for item in client.scan(TableName=TABLE)["Items"] if item["pk"]["S"] == "LEARNING"]
    assert len([key for key in keys if key.startswith("RUN#parts#")]) > SEGMENTS


def test_the_same_insights_are_not_sent_twice_to_who_has_them(account: Account) -> None:
    run(account.function("insights"))
    api = account.function("api")
    answer = ask(api, "GET /insights", headers={"If-None-Match": '"run"'})
    assert (answer["statusCode"], answer["body"]) == (304, "")
    run(account.function("insights"), "next")
    assert ask(api, "GET /insights", headers={"If-None-Match": '"run"'})["statusCode"] == 200


def test_before_the_first_run_there_are_none(account: Account) -> None:
    answer = ask(account.function("api"), "GET /insights")
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (404, "no_insights")
    assert answer["headers"]["Cache-Control"] == "no-store"


def test_insights_take_no_parameters(account: Account) -> None:
    answer = ask(account.function("api"), "GET /insights", query={"limit": "1"})
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (400, "invalid_query")


def test_moved_rates_are_announced_and_the_calibration_is_of_the_run(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log()
    monkeypatch.setattr("leadscore.learning.concluding.ENOUGH_LEADS", 3)
    insights, client = account.function("insights"), boto3.client("dynamodb")
    run(insights, "first")
    store = DynamoInsights(client, TABLE)
    before = store.load()
    assert before is not None
    dated = load_calibration(client, TABLE)
    assert (None if dated is None else dated.to_dict()) == before["calibration"]
    assert account.told() == []
    for tier in before["tiers"]:
        tier["usual_rate"] = {"value": 0.999, "low": 0.998, "high": 1.0}
    store.replace("first", from_datetime(UNTIL), before, None)
    answer = run(insights, "second")
    announced = account.told()
    assert {event["detail-type"] for event in announced} == {"TierRateMoved"}
    details = [check("TierRateMoved", json.dumps(event["detail"])) for event in announced]
    assert sorted(detail["tier"] for detail in details) == sorted(answer["moved"]) != []
    # What was announced is what is usual from then on.
    assert run(insights, "third")["moved"] == []
    assert account.told() == []


def test_a_ruleset_that_is_published_meanwhile_ends_the_run(account: Account) -> None:
    write_log()
    insights = account.function("insights")
    step = {"run": "run", "at": format_instant(from_datetime(UNTIL)), "segment": 0, "segments": 1}
    ended = insights.handler(step, Context())["next"]
    other = parse_ruleset(sample_ruleset({"webinar": 6})).document
    boto3.client("ssm").put_parameter(Name="/ruleset", Value=other, Type="String", Tier="Advanced", Overwrite=True)
    with pytest.raises(IncompleteRunError):
        insights.handler({"conclude": [ended]}, Context())
    assert ask(account.function("api"), "GET /insights")["statusCode"] == 404
