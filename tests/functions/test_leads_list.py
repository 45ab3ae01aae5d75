"""GET /leads as it is wired: filters, JSON and CSV, cursors, and what a read hands on in passing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from leadscore import parse_ruleset
from leadscore.adapters.dynamodb import DynamoStore
from leadscore.core.instants import format_instant, from_datetime
from leadscore.usecases.ranking import TooManyLeadsError
from leadscore.usecases.scoring import Tools, apply_events
from tests.contract.leads_table import TABLE, create_leads_table
from tests.functions.calibrated import FITTED, store_calibration
from tests.functions.deployed import Context, import_function
from tests.functions.envelopes import proxy_event

RULESET = parse_ruleset((Path(__file__).parents[2] / "infra" / "ruleset.yaml").read_text(encoding="utf-8"))
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Answer:
    """What the API answered."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content

    @property
    def ids(self) -> list[str]:
        return [lead["id"] for lead in self.json["leads"]]

    @property
    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.body, newline="")))


class Stage:
    """A table with three leads, the queue of events, and the function that reads."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        create_leads_table()
        self._patch = patch
        self.queue = boto3.client("sqs").create_queue(QueueName="events")["QueueUrl"]
        boto3.client("ssm").put_parameter(Name="/ruleset", Value=RULESET.document, Type="String")
        self.store = DynamoStore(boto3.client("dynamodb"), TABLE, shards=2, retention_days=400)
        self.do("ada", identify={"title": "CEO", "name": "Ada", "owner": "Eve"}, group="acme", track="Trial Started")
        self.do("bob", identify={"name": '=HYPERLINK("x")', "owner": "Eve Jr"}, group="acme", track="Webinar Attended")
        self.do("cleo", identify={"name": "Cleo, née X", "owner": "Eve"}, track="Trial Started")

    def do(self, lead: str, *, identify: dict[str, str], track: str, group: str | None = None) -> None:
        said: list[dict[str, object]] = [
            {"type": "identify", "traits": identify},
            {"type": "track", "event": track},
        ]
        said += [{"type": "group", "groupId": group}] if group is not None else []
        at = format_instant(from_datetime(NOW - timedelta(minutes=5)))
        events = [
            {"messageId": f"{lead}-{number}", "timestamp": at, "receivedAt": at, "userId": lead, **each}
            for number, each in enumerate(said)
        ]
        apply_events(Tools(self.store, RULESET, lambda: NOW, lambda _attempt: None), {f"user:{lead}": events})

    def misplace(self, lead: str) -> None:
        """Let a lead stand at the very top of the index."""
        [stored] = self.store.load_identities([f"user:{lead}"]).values()
        assert stored.body is not None
        body = replace(stored.body, rank_key=stored.body.rank_key + 5_000)
        self.store.commit([replace(stored, version=stored.version + 1, body=body, pending=())])

    def api(self, **environment: str) -> ModuleType:
        everything = {
            "TABLE_NAME": TABLE,
            "EVENTS_QUEUE_URL": self.queue,
            "RULESET_PARAMETER": "/ruleset",
            "RULESET_TTL_SECONDS": "0",
            "EVENT_RETENTION_DAYS": "400",
            "RANK_SHARDS": "2",
        }
        module = import_function("api", everything | environment, self._patch)
        module.utc_now = lambda: NOW  # type: ignore[attr-defined]
        return module

    def get(self, accept: str = "", **query: str) -> Answer:
        return ask(self.api(), accept, **query)

    def handed_on(self) -> list[str]:
        found = boto3.client("sqs").receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
        return [message["Body"] for message in found.get("Messages", [])]


def ask(module: ModuleType, accept: str = "", **query: str) -> Answer:
    headers = {"accept": accept} if accept else {}
    answer = module.handler(proxy_event("/leads", None, headers=headers, query=query, method="GET"), Context())
    return Answer(answer["statusCode"], answer["headers"], answer["body"])


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with mock_aws():
        yield Stage(monkeypatch)


FILTERED: list[tuple[dict[str, str], list[str]]] = [
    ({}, ["ada", "cleo", "bob"]),
    ({"account": "acme"}, ["ada", "bob"]),
    ({"account": "Acme"}, []),
    ({"owner": "Eve"}, ["ada", "cleo"]),
    ({"min_score": "20"}, ["ada", "cleo"]),
    ({"min_score": "20.5"}, ["ada"]),
    ({"tier": "warm"}, ["ada"]),
    ({"tier": "cold", "owner": "Eve"}, ["cleo"]),
]


def test_filters_choose_the_leads(stage: Stage, subtests: pytest.Subtests) -> None:
    module = stage.api()
    for query, wanted in FILTERED:
        with subtests.test(query=query):
            answer = ask(module, **query)
            assert (answer.status, answer.ids, answer.json["next_cursor"]) == (200, wanted, None)


JSON, CSV = "application/json", "text/csv; charset=utf-8"
FORMATS: list[tuple[str, dict[str, str], str]] = [
    ("", {}, JSON),
    ("", {"format": "csv"}, CSV),
    ("Text/CSV; q=0.9, */*", {}, CSV),
    ("application/json, text/csv", {}, JSON),
    ("text/csv", {"format": "json"}, JSON),
    ("text/html", {}, JSON),
]


def test_the_format_is_what_is_asked_for(stage: Stage, subtests: pytest.Subtests) -> None:
    module = stage.api()
    for accept, query, kind in FORMATS:
        with subtests.test(accept=accept, query=query):
            answer = ask(module, accept, **query)
            assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
            assert answer.headers["Cache-Control"] == "no-store"


def test_csv_has_a_row_a_lead_and_no_formulas(stage: Stage) -> None:
    ada, cleo, bob = stage.get(format="csv").rows
    assert ada == {
        "id": "ada",
        "name": "Ada",
        "email": "",
        "title": "CEO",
        "company": "",
        "score": "30.0",
        "fit": "10.0",
        "engagement": "20.0",
        "tier": "warm",
        "reasons": "free-trial +20.0; executive +10.0",
        "p_convert": "",
        "p_convert_low": "",
        "p_convert_high": "",
        "p_convert_calibration": "no conversions have been calibrated on yet",
    }
    assert cleo["name"] == "Cleo, née X"
    assert bob["name"] == '\'=HYPERLINK("x")'


def test_pages_go_on_where_the_page_before_ended_in_either_format(stage: Stage) -> None:
    module = stage.api()
    first = ask(module, limit="1")
    second = ask(module, limit="1", format="csv", cursor=first.json["next_cursor"])
    third = ask(module, limit="1", format="csv", cursor=second.headers["Next-Cursor"])
    assert [*first.ids, second.rows[0]["id"], third.rows[0]["id"]] == ["ada", "cleo", "bob"]
    assert "Next-Cursor" not in third.headers


def test_a_lead_out_of_place_is_handed_on_and_none_otherwise(stage: Stage) -> None:
    assert stage.get().ids == ["ada", "cleo", "bob"]
    assert stage.handed_on() == []
    stage.misplace("bob")
    assert stage.get().ids == ["ada", "cleo", "bob"]
    assert [json.loads(body) for body in stage.handed_on()] == [{"refresh": "user:bob"}]


def test_a_queue_that_takes_nothing_fails_no_read(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.misplace("bob")
    answer = ask(stage.api(EVENTS_QUEUE_URL=f"{stage.queue}-gone"))
    assert (answer.status, answer.ids) == (200, ["ada", "cleo", "bob"])
    assert "what is out of place was not handed on" in capsys.readouterr().out


def test_a_read_that_would_take_too_long_is_refused_and_still_hands_on(stage: Stage) -> None:
    def lose_patience(*_: object) -> None:
        raise TooManyLeadsError(("user:bob",))

    module = stage.api()
    module.rank_leads = lose_patience  # type: ignore[attr-defined]
    answer = ask(module)
    assert (answer.status, answer.json["code"]) == (400, "too_many_leads")
    assert "narrow the list" in answer.json["message"]
    assert [json.loads(body) for body in stage.handed_on()] == [{"refresh": "user:bob"}]


REFUSED = {
    "limit": "1001",
    "tier": "lukewarm",
    "account": "x" * 257,
    "owner": "",
    "min_score": "fifty",
    "cursor": "Zm9vYmFy",
    "format": "yaml",
}


def test_what_cannot_be_asked_is_refused_by_name(stage: Stage, subtests: pytest.Subtests) -> None:
    module = stage.api()
    for name, value in REFUSED.items():
        with subtests.test(name):
            answer = ask(module, **{name: value})
            assert (answer.status, answer.json["code"]) == (400, "invalid_query")
            assert answer.json["message"].startswith(f"{name}: ")
    unknown = ask(module, colour="crimson").json
    assert (unknown["code"], "colour" in unknown["message"]) == ("invalid_query", False)


def test_chances_to_convert_are_columns_with_what_they_are_from(stage: Stage) -> None:
    store_calibration(RULESET.version, NOW - timedelta(days=2))

    first, *_ = stage.get(format="csv").rows

    estimate = FITTED.estimate(float(first["score"]))
    chances = [float(first[f"p_convert{end}"]) for end in ("", "_low", "_high")]
    assert chances == pytest.approx(list(estimate), abs=5e-4)
    assert first["p_convert_calibration"] == (
        "within 30 days; calibrated 2026-02-27 on 1,200 leads, of whom 140 converted"
    )
