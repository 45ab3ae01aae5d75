"""digest as it is wired: records in the table in, messages of the topic and mail out, each once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws
from moto.sesv2.models import sesv2_backends
from moto.sns.models import sns_backends

from leadscore import Ruleset, parse_ruleset
from leadscore.adapters.desks import DynamoDesks
from leadscore.adapters.digests import DigestTopic, DynamoRounds, OwnersMail
from leadscore.adapters.dynamodb import DynamoStore
from leadscore.core.digest import Digest
from leadscore.core.digest_policy import Round
from leadscore.core.identity import pseudonym
from leadscore.core.instants import DAY, format_instant, from_datetime, parse_instant
from leadscore.usecases.alert_records import ChangeKey, ChangeRecord
from leadscore.usecases.digesting import UndeliveredError
from leadscore.usecases.records import ConflictError
from leadscore.usecases.scoring import Tools, apply_events
from tests.contract.leads_table import TABLE, create_leads_table
from tests.functions.deployed import Context, import_function
from tests.unit.digests import change, check, digests, subject

EIGHT = datetime(2026, 3, 2, 8, 0, 1, tzinfo=UTC)
RULESET = parse_ruleset(
    {
        "tiers": [{"name": "hot", "from": 50}, {"name": "cold"}],
        "criteria": [{"id": "trial", "group": "engagement", "event": {"event": ["Trial Started"]}, "points": 60}],
        "alerts": {"tier": "hot"},
        "digest": {"time_zone": "UTC"},
    }
)
SENDER = "alerts@company.example"
KIM = "kim@company.example"
ACCOUNT_ID = "123456789012"


@dataclass
class Account:
    """What the function works with, and two queues that are subscribed to its topic, one for an owner's alone."""

    topic: str
    queues: dict[str, str]
    patch: pytest.MonkeyPatch

    def function(self, **environment: str) -> ModuleType:
        everything = {
            "TABLE_NAME": TABLE,
            "DIGESTS_TOPIC_ARN": self.topic,
            "RULESET_PARAMETER": "/ruleset",
            "RULESET_TTL_SECONDS": "0",
            "EVENT_RETENTION_DAYS": "400",
            "RANK_SHARDS": "2",
            "SETTLING_SECONDS": "60",
            "STAGE": "test",
        }
        module = import_function("digest", everything | environment, self.patch)
        self.at(module, EIGHT)
        return module

    @staticmethod
    def at(module: ModuleType, now: datetime) -> None:
        module.make_tools.keywords["clock"] = lambda: now

    def heard(self, name: str) -> list[dict[str, Any]]:
        sqs, found = boto3.client("sqs"), list[dict[str, Any]]()
        messages = sqs.receive_message(QueueUrl=self.queues[name], MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=self.queues[name], ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
        return found


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with mock_aws():
        create_leads_table()
        sqs, sns = boto3.client("sqs"), boto3.client("sns")
        topic = sns.create_topic(Name="digests")["TopicArn"]
        queues = {}
        for name, policy in (("all", {"owner": ["*"]}), ("kim", {"owner": [KIM]})):
            queues[name] = sqs.create_queue(QueueName=name)["QueueUrl"]
            attributes = sqs.get_queue_attributes(QueueUrl=queues[name], AttributeNames=["QueueArn"])["Attributes"]
            options = {"RawMessageDelivery": "true", "FilterPolicy": json.dumps(policy)}
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["QueueArn"], Attributes=options)
        boto3.client("ssm").put_parameter(Name="/ruleset", Value=RULESET.document, Type="String")
        boto3.client("sesv2").create_email_identity(EmailIdentity=SENDER)
        yield Account(topic, queues, monkeypatch)


