"""`leadscore quarantine`: what does not count is shown with its reason, and sent again before it leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from leadscore.adapters.clock import pause
from leadscore.adapters.dynamodb import DynamoStore
from leadscore.adapters.quarantine import DynamoWard
from leadscore.adapters.queues import QueueError, SqsQueue
from leadscore.core.identity import Ownership
from leadscore.core.instants import format_instant, parse_instant, to_datetime
from leadscore.core.state import Moment
from leadscore.quarantine import Reason
from leadscore.usecases.records import Quarantined, StoredIdentity
from leadscore_cli import main, quarantine
from tests.contract.leads_table import TABLE, create_leads_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

NOW = "2026-03-01T12:00:00.000Z"


@dataclass
class Deployment:
    events_queue_url: str
    table: str = TABLE
    event_retention_days: int = 400


@dataclass
class Stage:
    """A deployed stage of its own, and what lies in its quarantine."""

    deployment: Deployment

    @contextmanager
    def sqs(self) -> Iterator[SQSClient]:
        yield boto3.client("sqs")

    @contextmanager
    def dynamodb(self, connections: int) -> Iterator[DynamoDBClient]:
        assert connections > 1
        yield boto3.client("dynamodb")

    @property
    def ward(self) -> DynamoWard:
        return DynamoWard(boto3.client("dynamodb"), TABLE, pause, retention_days=400)

    @property
    def store(self) -> DynamoStore:
        return DynamoStore(boto3.client("dynamodb"), TABLE, shards=2, retention_days=400)

    def fill(self) -> None:
        """Keep three of a bot, one of a burst, and two of our own, of whom each has the next one's mark."""
        self.ward.keep([make_kept(f"b{day}", days_ago=day) for day in (1, 2, 9)])
        self.ward.keep([make_kept("u1", "user:flood", Reason.BURST)])
        self.ward.keep([make_kept(f"i{day}", "user:eve", Reason.INTERNAL_DOMAIN, day) for day in (3, 4)])
        self.ward.hold(["user:eve", "anonymous:laptop"], Reason.INTERNAL_DOMAIN, 0)

    def sent(self) -> list[dict[str, Any]]:
        found = []
        url = self.deployment.events_queue_url
        while messages := boto3.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(message["Body"]) for message in messages]
        return found

    def held(self) -> set[str]:
        return set(self.ward.find_held(["user:eve", "anonymous:laptop"]))


def make_kept(
    message: str, identity: str = "anonymous:crawler", reason: Reason = Reason.BOT, days_ago: int = 0
) -> Quarantined:
    at = format_instant(parse_instant(NOW) - days_ago * 86_400_000)
    kind, _, value = identity.partition(":")
    ids = {"userId": value, "anonymousId": "laptop"} if kind == "user" else {"anonymousId": value}
    event = {"messageId": message, "type": "track", "event": "Viewed [b]x", "timestamp": at, "receivedAt": at, **ids}
    return Quarantined(identity, event, reason, "web", parse_instant(NOW))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:

    with mock_aws():
        create_leads_table()
        stage = Stage(Deployment(boto3.client("sqs").create_queue(QueueName="events")["QueueUrl"]))
        monkeypatch.setattr(quarantine, "target_of_project", lambda _stage: stage)
        monkeypatch.setattr(quarantine, "utc_now", lambda: to_datetime(parse_instant(NOW)))
        yield stage


def invoke(*arguments: str, say: str | None = None) -> Result:
    return CliRunner().invoke(main.app, ["quarantine", *arguments], input=say, env={"COLUMNS": "300", "TERM": "dumb"})


def run(*arguments: str) -> str:
    answer = invoke(*arguments)
    assert answer.exit_code == 0, answer.output
    return answer.output


def listed(*arguments: str) -> tuple[dict[str, int], list[str]]:
    told = json.loads(run("list", "--json", *arguments))
    return told["counts"], [each["event"]["messageId"] for each in told["events"]]


def test_counts_come_first_and_then_the_newest(stage: Stage) -> None:
    stage.fill()
    everything = {"bot": 3, "internal_domain": 2, "burst": 1}
    assert listed() == (everything, ["u1", "b1", "b2", "i3", "i4", "b9"])
    assert listed("--limit", "2") == (everything, ["u1", "b1"])
    assert listed("--limit", "0") == (everything, [])
    lines = run("list").splitlines()
    assert [line.split() for line in lines[:3]] == [["3", "bot"], ["2", "internal_domain"], ["1", "burst"]]
    assert lines[4].split() == [NOW, "burst", "web", "flood", "track", "Viewed", "[b]x"]
    assert "anonymous:crawler" in lines[5]


