"""rebuild and the lead's past as they are wired: damaged items in, mended items, messages and answers out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from leadscore import parse_ruleset
from leadscore.adapters.dynamodb import DynamoStore
from leadscore.adapters.items import identity_key
from leadscore.core.identity import pseudonym
from leadscore.core.instants import format_instant, from_datetime
from leadscore.usecases.rebuilding import Segment
from leadscore.usecases.scoring import Tools, apply_events
from leadscore.usecases.verifying import verify_lead
from tests.contract.leads_table import TABLE, create_leads_table
from tests.functions.deployed import Context, import_function
from tests.functions.envelopes import proxy_event

RULESET = parse_ruleset((Path(__file__).parents[2] / "infra" / "ruleset.yaml").read_text(encoding="utf-8"))
NOW = datetime.now(UTC)  # noqa: TID251


@dataclass
class Account:
    """A table with leads, and the queues that a rebuild hands on to."""

    store: DynamoStore
    queues: dict[str, str]
    patch: pytest.MonkeyPatch

    def function(self, name: str, **environment: str) -> ModuleType:
        everything = {
            "TABLE_NAME": TABLE,
            "RULESET_PARAMETER": "/ruleset",
            "MAPPINGS_PARAMETER": "/mappings",
            "QUARANTINE_PARAMETER": "/quarantine",
            "RULESET_TTL_SECONDS": "0",
            "RANK_SHARDS": "2",
            "EVENT_RETENTION_DAYS": "400",
            "EVENTS_QUEUE_URL": self.queues["events"],
            "CHANGES_QUEUE_URL": self.queues["changes"],
            "WORK_SECONDS": "60",
        }
        return import_function(name, everything | environment, self.patch)

    def add_lead(self, name: str, days_ago: float = 1) -> None:
        at = format_instant(from_datetime(NOW - timedelta(days=days_ago)))
        event = {"messageId": f"{name}-1", "type": "track", "timestamp": at, "receivedAt": at, "userId": name}
        tools = Tools(self.store, RULESET, lambda: NOW, lambda _: None)
        apply_events(tools, {f"user:{name}": [event | {"event": "Trial Started"}]})

    def spoil(self, name: str, attribute: str, value: str) -> None:
        boto3.client("dynamodb").update_item(
            TableName=TABLE,
            Key=identity_key(f"user:{name}"),
            UpdateExpression="SET #a = :v",
            ExpressionAttributeNames={"#a": attribute},
            ExpressionAttributeValues={":v": {"S": value}},
        )

    def is_whole(self, name: str) -> bool:
        verified = verify_lead(self.store, RULESET, f"user:{name}", lambda: NOW, lambda _: None)
        return verified is not None and verified.differences == ()

    def bodies(self, queue: str) -> list[Any]:
        answer = boto3.client("sqs").receive_message(QueueUrl=self.queues[queue], MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with mock_aws():
        create_leads_table()
        sqs = boto3.client("sqs")
        urls = {
            "events": sqs.create_queue(QueueName="events")["QueueUrl"],
            "changes": sqs.create_queue(QueueName="changes.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"],
        }
        boto3.client("ssm").put_parameter(Name="/ruleset", Value=RULESET.document, Type="String")
        boto3.client("ssm").put_parameter(Name="/mappings", Value='{"mappings":[]}', Type="String")
        boto3.client("ssm").put_parameter(Name="/quarantine", Value='{"bots":true}', Type="String")
        store = DynamoStore(boto3.client("dynamodb"), TABLE, shards=2, retention_days=400)
        yield Account(store, urls, monkeypatch)


def test_a_segment_is_rebuilt_and_told_without_names(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("ada", "bob", "cyd"):
        account.add_lead(name)
    account.spoil("ada", "tier", "hot")
    account.spoil("bob", "state", "{")
    answer = account.function("rebuild").handler(Segment(0, 1).to_dict(), Context())
    assert (answer["next"]["done"], answer["next"]["leads"], answer["next"]["written"]) == (True, 3, 2)
    assert answer["next"]["counts"] == {"standing": 1, "content": 1}
    assert answer["next"]["items"] == 6
    assert {found["lead"] for found in answer["found"]} == {pseudonym("user:ada"), pseudonym("user:bob")}
    assert all(account.is_whole(name) for name in ("ada", "bob", "cyd"))
    told = capsys.readouterr().out + json.dumps(answer)
    assert "a lead was not what its log says" in told
    assert "user:" not in told
    assert {"lead": "user:ada"} in account.bodies("changes")


def test_a_call_ends_when_its_time_is_up_and_the_next_goes_on(account: Account) -> None:
    for number in range(40):
        account.add_lead(f"u{number}")
    rebuild = account.function("rebuild", WORK_SECONDS="0")
    answer = rebuild.handler(Segment(0, 1).to_dict(), Context())
    assert (answer["next"]["done"], answer["next"]["items"]) == (False, 50)
    answer = rebuild.handler(json.loads(json.dumps(answer["next"])), Context())
    assert (answer["next"]["done"], answer["next"]["items"], answer["next"]["leads"]) == (True, 80, 40)


def test_a_named_lead_is_rebuilt_and_told_by_name(account: Account) -> None:
    account.add_lead("ada")
    account.spoil("ada", "tier", "hot")
    answer = account.function("rebuild").handler({"lead": "ada"}, Context())
    assert answer["rebuilt"]["lead"] == "ada"
    assert [(each["path"], each["stored"], each["left"]) for each in answer["rebuilt"]["found"]] == [
        ("tier", "hot", False)
    ]
    assert account.is_whole("ada")
    assert account.function("rebuild").handler({"lead": "nobody"}, Context()) == {"rebuilt": None}


def test_a_new_ruleset_holds_from_the_next_call_on(account: Account) -> None:
    account.add_lead("ada")
    rebuild = account.function("rebuild")
    assert rebuild.handler(Segment(0, 1).to_dict(), Context())["next"]["written"] == 0
    changed = json.loads(RULESET.document)
    next(one for one in changed["criteria"] if one["id"] == "free-trial")["points"] = 99
    boto3.client("ssm").put_parameter(Name="/ruleset", Value=json.dumps(changed), Type="String", Overwrite=True)
    answer = rebuild.handler(Segment(0, 1, outdated_only=True).to_dict(), Context())
    assert answer["next"]["counts"] == {"outdated": 1}
    assert answer["next"]["ruleset"] == parse_ruleset(changed).version
    assert answer["found"] == []
    [told] = account.store.load_identities(["user:ada"])["user:ada"].pending[-1:]
    assert (told.cause, told.alert) == ("ruleset", "suppressed")


def test_a_ruleset_published_amid_a_call_ends_it_after_the_page_and_the_segment_begins_anew(account: Account) -> None:
    for number in range(60):
        account.add_lead(f"u{number}")
    changed = json.loads(RULESET.document)
    next(one for one in changed["criteria"] if one["id"] == "free-trial")["points"] = 99
    ssm = boto3.client("ssm")
    ssm.put_parameter(Name="/ruleset", Value=json.dumps(changed), Type="String", Overwrite=True)
    rebuild = account.function("rebuild")
    scan = rebuild.table.scan

    def scan_and_go_back(*arguments: Any) -> Any:
        """Let the ruleset be gone back from, and that re-score run, while the first page is worked on."""
        ssm.put_parameter(Name="/ruleset", Value=RULESET.document, Type="String", Overwrite=True)
        return scan(*arguments)

    rebuild.table.scan = scan_and_go_back
    segment = Segment(0, 1, outdated_only=True)
    answer = rebuild.handler(segment.to_dict(), Context())
    assert (answer["next"]["done"], answer["next"]["items"]) == (False, 50)
    assert answer["next"]["ruleset"] == parse_ruleset(changed).version
    rebuild.table.scan = scan
    answer = rebuild.handler(json.loads(json.dumps(answer["next"])), Context())
    assert (answer["next"]["done"], answer["next"]["ruleset"]) == (True, RULESET.version)
    stored = account.store.load_identities([f"user:u{number}" for number in range(60)])
    assert {one.body.ruleset for one in stored.values() if one.body is not None} == {RULESET.version}


def test_a_lead_that_fails_is_logged_with_its_reason(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    account.add_lead("ada")
    account.add_lead("bob")
    account.spoil("ada", "claimed", "[")
    answer = account.function("rebuild").handler(Segment(0, 1).to_dict(), Context())
    assert answer["next"]["counts"] == {"failed": 1}
    out = capsys.readouterr().out
    assert "JSONDecodeError" in out
    assert '"LeadsFailed":[1.0]' in out


def get(module: ModuleType, path: str, **query: str) -> tuple[int, dict[str, Any]]:
    answer = module.handler(proxy_event(path, None, query=query, method="GET"), Context())
    return answer["statusCode"], json.loads(answer["body"])


def ago(days: float) -> str:
    return format_instant(from_datetime(NOW - timedelta(days=days)))


def test_a_lead_is_read_as_of_an_instant(account: Account) -> None:
    account.add_lead("ada", days_ago=2)
    api = account.function("api")
    status, past = get(api, "/leads/ada", at=ago(3))
    assert (status, past["score"]["total"], past["score"]["at"], past["events"]) == (200, 0.0, ago(3), [])
    assert past["as_of"] == {"at": ago(3), "log_begins": None, "account_traits": "exact"}
    assert get(api, "/leads/ada", at=ago(2))[1]["score"]["total"] == 20.0
    status, present = get(api, "/leads/ada")
    assert (status, present["score"]["total"], "as_of" in present) == (200, 20.0, False)


def test_a_lead_is_read_under_any_ruleset_that_was_published(account: Account) -> None:
    account.add_lead("ada")
    changed = json.loads(RULESET.document)
    next(one for one in changed["criteria"] if one["id"] == "free-trial")["points"] = 99
    boto3.client("ssm").put_parameter(Name="/ruleset", Value=json.dumps(changed), Type="String", Overwrite=True)
    api = account.function("api")
    assert get(api, "/leads/ada")[1]["score"]["total"] == 99.0
    for version in (RULESET.version, RULESET.version[:6]):
        status, before = get(api, "/leads/ada", ruleset=version)
        assert (status, before["score"]["total"], before["score"]["version"]) == (200, 20.0, RULESET.version)
    assert get(api, "/leads/ada", ruleset=RULESET.version, at=ago(2))[1]["score"]["total"] == 0.0


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"at": "yesterday"}, 400, "invalid_query"),
        ({"at": "2999-01-01T00:00:00Z"}, 400, "invalid_query"),
        ({"ruleset": "newest"}, 400, "invalid_query"),
        ({"ruleset": "0" * 12}, 404, "unknown_ruleset"),
        ({"colour": "red"}, 400, "invalid_query"),
        ({"at": "2026-01-01T00:00:00Z"}, 404, "unknown_lead"),
    ],
)
def test_what_cannot_be_recalled_has_code_and_message(
    account: Account, query: dict[str, str], status: int, code: str
) -> None:
    answered, body = get(account.function("api"), "/leads/nobody", **query)
    assert (answered, body["code"]) == (status, code)
    assert body["message"]
