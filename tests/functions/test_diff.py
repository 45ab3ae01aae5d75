"""What a ruleset would change, from the request to the answer: on a table of leads, by reading alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from leadscore.adapters.desks import DynamoDesks
from leadscore.adapters.dynamodb import DynamoStore
from leadscore.core.identity import pseudonym
from leadscore.core.instants import DAY, from_datetime
from leadscore.usecases.alert_records import AlertRecord, Entry
from leadscore.usecases.scoring import Tools, apply_events
from tests.contract.leads_table import TABLE, create_leads_table
from tests.functions.deployed import Context, import_function
from tests.functions.documented import check_answer
from tests.functions.envelopes import proxy_event
from tests.rulesets import many_criteria
from tests.unit.test_score_batch import NOW, RULES, make_event

NAME = "/leadscore/test/ruleset"
ROUTE = "POST /ruleset/diff"
DOCUMENT: dict[str, Any] = json.loads(RULES.document)
PEOPLE = [f"p{number:02d}" for number in range(12)]


@dataclass
class Stage:
    """The function with its table, its parameter and a clock that a test sets."""

    module: ModuleType
    desks: DynamoDesks

    def call(self, said: object, query: dict[str, str] | None = None) -> dict[str, Any]:
        """Call, and hold the answer to the document."""
        body = said if isinstance(said, str) else json.dumps(said)
        answer: dict[str, Any] = self.module.handler(
            proxy_event("/ruleset/diff", body, method="POST", query=query), Context()
        )
        check_answer(ROUTE, answer)
        return answer

    def compare(self, document: object, **said: object) -> dict[str, Any]:
        answer = self.call({"document": document, **said})
        assert answer["statusCode"] == 200, answer["body"]
        told: dict[str, Any] = json.loads(answer["body"])
        return told

    def refuse(self, said: object, query: dict[str, str] | None = None) -> tuple[int, str, str]:
        answer = self.call(said, query)
        told = json.loads(answer["body"])
        return answer["statusCode"], told["code"], told["message"]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Twelve people on trial, every third of them a VP, who was told of."""
    with mock_aws():
        create_leads_table()
        boto3.client("ssm").put_parameter(Name=NAME, Value=RULES.document, Type="String")
        client = boto3.client("dynamodb")
        store = DynamoStore(client, TABLE, shards=2, retention_days=400)
        desks = DynamoDesks(client, TABLE, shards=2, retention_days=400)
        tools = Tools(store, RULES, lambda: NOW, lambda _attempt: None)
        for number, name in enumerate(PEOPLE):
            title = "VP" if number % 3 == 0 else "Clerk"
            events = [
                make_event(f"{name}-i", "identify", name, age_days=2, traits={"title": title}),
                make_event(f"{name}-t", "track", name, age_days=1, event="Trial Started"),
            ]
            apply_events(tools, {f"user:{name}": events})
        at = from_datetime(NOW) - DAY
        entry = Entry(pseudonym("user:p00"), "tier", "hot", 60.0, {}, None)
        desks.put_alert(AlertRecord("a1", "alert", None, "lead:x", at, [entry]))
        desks.mark_sent("a1", at)
        environment = {"TABLE_NAME": TABLE, "RULESET_PARAMETER": NAME, "EVENT_RETENTION_DAYS": "400"}
        module = import_function("diff", environment, monkeypatch)
        monkeypatch.setattr(module, "utc_now", lambda: NOW)
        yield Stage(module, desks)


def with_points(**points: int) -> dict[str, Any]:
    criteria = [{**one, "points": points.get(one["id"], one["points"])} for one in DOCUMENT["criteria"]]
    return {**DOCUMENT, "criteria": criteria}