def get_hot(lead: str, owner: str | None, at: datetime = EIGHT - timedelta(hours=2), rules: Ruleset = RULESET) -> None:
    """Let a lead become hot, and leave the record that `notify` leaves of it."""
    client = boto3.client("dynamodb")
    store = DynamoStore(client, TABLE, shards=2, retention_days=400)
    scoring = Tools(store=store, ruleset=rules, clock=lambda: at, pause=lambda _: None)
    stamp = format_instant(from_datetime(at))
    told = {"userId": lead, "timestamp": stamp}
    events: list[dict[str, object]] = [
        {"messageId": f"{lead}1", "type": "identify", "traits": {"name": lead, "owner": owner}, **told},
        {"messageId": f"{lead}2", "type": "track", "event": "Trial Started", **told},
    ]
    identity = f"user:{lead}"
    apply_events(scoring, {identity: events})
    became = replace(change((None, 0.0), ("hot", 60.0)), id=f"{lead}-c", at=stamp)
    key = ChangeKey(pseudonym(identity), became.id)
    desks = DynamoDesks(client, TABLE, shards=2, retention_days=400)
    desks.note(ChangeRecord(key, became, "none", ""))


def mails() -> list[Any]:
    backend = sesv2_backends[ACCOUNT_ID]["us-east-1"]
    return list(backend.core_backend.sent_messages)


def test_each_subscriber_gets_its_digest_once(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    get_hot("ada", KIM)
    get_hot("bob", None)
    digest = account.function()
    digest.handler({}, Context())
    [everybody], [own] = account.heard("all"), account.heard("kim")
    assert [lead["person"]["id"] for lead in everybody["sections"][0]["leads"]] == ["ada", "bob"]
    assert [lead["person"]["id"] for lead in own["sections"][0]["leads"]] == ["ada"]
    assert (everybody["owner"], own["owner"], own["stage"]) == (None, KIM, "test")
    assert mails() == []
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "DigestsSent" in line]
    assert [(one["DigestsSent"], one["DigestsFailed"]) for one in told] == [([2.0], [0.0])]
    account.at(digest, EIGHT + timedelta(minutes=15))
    digest.handler({}, Context())
    assert account.heard("all") == account.heard("kim") == []
    assert capsys.readouterr().out == ""


def test_owners_in_the_senders_domain_get_mail(account: Account) -> None:
    get_hot("ada", "kim@COMPANY.example")
    get_hot("bob", "lee@elsewhere.example")
    get_hot("eve", "Kim Lind")
    account.function(DIGEST_FROM=SENDER).handler({}, Context())
    [mail] = mails()
    assert (mail.source, mail.destinations["ToAddresses"]) == (SENDER, [KIM])
    assert mail.subject == "Leads on 2026-03-02: 1 new hot"
    assert "ada: hot, score 60.0 (was 0.0)" in mail.body
    assert "bob" not in mail.body