@pytest.mark.parametrize(
    ("arguments", "counts", "events"),
    [
        (["--reason", "bot"], {"bot": 3}, ["b1", "b2", "b9"]),
        (["--since", "2d"], {"bot": 2, "burst": 1}, ["u1", "b1", "b2"]),
        (["--reason", "bot", "--since", "1w"], {"bot": 2}, ["b1", "b2"]),
        (["--lead", "eve"], {"internal_domain": 2}, ["i3", "i4"]),
        (["--lead", "eve", "--since", "3d"], {"internal_domain": 1}, ["i3"]),
        (["--lead", "eve", "--reason", "bot"], {}, []),
        (["--lead", "eve", "--limit", "1"], {"internal_domain": 2}, ["i3"]),
        (["--lead", "nobody"], {}, []),
    ],
)
def test_a_part_can_be_asked_for(stage: Stage, arguments: list[str], counts: dict[str, int], events: list[str]) -> None:
    stage.fill()
    assert listed(*arguments) == (counts, events)


def test_nothing_is_told_where_there_is_nothing(stage: Stage) -> None:
    assert "nothing is quarantined" in run("list")
    assert "nothing is quarantined" in run("clear", "--all", "--yes")
    assert listed() == ({}, [])


def test_a_leads_other_ids_lead_to_it(stage: Stage) -> None:
    claim = Ownership(1, "m", "user:eve")
    stage.store.commit([StoredIdentity("user:eve", 1, claimed={"anonymous:phone": Moment(1, "m")})])
    stage.store.commit([StoredIdentity("anonymous:phone", 1, owner=claim)])
    stage.ward.keep([make_kept("p1", "anonymous:phone")])
    stage.fill()
    assert set(listed("--lead", "phone")[1]) == set(listed("--lead", "eve")[1]) == {"p1", "i3", "i4"}


def test_one_reason_is_cleared_and_the_others_stay(stage: Stage) -> None:
    stage.fill()
    assert "3 events are on their way" in run("clear", "--reason", "bot", "--yes")
    sent = stage.sent()
    assert {message["event"]["messageId"] for message in sent} == {"b1", "b2", "b9"}
    assert all((message["cleared"], message["source"]) == (True, "web") for message in sent)
    assert listed()[0] == {"internal_domain": 2, "burst": 1}
    assert stage.held() == {"user:eve", "anonymous:laptop"}
    assert "nothing is quarantined" in run("clear", "--reason", "bot", "--yes")
    assert stage.sent() == []


def test_a_cleared_lead_is_no_longer_marked(stage: Stage) -> None:
    stage.fill()
    assert "2 events are on their way" in run("clear", "--lead", "eve", "--yes")
    assert {message["event"]["messageId"] for message in stage.sent()} == {"i3", "i4"}
    assert stage.held() == set()
    assert listed()[0] == {"bot": 3, "burst": 1}


def test_a_mark_goes_where_nothing_else_is_left_of_it(stage: Stage) -> None:
    stage.ward.hold(["user:eve", "anonymous:laptop"], Reason.INTERNAL_DOMAIN, 0)
    run("clear", "--lead", "laptop", "--yes")
    assert stage.held() == {"user:eve"}


def test_everything_is_cleared_beyond_a_batch(stage: Stage) -> None:
    stage.fill()
    stage.ward.keep([make_kept(f"n{place}") for place in range(250)])
    assert "256 events are on their way" in run("clear", "--all", "--yes")
    assert len({message["event"]["messageId"] for message in stage.sent()}) == 256
    assert listed() == ({}, [])
    assert stage.held() == set()


def test_it_asks_before_it_clears(stage: Stage) -> None:
    stage.fill()
    refused = invoke("clear", "--all", say="n\n")
    assert (refused.exit_code, stage.sent()) == (1, [])
    assert "6 events" in refused.output
    assert invoke("clear", "--all", say="y\n").exit_code == 0
    assert len(stage.sent()) == 6


@pytest.mark.parametrize("arguments", [[], ["--all", "--reason", "bot"], ["--all", "--lead", "eve"]])
def test_it_must_be_said_what_to_clear(stage: Stage, arguments: list[str]) -> None:
    stage.fill()
    answer = invoke("clear", "--yes", *arguments)
    assert (answer.exit_code, stage.sent()) == (1, [])
    assert "clear what?" in answer.output


@pytest.mark.parametrize("since", ["yesterday", "5", "-1d"])
def test_a_time_that_cannot_be_read_is_named(stage: Stage, since: str) -> None:
    answer = invoke("list", f"--since={since}")
    assert answer.exit_code == 1
    assert repr(since) in answer.output


def test_what_cannot_be_sent_stays(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    class Down(SqsQueue):
        def send_all(self, bodies: Sequence[str]) -> None:
            raise QueueError(f"no room for {len(bodies)}")

    stage.fill()
    monkeypatch.setattr(quarantine, "SqsQueue", Down)
    answer = invoke("clear", "--all", "--yes")
    assert answer.exit_code == 1
    assert "no room for 6" in answer.output
    assert listed()[0] == {"bot": 3, "internal_domain": 2, "burst": 1}
    assert stage.held() == {"user:eve", "anonymous:laptop"}
