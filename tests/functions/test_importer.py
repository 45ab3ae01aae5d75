"""importer as it is wired: objects in, messages on the queue, what is left out, and nothing of a line in the log."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from leadscore.core.instants import format_instant, from_datetime
from tests.functions.deployed import Context, import_function
from tests.property.archived import as_lines

BUCKET = "acme-archive"
NOW = datetime.now(UTC)  # noqa: TID251


@dataclass
class Account:
    """A bucket with an archive, and the queue that events go to."""

    queue: str
    patch: pytest.MonkeyPatch

    def importer(self, **environment: str) -> ModuleType:
        everything = {
            "IMPORT_BUCKET": BUCKET,
            "EVENTS_QUEUE_URL": self.queue,
            "EVENT_RETENTION_DAYS": "400",
            "EVENTS_PER_SECOND": "5000",
            "MOST_QUEUED": "1000",
            "WORK_SECONDS": "60",
        }
        return import_function("importer", everything | environment, self.patch)

    def put(self, key: str, content: bytes) -> None:
        boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)

    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        sqs = boto3.client("sqs")
        while batch := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"]) for message in batch]
        return found


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with mock_aws():
        region = boto3.Session().region_name
        location: Any = {} if region == "us-east-1" else {
            "CreateBucketConfiguration": {"LocationConstraint": region}
        }  # fmt: skip
        boto3.client("s3").create_bucket(Bucket=BUCKET, **location)
        yield Account(boto3.client("sqs").create_queue(QueueName="events")["QueueUrl"], monkeypatch)


def events(number: int, days_ago: float = 1) -> bytes:
    at = format_instant(from_datetime(NOW - timedelta(days=days_ago)))
    said = {"type": "track", "event": "Clicked", "timestamp": at}
    return as_lines({**said, "messageId": f"m{each}", "userId": f"secret-{each}"} for each in range(number))


def call(module: ModuleType, event: dict[str, Any]) -> dict[str, Any]:
    """Call the function as the state machine does, which hands on JSON."""
    answer: dict[str, Any] = json.loads(json.dumps(module.handler(json.loads(json.dumps(event)), Context())))
    return answer


def test_objects_become_messages_that_are_marked(account: Account) -> None:
    account.put("a.gz", gzip.compress(events(15)))
    account.put("b", events(3, days_ago=500))
    answer = call(account.importer(), {"Items": [{"Key": "a.gz"}, {"Key": "b"}]})
    assert (answer["done"], answer["objects"]) == (True, 2)
    assert answer["counts"] == {"accepted": 15, "expired": 3, "rejected": {}}
    messages = account.messages()
    assert {message["event"]["messageId"] for message in messages} == {f"m{each}" for each in range(15)}
    assert {(message["source"], message["imported"]) for message in messages} == {("import", True)}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_call_whose_time_is_up_is_gone_on_with(account: Account, pack: Any) -> None:
    account.put("a", pack(events(25)))
    importer = account.importer(WORK_SECONDS="0", EVENTS_PER_SECOND="10")
    answer: dict[str, Any] = {"Key": "a"}
    calls = 0
    while not answer.get("done"):
        # A pace of ten a second would have the test wait.
        account.patch.setattr(importer.importer.pace.__self__, "_free_at", 0.0)
        answer, calls = call(importer, answer), calls + 1
    assert (calls, answer["counts"]) == (4, {"accepted": 25, "expired": 0, "rejected": {}})
    assert sorted(message["event"]["messageId"] for message in account.messages()) == sorted(
        f"m{each}" for each in range(25)
    )


def test_a_full_queue_is_given_time(account: Account) -> None:
    account.put("a", events(25))
    importer = account.importer(MOST_QUEUED="0")
    sqs = boto3.client("sqs")
    sqs.send_message(QueueUrl=account.queue, MessageBody="{}")
    answer = call(importer, {"Key": "a"})
    assert (answer["waiting"], answer["done"], answer["counts"]["accepted"]) == (True, False, 0)
    account.messages()
    answer = call(importer, answer)
    assert answer["counts"]["accepted"] == 25
    account.messages()
    answer = call(importer, answer)
    assert (answer["waiting"], answer["done"], answer["counts"]["accepted"]) == (False, True, 25)


def test_bad_lines_and_lost_objects_are_told_by_number_and_reason_alone(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.put("a", events(1) + b'{"type": "scream", "userId": "secret-9", "timestamp": "2026-01-01T00:00:00Z"}\n')
    answer = call(account.importer(), {"Items": [{"Key": "gone"}, {"Key": "a"}]})
    assert answer["counts"] == {"accepted": 1, "expired": 0, "rejected": {"unreadable_object": 1, "unknown_type": 1}}
    out = capsys.readouterr().out
    lines = [json.loads(line) for line in out.splitlines() if "was not imported" in line]
    assert [(line["object"], line["line"], line["code"]) for line in lines] == [
        ("gone", 0, "unreadable_object"),
        ("a", 2, "unknown_type"),
    ]
    assert "secret" not in out
    assert '"EventsImported":[1.0]' in out
    assert '"LinesRejected":[2.0]' in out


def test_a_queue_that_fails_fails_the_call(account: Account) -> None:
    account.put("a", events(1))
    importer = account.importer()
    boto3.client("sqs").delete_queue(QueueUrl=account.queue)
    with pytest.warns(UserWarning, match="No application metrics"), pytest.raises(RuntimeError, match="queue"):
        call(importer, {"Key": "a"})