def test_what_failed_is_raised_and_named_to_nobody_and_holds_up_nothing_else(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    get_hot("ada", KIM)
    digest = account.function(DIGEST_FROM=SENDER)
    boto3.client("sesv2").delete_email_identity(EmailIdentity=SENDER)
    with pytest.raises(UndeliveredError):
        digest.handler({}, Context())
    assert KIM not in capsys.readouterr().out
    assert len(account.heard("kim")) == 1
    digest.handler({}, Context())
    assert account.heard("kim") == []


def test_without_a_digest_in_the_ruleset_nothing_is_sent(account: Account) -> None:
    document = {name: value for name, value in json.loads(RULESET.document).items() if name != "digest"}
    boto3.client("ssm").put_parameter(Name="/ruleset", Value=json.dumps(document), Type="String", Overwrite=True)
    get_hot("ada", KIM)
    account.function().handler({}, Context())
    assert account.heard("all") == []


def test_mail_programs_get_text_and_a_subject(account: Account) -> None:
    get_hot("ada", KIM)
    account.function().handler({}, Context())
    sent = sns_backends[ACCOUNT_ID]["us-east-1"].topics[account.topic].sent_notifications
    _, message, subject_, *_ = sent[0]
    assert subject_ == "Leads on 2026-03-02: 1 new hot"
    assert json.loads(message)["email"].startswith("All leads since 2026-03-01")


# ------------------------------------------------------------------------------------------------------ the adapters

DATE = "2026-03-02"
BEGUN = Round(DATE, parse_instant("2026-03-01T07:00:00Z"), parse_instant("2026-03-02T07:00:00Z"))


@pytest.fixture
def rounds() -> Iterator[DynamoRounds]:
    with mock_aws():
        create_leads_table()
        yield DynamoRounds(boto3.client("dynamodb"), TABLE)


def test_a_round_is_read_back_as_it_was_written(rounds: DynamoRounds) -> None:
    assert rounds.newest() is None
    rounds.save(BEGUN, instead_of=None)
    assert rounds.newest() == BEGUN
    rounds.save(BEGUN._replace(done=True), instead_of=BEGUN)
    assert rounds.newest() == BEGUN._replace(done=True)


@pytest.mark.parametrize("instead_of", [None, BEGUN._replace(done=True), BEGUN._replace(until=BEGUN.until + 1)])
def test_a_round_that_another_run_wrote_stays(rounds: DynamoRounds, instead_of: Round | None) -> None:
    rounds.save(BEGUN, instead_of=None)
    with pytest.raises(ConflictError):
        rounds.save(BEGUN._replace(date="2026-03-03"), instead_of=instead_of)
    assert rounds.newest() == BEGUN


def test_marks_are_those_of_their_date_and_go_after_a_week(rounds: DynamoRounds) -> None:
    rounds.note_sent(DATE, "a#topic")
    rounds.note_sent(DATE, "a#topic")
    rounds.note_sent(DATE, "a#mail")
    rounds.note_sent("2026-03-03", "b#topic")
    assert rounds.sent(DATE) == {"a#topic", "a#mail"}
    ends = {item["expires_at"]["N"] for item in boto3.client("dynamodb").scan(TableName=TABLE)["Items"]}
    assert ends == {str((parse_instant(f"{day}T00:00:00Z") + 7 * DAY) // 1000) for day in (DATE, "2026-03-03")}


def one_digest(owner: str | None) -> Digest:
    leads = {"x": subject("ada", "hot", 53, owner)}
    return digests({"x": [change(("warm", 33), ("hot", 53))]}, leads)[-1]


@pytest.mark.parametrize(
    ("owner", "is_one"),
    [
        (KIM, True),
        ("Kim.Lind+x@COMPANY.example", True),
        (None, False),
        ("kim", False),
        ("kim@other.example", False),
        ("kim@sub.company.example", False),
        ("@company.example", False),
        ("kim@other.example,x@company.example", False),
        ("Kim <x@other.example> y@company.example", False),
        ('"a@b"@company.example', False),
        ("a..b@company.example", False),
        (f"{'k' * 65}@company.example", False),
        ("künstler@company.example", False),
    ],
)
def test_mail_goes_to_addresses_of_the_senders_own_domain_alone(owner: str | None, is_one: bool) -> None:
    with mock_aws():
        assert OwnersMail(boto3.client("sesv2"), SENDER).takes(one_digest(owner)) is is_one


class Refusing:
    """A client of SNS or SES that fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def publish(self, **_: object) -> None:
        raise self.error

    send_email = publish


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": f"{KIM} is not verified"}}, "SendEmail")


@pytest.mark.parametrize(
    ("error", "reason", "final"),
    [
        (refused("MessageRejected"), "MessageRejected", True),
        (refused("TooManyRequestsException"), "TooManyRequestsException", False),
        (EndpointConnectionError(endpoint_url=f"https://{KIM}"), "EndpointConnectionError", False),
    ],
)
def test_a_refusal_is_told_by_its_code_and_without_the_address(error: Exception, reason: str, final: bool) -> None:
    client: Any = Refusing(error)
    for way in (OwnersMail(client, SENDER), DigestTopic(client, "arn:aws:sns:us-east-1:1:digests")):
        with pytest.raises(UndeliveredError) as raised:
            way.send(one_digest(KIM))
        assert (str(raised.value), raised.value.final) == (reason, final)
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__


def test_what_is_published_is_what_the_schema_says(account: Account) -> None:
    DigestTopic(boto3.client("sns"), account.topic).send(one_digest(KIM))
    [document] = account.heard("kim")
    check(one_digest(KIM))
    assert document["sections"][0]["leads"][0]["person"]["id"] == "ada"
