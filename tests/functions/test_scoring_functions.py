"""score, notify and api as they are wired: queue records in, states, alerts and answers out."""

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
from botocore.client import BaseClient
from moto import mock_aws

from leadscore import parse_ruleset
from leadscore.adapters.settings import MissingSettingError
from leadscore.security_headers import SECURITY_HEADERS
from tests.contract.leads_table import TABLE, create_leads_table
from tests.functions.calibrated import FITTED, store_calibration
from tests.functions.deployed import Context, import_function
from tests.functions.envelopes import proxy_event
from tests.unit.test_signals import check

RULESET = parse_ruleset((Path(__file__).parents[2] / "infra" / "ruleset.yaml").read_text())
EXECUTIVE = {"title": "CEO", "name": "Grace Hopper", "company": {"name": "Acme", "employees": 300}}


@dataclass
class Account:
    """What the three functions share, and the queue that is subscribed to the alerts."""

    events: str
    changes: str
    inbox: str
    topic: str
    bus_queue: str
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
            "CHANGES_QUEUE_URL": self.changes,
            "ALERTS_TOPIC_ARN": self.topic,
            "BUS_NAME": "default",
            "FEEDBACK_URL": "https://api.example/v1",
            "STAGE": "test",
            "EVENTS_QUEUE_URL": self.events,
        }
        return import_function(name, everything | environment, self.patch)

    def take(self, queue_url: str) -> list[dict[str, str]]:
        """Take what is on a queue away, as the records of an event source."""
        sqs = boto3.client("sqs")
        messages = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return [{"messageId": message["MessageId"], "body": message["Body"]} for message in messages]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with mock_aws():
        create_leads_table()
        sqs, sns, events = boto3.client("sqs"), boto3.client("sns"), boto3.client("events")
        urls = [
            sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"} if "fifo" in name else {})["QueueUrl"]
            for name in ("events", "changes.fifo", "inbox", "heard")
        ]
        arns = [
            sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            for url in urls
        ]
        topic = sns.create_topic(Name="alerts")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arns[2])
        events.put_rule(Name="heard", EventPattern=json.dumps({"source": ["leadscore"]}))
        events.put_targets(Rule="heard", Targets=[{"Id": "heard", "Arn": arns[3]}])
        boto3.client("ssm").put_parameter(Name="/ruleset", Value=RULESET.document, Type="String")
        boto3.client("ssm").put_parameter(Name="/mappings", Value='{"mappings":[]}', Type="String")
        boto3.client("ssm").put_parameter(Name="/quarantine", Value='{"bots":true}', Type="String")
        yield Account(urls[0], urls[1], urls[2], topic, urls[3], monkeypatch)


def record(number: int | str, kind: str, **more: object) -> dict[str, str]:
    at = (datetime.now(UTC) - timedelta(minutes=5)).isoformat(timespec="milliseconds").replace("+00:00", "Z")  # noqa: TID251
    event = {"messageId": f"m{number}", "type": kind, "timestamp": at, "receivedAt": at, "userId": "grace", **more}
    return {"messageId": f"sqs-{number}", "body": json.dumps({"event": event, "source": "web"})}


def hot_records() -> list[dict[str, str]]:
    """Return the worked example, five minutes old at the moment of the call."""
    return [
        record(1, "identify", traits=EXECUTIVE),
        record(2, "page", properties={"path": "/pricing"}),
        record(3, "track", event="Trial Started"),
    ]


def get(module: ModuleType, path: str, **query: str) -> tuple[int, dict[str, Any]]:
    answer = module.handler(proxy_event(path, None, query=query, method="GET"), Context())
    return answer["statusCode"], json.loads(answer["body"])


