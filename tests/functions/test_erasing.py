"""erase and the export as they are wired: a request in, a receipt or lines out, and nobody left in the table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from moto import mock_aws

from leadscore import parse_ruleset
from leadscore.adapters.settings import MissingSettingError
from leadscore.core.identity import pseudonym
from leadscore.usecases.records import ConflictError
from tests.contract.leads_table import TABLE, create_leads_table
from tests.functions.deployed import Context, import_function
from tests.functions.envelopes import proxy_event

RULESET = parse_ruleset(
    {
        "identity": {"email": True, "external": ["crm"]},
        "tiers": [{"name": "hot", "from": 50}, {"name": "cold"}],
        "groups": {"engagement": {"half_life": "30d"}},
        "criteria": [{"id": "trial", "group": "engagement", "event": {"event": ["Trial Started"]}, "points": 60}],
    }
)
# Every word here stands for something that names the person, and must not be left anywhere.
PERSONAL = ("grace", "Hopper", "hopper", "phone-4711", "laptop-0815", "crm-77", "@")
IDENTITIES = {
    "user:grace/hopper",
    "external:crm:crm-77",
    "email:grace@hopper.example",
    "anonymous:phone-4711",
    "anonymous:laptop-0815",
}


@dataclass
class Account:
    """What the functions share."""

    events: str
    changes: str
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
            "TOMBSTONE_RETENTION_DAYS": "1095",
            "SWEEP_DELAY_SECONDS": "0",
            "CHANGES_QUEUE_URL": self.changes,
            "EVENTS_QUEUE_URL": self.events,
        }
        return import_function(name, everything | environment, self.patch)

    def score(self, *bodies: str) -> None:
        records = [{"messageId": f"sqs-{i}", "body": body} for i, body in enumerate(bodies)]
        assert self.function("score").handler({"Records": records}, Context()) == {"batchItemFailures": []}

    def take(self, queue_url: str) -> list[str]:
        answer = boto3.client("sqs").receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)
        return [message["Body"] for message in answer.get("Messages", [])]

    def items(self) -> list[dict[str, Any]]:
        return [dict(item) for item in boto3.client("dynamodb").scan(TableName=TABLE)["Items"]]

    def call(self, module: ModuleType, method: str, path: str, **query: str) -> tuple[int, str]:
        answer = module.handler(proxy_event(path, None, query=query, method=method), Context())
        return answer["statusCode"], answer["body"]

    def erase(self, who: str = "grace/hopper", **environment: str) -> tuple[int, dict[str, Any]]:
        module = self.function("erase", **environment)
        status, body = self.call(module, "DELETE", f"/leads/{quote(who, safe='')}")
        return status, json.loads(body)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with mock_aws():
        create_leads_table()
        events, changes = (boto3.client("sqs").create_queue(QueueName=name)["QueueUrl"] for name in ("e", "c"))
        boto3.client("ssm").put_parameter(Name="/ruleset", Value=RULESET.document, Type="String")
        boto3.client("ssm").put_parameter(Name="/mappings", Value='{"mappings":[]}', Type="String")
        boto3.client("ssm").put_parameter(Name="/quarantine", Value='{"bots":true}', Type="String")
        yield Account(events, changes, monkeypatch)


def message(number: int, kind: str, **more: object) -> str:
    at = (datetime.now(UTC) - timedelta(minutes=60 - number)).isoformat(timespec="milliseconds")  # noqa: TID251
    time = at.replace("+00:00", "Z")
    named = {"userId": "grace/hopper"} if "anonymousId" not in more else {}
    event = {"messageId": f"m{number}", "type": kind, "timestamp": time, "receivedAt": time, **named, **more}
    return json.dumps({"event": event, "source": "web"})


def live(account: Account) -> None:
    traits = {"name": "Grace Hopper", "email": "grace@hopper.example", "company": {"name": "Acme"}}
    account.score(
        message(1, "page", anonymousId="phone-4711", properties={"path": "/grace"}),
        message(2, "identify", userId="grace/hopper", anonymousId="phone-4711", traits=traits),
        message(3, "identify", anonymousId="laptop-0815", traits={"email": "grace@hopper.example"}),
        message(4, "track", event="Trial Started"),
        message(5, "track", context={"externalId": [{"type": "crm", "id": "crm-77"}]}, event="Synchronised"),
        message(6, "group", groupId="acme", traits={"employees": 300}),
    )
    account.score(message(7, "group", groupId="beta", traits={"employees": 20}))
    boto3.client("sqs").purge_queue(QueueUrl=account.events)


def test_nothing_personal_is_left_in_any_item(account: Account) -> None:
    live(account)
    before = json.dumps(account.items())
    assert [word for word in PERSONAL if word not in before] == []
    status, receipt = account.erase()
    assert status == 200
    assert receipt.pop("erased_at")[:4].isdecimal()
    assert receipt == {"identities": 5, "events": 7, "events_left": 0, "pending_changes": 1, "memberships": 2}
    after = account.items()
    assert [word for word in PERSONAL if word in json.dumps(after)] == []
    tombstones = [item for item in after if "erased" in item]
    assert {item["pk"]["S"] for item in tombstones} == {f"ID#{pseudonym(name)}" for name in IDENTITIES}
    assert {frozenset(item) for item in tombstones} == {frozenset({"pk", "sk", "v", "erased", "expires_at"})}
    assert {item["pk"]["S"] for item in after} - {item["pk"]["S"] for item in tombstones} == {
        "ACCOUNT#acme",
        "ACCOUNT#beta",
    }


def test_tombstones_are_kept_for_as_long_as_the_stage_says(account: Account) -> None:
    live(account)
    account.erase(TOMBSTONE_RETENTION_DAYS="30")
    now = datetime.now(UTC)  # noqa: TID251
    for item in account.items():
        if "erased" in item:
            until = datetime.fromtimestamp(int(item["expires_at"]["N"]), tz=UTC)
            assert timedelta(days=29.9) < until - now < timedelta(days=30.1)


def test_an_erased_person_is_unknown_to_readers_and_stays_so(account: Account) -> None:
    live(account)
    account.erase()
    account.score(message(8, "track", event="Trial Started"), message(4, "track", event="Trial Started"))
    account.score(message(9, "page", anonymousId="phone-4711"))
    api = account.function("api")
    for path in ("/leads/grace%2Fhopper", "/leads/grace%2Fhopper/export", "/leads/phone-4711"):
        status, body = account.call(api, "GET", path)
        assert (status, json.loads(body)["code"]) == (404, "unknown_lead")
    assert json.loads(account.call(api, "GET", "/leads")[1])["leads"] == []
    assert [word for word in PERSONAL if word in json.dumps(account.items())] == []


def test_what_came_while_it_was_erased_is_swept_up_by_score(account: Account) -> None:
    live(account)
    account.erase()
    late = json.loads(message(8, "group", groupId="gamma"))["event"]
    store = account.function("score").store
    store.put_events("user:grace/hopper", [late])
    store.add_member("gamma", "user:grace/hopper")
    sweep, *ratings = account.take(account.events)
    assert [word for word in PERSONAL if word in sweep] == []
    assert ratings == ['{"rate": "acme"}', '{"rate": "beta"}']
    account.score(sweep)
    assert [word for word in PERSONAL if word in json.dumps(account.items())] == []


def test_a_sweep_stays_out_of_sight_for_the_delay(account: Account) -> None:
    live(account)
    account.erase(SWEEP_DELAY_SECONDS="90")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    counts = boto3.client("sqs").get_queue_attributes(QueueUrl=account.events, AttributeNames=names)["Attributes"]  # type: ignore[arg-type]
    # And so do the ratings of the two accounts that the person was ever in.
    assert counts == {"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesDelayed": "3"}


def test_erasing_twice_gives_the_same_instant_and_zeros(account: Account) -> None:
    live(account)
    _, first = account.erase()
    assert account.erase("email:grace@hopper.example") == (
        200,
        dict.fromkeys(first, 0) | {"erased_at": first["erased_at"]},
    )


def test_nobody_is_404_with_code_and_message(account: Account) -> None:
    status, body = account.erase("nobody")
    assert (status, body["code"]) == (404, "unknown_lead")
    assert "nobody" not in body["message"]


def test_no_id_is_logged(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    live(account)
    account.erase()
    account.erase()
    account.erase("hopper-nobody")
    account.erase(TABLE_NAME="no-such-table")
    out = capsys.readouterr().out
    assert '"IdentitiesErased":[5.0]' in out
    assert [word for word in PERSONAL if word in out] == []


def test_our_own_failure_leaks_nothing_and_may_be_sent_again(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    status, body = account.erase(TABLE_NAME="no-such-table")
    assert (status, body["code"]) == (500, "internal_error")
    assert "no-such-table" not in body["message"]
    out = capsys.readouterr().out
    assert "ResourceNotFoundException" in out
    assert '"ErasuresFailed":[1.0]' in out


def test_a_lead_that_is_always_written_by_others_is_503(account: Account) -> None:
    live(account)
    erase = account.function("erase")

    def bury(*_: object) -> None:
        raise ConflictError

    erase.graves.bury = bury
    erase.pause = lambda _: None  # type: ignore[attr-defined]
    status, body = account.call(erase, "DELETE", "/leads/phone-4711")
    assert (status, json.loads(body)["code"]) == (503, "contended")


def test_an_export_is_lines_that_end_with_where_to_go_on(account: Account) -> None:
    live(account)
    api = account.function("api")
    answer = api.handler(proxy_event("/leads/grace%2Fhopper/export", None, method="GET"), Context())
    assert answer["statusCode"] == 200
    assert answer["headers"]["Content-Type"] == "application/x-ndjson"
    assert answer["headers"]["Cache-Control"] == "no-store"
    lines = [json.loads(line) for line in answer["body"].splitlines()]
    assert [line["kind"] for line in lines] == ["lead", *["event"] * 7, "change", "page"]
    assert lines[0]["id"] == "grace/hopper"
    assert lines[-1]["next_cursor"] is None


def test_an_export_goes_on_behind_its_cursor(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    live(account)
    api = account.function("api")
    monkeypatch.setattr("leadscore.usecases.exporting.PAGE_BYTES", 900)
    query: dict[str, str] = {}
    kinds: list[str] = []
    for _ in range(20):
        _, body = account.call(api, "GET", "/leads/grace%2Fhopper/export", **query)
        *lines, last = map(json.loads, body.splitlines())
        kinds += [line["kind"] for line in lines]
        if last["next_cursor"] is None:
            break
        query = {"cursor": last["next_cursor"]}
    assert kinds == ["lead", *["event"] * 7, "change"]


def test_a_cursor_that_is_none_is_400(account: Account) -> None:
    live(account)
    status, body = account.call(account.function("api"), "GET", "/leads/phone-4711/export", cursor="grace")
    assert (status, json.loads(body)["code"]) == (400, "invalid_query")
    assert "grace" not in body


def test_a_missing_setting_fails_the_start_by_name(account: Account) -> None:
    with pytest.raises(MissingSettingError, match="SWEEP_DELAY_SECONDS"):
        account.function("erase", SWEEP_DELAY_SECONDS="soon")