def test_it_tells_what_differs_who_changes_tier_and_how_many_alerts(stage: Stage) -> None:
    told = stage.compare(with_points(executive=5))
    assert [change["text"] for change in told["changes"]] == ["criterion executive: points 20 -> 5"]
    assert (told["leads"], told["is_all"], told["moved"]) == (12, True, 4)
    assert told["matrix"]["hot"] == {"hot": 0, "warm": 4, "cold": 0, "disqualified": 0}
    assert told["matrix"]["warm"] == {"hot": 0, "warm": 8, "cold": 0, "disqualified": 0}
    assert [mover["lead"] for mover in told["movers"]] == ["p00", "p03", "p06", "p09"]
    assert told["movers"][0]["moves"] == [{"criterion": "executive", "before": 20.0, "after": 5.0, "points": -15.0}]
    assert told["alerts"]["old"] == {"alerts": 4, "hand_raises": 0, "leads": 4}
    assert told["alerts"]["new"] == {"alerts": 0, "hand_raises": 0, "leads": 0}
    assert told["alerts"]["sent"] == 1
    assert told["sent"] == {"alerts": 1, "told_of_leads": 1, "told_of_accounts": 0, "is_all": True}


@pytest.mark.parametrize("sample", [5, 5.0])
def test_a_sample_has_as_many_leads_as_were_asked_for(stage: Stage, sample: float) -> None:
    told = stage.compare(DOCUMENT, sample=sample)
    assert (told["leads"], told["is_all"], told["changes"]) == (5, False, [])


def test_when_the_time_is_up_it_answers_with_the_leads_it_has(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    # The clock is looked at once for the start, once for the one alert, and then after each lead.
    late = iter([timedelta(0)] * 5)
    monkeypatch.setattr(stage.module, "utc_now", lambda: NOW + next(late, timedelta(seconds=20)))
    told = stage.compare(with_points(executive=5))
    assert (told["leads"], told["is_all"], told["sent"]["is_all"]) == (4, False, True)


def test_more_alerts_than_there_is_time_for_are_not_all_counted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    late = iter([timedelta(0)])
    monkeypatch.setattr(stage.module, "utc_now", lambda: NOW + next(late, timedelta(seconds=6)))
    told = stage.compare(DOCUMENT)
    assert told["sent"] == {"alerts": 0, "told_of_leads": 0, "told_of_accounts": 0, "is_all": False}
    assert told["leads"] == 12


def test_a_ruleset_of_a_thousand_criteria_can_be_tried(stage: Stage) -> None:
    told = stage.compare(many_criteria(1000, 5))
    assert len(told["changes"]) > 1000
    assert told["leads"] == 12


def test_it_writes_nothing(stage: Stage) -> None:
    client = boto3.client("dynamodb")
    before = client.scan(TableName=TABLE)["Items"]
    stage.compare(with_points(executive=5))
    assert client.scan(TableName=TABLE)["Items"] == before


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("{", "the body must be a JSON object in which no field comes twice"),
        ('{"document": {}, "document": {}}', "the body must be a JSON object in which no field comes twice"),
        ({}, "document: must be the ruleset, an object"),
        ({"document": "tiers: []"}, "document: must be the ruleset, an object"),
        ({"document": DOCUMENT, "sample": 0}, "sample: must be a whole number of leads, 1 to 5000"),
        ({"document": DOCUMENT, "sample": 5001}, "sample: must be a whole number of leads, 1 to 5000"),
        ({"document": DOCUMENT, "sample": 5.5}, "sample: must be a whole number of leads, 1 to 5000"),
        ({"document": DOCUMENT, "sample": True}, "sample: must be a whole number of leads, 1 to 5000"),
        ({"document": DOCUMENT, "sample": "9"}, "sample: must be a whole number of leads, 1 to 5000"),
        ({"document": DOCUMENT, "why": ""}, "unknown field; there are document, sample"),
    ],
)
def test_what_is_no_request_is_refused(stage: Stage, said: object, told: str) -> None:
    assert stage.refuse(said) == (400, "invalid_request", told)


def test_what_is_no_ruleset_is_refused_with_every_problem(stage: Stage) -> None:
    answer = stage.call({"document": {"criteria": []}})
    told = json.loads(answer["body"])
    assert (answer["statusCode"], told["code"]) == (400, "invalid_ruleset")
    assert {problem["path"] for problem in told["problems"]} >= {"criteria"}


def test_a_query_is_refused(stage: Stage) -> None:
    assert stage.refuse({"document": DOCUMENT}, {"sample": "5"})[:2] == (400, "invalid_query")


def test_what_fails_is_told_without_what_it_was(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(stage.module, "read_ruleset", fail)
    status, code, message = stage.refuse({"document": DOCUMENT})
    assert (status, code) == (500, "internal_error")
    assert "a secret" not in message