def test_a_hot_lead_goes_all_the_way(account: Account) -> None:
    assert account.function("score").handler({"Records": hot_records()}, Context()) == {"batchItemFailures": []}
    changes = account.take(account.changes)
    assert [json.loads(change["body"]) for change in changes] == [{"lead": "user:grace"}]
    notify = account.function("notify")
    assert notify.handler({"Records": changes}, Context()) == {"batchItemFailures": []}
    assert account.take(account.changes) == []
    [alert] = account.take(account.inbox)
    [lead] = json.loads(json.loads(alert["body"])["Message"])["leads"]
    assert (lead["score"], lead["person"]["id"]) == (53.0, "grace")
    [heard] = account.take(account.bus_queue)
    envelope = json.loads(heard["body"])
    assert (envelope["detail-type"], envelope["detail"]["tier"]) == ("LeadTierChanged", "hot")
    check("LeadTierChanged", json.dumps(envelope["detail"]))
    assert notify.handler({"Records": changes}, Context()) == {"batchItemFailures": []}
    assert account.take(account.inbox) == account.take(account.bus_queue) == account.take(account.changes) == []


def test_few_requests_lie_between_an_event_and_its_alert(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    score, notify = (account.function(name, RULESET_TTL_SECONDS="60") for name in ("score", "notify"))
    score.handler({"Records": [record(1, "identify", traits=EXECUTIVE)]}, Context())
    score.handler({"Records": [record(2, "page", properties={"path": "/pricing"})]}, Context())
    notify.handler({"Records": account.take(account.changes)}, Context())
    # Read once in a while, as the ruleset.
    notify.calibration.value()
    asked: list[str] = []
    ask = BaseClient._make_api_call  # type: ignore[attr-defined]

    def ask_and_tell(client: BaseClient, operation: str, content: dict[str, Any]) -> Any:
        asked.append(operation)
        return ask(client, operation, content)

    monkeypatch.setattr(BaseClient, "_make_api_call", ask_and_tell)
    score.handler({"Records": [record(3, "track", event="Trial Started")]}, Context())
    assert asked == ["GetItem", "PutItem", "UpdateItem", "SendMessageBatch"]
    changes = account.take(account.changes)
    asked.clear()
    notify.handler({"Records": changes}, Context())
    assert asked[: asked.index("Publish") + 1] == ["BatchGetItem", "PutItem", "Publish"]


def test_who_has_little_time_left_leaves_the_alert_to_a_message_of_its_own(account: Account) -> None:
    account.function("score").handler({"Records": hot_records()}, Context())
    notify, hurried = account.function("notify"), Context(millis_left=2_000)
    assert notify.handler({"Records": account.take(account.changes)}, hurried) == {"batchItemFailures": []}
    assert account.take(account.inbox) == []
    release = account.take(account.changes)
    assert notify.handler({"Records": release}, hurried) == {"batchItemFailures": []}
    assert len(account.take(account.inbox)) == 1
    assert notify.handler({"Records": release}, Context()) == {"batchItemFailures": []}
    assert account.take(account.inbox) == account.take(account.changes) == []


def test_an_alert_has_the_chance_to_convert_by_the_calibration_that_is_stored(account: Account) -> None:
    store_calibration(RULESET.version, datetime.now(UTC))  # noqa: TID251
    account.function("score").handler({"Records": hot_records()}, Context())
    account.function("notify").handler({"Records": account.take(account.changes)}, Context())

    [alert] = account.take(account.inbox)

    told = json.loads(json.loads(alert["body"])["Message"])
    assert told["leads"][0]["p_convert"] == FITTED.estimate(53.0).to_dict()
    assert (told["calibration"]["status"], told["calibration"]["leads"]) == ("current", 1200)


def test_a_lead_that_cooled_is_told_on_the_bus_and_alerts_nobody(account: Account) -> None:
    aged = json.loads(RULESET.document)
    next(one for one in aged["criteria"] if one["id"] == "free-trial")["within"] = "6m"
    boto3.client("ssm").put_parameter(Name="/ruleset", Value=json.dumps(aged), Type="String", Overwrite=True)
    account.function("score").handler({"Records": hot_records()}, Context())
    account.function("notify").handler({"Records": account.take(account.changes)}, Context())
    assert len(account.take(account.inbox)) == len(account.take(account.bus_queue)) == 1
    cool = account.function("cool")
    cool.utc_now = lambda: datetime.now(UTC) + timedelta(minutes=2)  # type: ignore[attr-defined]  # noqa: TID251
    cool.handler({}, Context())
    score = account.function("score")
    score.utc_now = cool.utc_now  # type: ignore[attr-defined]
    assert score.handler({"Records": account.take(account.events)}, Context()) == {"batchItemFailures": []}
    account.function("notify").handler({"Records": account.take(account.changes)}, Context())
    [heard] = account.take(account.bus_queue)
    detail = json.loads(heard["body"])["detail"]
    assert (detail["cause"], detail["previous_tier"], detail["tier"]) == ("time", "hot", "warm")
    assert account.take(account.inbox) == []


def test_an_alert_that_is_refused_goes_out_when_its_lease_is_over(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.function("score").handler({"Records": hot_records()}, Context())
    changes = account.take(account.changes)
    gone = account.topic + "-gone"
    # Its message does not come again: it would hold up whatever happens to the lead next.
    refused = account.function("notify", ALERTS_TOPIC_ARN=gone).handler({"Records": changes}, Context())
    assert refused == {"batchItemFailures": []}
    assert "an alert was not published" in capsys.readouterr().out
    assert len(account.take(account.bus_queue)) == 1
    # Until the lease is over nobody else publishes it: not who gets the change again, and not the schedule.
    notify, cool = account.function("notify"), account.function("cool")
    assert notify.handler({"Records": changes}, Context()) == {"batchItemFailures": []}
    cool.handler({}, Context())
    assert account.take(account.changes) == account.take(account.inbox) == []
    cool.utc_now = lambda: datetime.now(UTC) + timedelta(seconds=36)  # type: ignore[attr-defined]  # noqa: TID251
    cool.handler({}, Context())
    release = account.take(account.changes)
    assert ["desk" in json.loads(each["body"]) for each in release] == [True]
    assert notify.handler({"Records": release}, Context()) == {"batchItemFailures": []}
    assert account.take(account.inbox) == []
    notify.make_tools.keywords["clock"] = cool.utc_now
    assert notify.handler({"Records": [*release, *release]}, Context()) == {"batchItemFailures": []}
    assert len(account.take(account.inbox)) == 1


def test_events_that_were_sent_twice_are_counted_by_their_source(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    def received(again: str, *, times: int) -> list[dict[str, object]]:
        attributes = {"ApproximateReceiveCount": str(times)}
        return [{**one, "messageId": f"{again}-{one['messageId']}", "attributes": attributes} for one in hot_records()]

    score = account.function("score")
    score.handler({"Records": received("first", times=1)}, Context())
    score.handler({"Records": received("redelivered", times=2)}, Context())
    assert "EventsRepeated" not in capsys.readouterr().out
    score.handler({"Records": received("sent-again", times=1)}, Context())
    [counted] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "EventsRepeated" in line]
    assert (counted["EventsRepeated"], counted["service"], counted["source"]) == ([3.0], "score", "web")
    assert counted["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service", "source"]]


def test_an_event_of_no_source_that_was_sent_twice_is_done(account: Account) -> None:
    records = [{**one, "body": json.dumps({"event": json.loads(one["body"])["event"]})} for one in hot_records()]
    score = account.function("score")
    for _ in range(2):
        assert score.handler({"Records": records}, Context()) == {"batchItemFailures": []}


def test_poison_is_logged_with_its_reason_and_no_content(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    poison = {"messageId": "sqs-9", "body": '{"event": {"email": "secret@acme.example"}}'}
    answer = account.function("score").handler({"Records": [poison, *hot_records()]}, Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": "sqs-9"}]}
    out = capsys.readouterr().out
    assert '"code":"unknown_message"' in out
    assert '"EventsFailed":[1.0]' in out
    assert "secret@acme.example" not in out


@pytest.mark.filterwarnings("ignore:No application metrics")  # Powertools', on the way out of the failure
def test_a_ruleset_that_cannot_be_read_fails_the_whole_batch(account: Account) -> None:
    boto3.client("ssm").put_parameter(Name="/ruleset", Value='{"tiers": []}', Type="String", Overwrite=True)
    with pytest.raises(ValueError, match="tiers"):
        account.function("score").handler({"Records": hot_records()}, Context())


def test_reads_answer_the_list_and_the_lead(account: Account) -> None:
    account.function("score").handler({"Records": hot_records()}, Context())
    api = account.function("api")
    status, page = get(api, "/leads", tier="hot", limit="5")
    assert (status, page["next_cursor"]) == (200, None)
    answer = api.handler(proxy_event("/leads/grace", None, query={}, method="GET"), Context())
    assert answer["headers"].items() >= SECURITY_HEADERS.items()
    [row] = page["leads"]
    assert (row["id"], row["name"], row["company"], row["score"]) == ("grace", "Grace Hopper", "Acme", 53.0)
    assert [reason["points"] for reason in row["reasons"]] == [20.0, 15.0, 10.0]
    status, lead = get(api, "/leads/grace")
    assert (status, lead["score"]["tier"], len(lead["events"])) == (200, "hot", 3)
    assert sum(factor["points"] for factor in lead["score"]["factors"]) == lead["score"]["total"]


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("/leads/nobody", {}, 404, "unknown_lead"),
        ("/leads", {"limit": "0"}, 400, "invalid_query"),
        ("/leads", {"limit": "ten"}, 400, "invalid_query"),
        ("/leads", {"tier": "lukewarm"}, 400, "invalid_query"),
        ("/leads", {"cursor": "bm90IGpzb24="}, 400, "invalid_query"),
        ("/leads", {"colour": "red"}, 400, "invalid_query"),
    ],
)
def test_bad_reads_have_code_and_message(
    account: Account, path: str, query: dict[str, str], status: int, code: str
) -> None:
    answered, body = get(account.function("api"), path, **query)
    assert (answered, body["code"]) == (status, code)
    assert body["message"]
    assert not {"ten", "lukewarm", "red", "nobody"} & set(body["message"].split())


def test_our_own_failure_leaks_nothing(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    status, body = get(account.function("api", TABLE_NAME="no-such-table"), "/leads/grace")
    assert (status, body["code"]) == (500, "internal_error")
    assert "no-such-table" not in body["message"]
    assert "ResourceNotFoundException" in capsys.readouterr().out


def test_a_missing_setting_fails_the_start_by_name(account: Account) -> None:
    with pytest.raises(MissingSettingError, match="TABLE_NAME"):
        account.function("api", TABLE_NAME="")
    with pytest.raises(MissingSettingError, match="RANK_SHARDS"):
        account.function("api", RANK_SHARDS="many")


def test_a_bots_events_count_for_nothing_and_are_counted_by_reason_and_source(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    trial, *others = hot_records()[::-1]
    bots = [
        {**trial, "body": json.dumps({**json.loads(trial["body"]), "edge": {"ip": "192.0.2.1", "userAgent": agent}})},
        record(8, "page", context={"userAgent": agent}),
        record(9, "page", context={"userAgent": "Barracuda Sentinel (EE)"}, properties={"path": "/secret"}),
    ]
    assert account.function("score").handler({"Records": [*bots, *others]}, Context()) == {"batchItemFailures": []}
    assert account.take(account.changes) != []
    status, lead = get(account.function("api"), "/leads/grace")
    assert (status, lead["score"]["total"], len(lead["events"])) == (200, 33.0, 2)
    out = capsys.readouterr().out
    counted = [json.loads(line) for line in out.splitlines() if "EventsQuarantined" in line]
    told = {(blob.get("reason"), blob.get("source")): (blob["EventsQuarantined"], blob["service"]) for blob in counted}
    assert told == {
        ("bot", None): ([2.0], "score"),
        ("link_scanner", None): ([1.0], "score"),
        (None, "web"): ([3.0], "score"),
    }
    assert not {"/secret", "192.0.2.1", "Googlebot"} & set(out.replace('"', " ").split())
