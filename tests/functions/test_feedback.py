"""Verdicts on alerts, by their links and by signed calls, from the request to the record and the desk."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType, ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from leadscore.adapters.desks import DynamoDesks
from leadscore.core.alert_desk import Desk
from leadscore.core.identity import pseudonym
from leadscore.core.instants import DAY, from_datetime
from leadscore.core.verdicts import Verdict
from leadscore.usecases.alert_records import AlertRecord, Entry, StoredDesk
from leadscore.usecases.feedback import verdict_links
from leadscore.usecases.records import ConflictError
from tests.contract.leads_table import TABLE, create_leads_table
from tests.functions.deployed import Context, import_function
from tests.functions.documented import check_answer
from tests.functions.envelopes import proxy_event

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT = from_datetime(NOW)
ADA, BOB = pseudonym("user:ada"), pseudonym("user:bob")
TOKEN = "a" * 48
ALERT = AlertRecord(
    id="a1",
    kind="alert",
    account="acme",
    desk="account:acme",
    sealed_at=AT,
    entries=[Entry(name, "tier", "hot", 53.5, {"webinar": 5.0}, None) for name in (ADA, BOB)],
    token=TOKEN,
)
CALLER = "arn:aws:iam::111122223333:user/kim"
PAGE = "/alerts/a1/verdict"


@pytest.fixture
def desks() -> Iterator[DynamoDesks]:
    with mock_aws():
        create_leads_table()
        stored = DynamoDesks(boto3.client("dynamodb"), TABLE, shards=2, retention_days=400)
        stored.put_alert(ALERT)
        yield stored


@pytest.fixture
def feedback(desks: DynamoDesks, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    assert desks.find_alert("a1")
    environment = {"TABLE_NAME": TABLE, "EVENT_RETENTION_DAYS": "400", "RANK_SHARDS": "2"}
    module = import_function("feedback", environment, monkeypatch)
    module.utc_now = lambda: NOW  # type: ignore[attr-defined]
    return module


def call(
    module: ModuleType,
    verb: str,
    query: Mapping[str, str] = MappingProxyType({}),
    body: bytes | str | None = None,
    path: str = PAGE,
) -> dict[str, Any]:
    """Call, and hold the answer to the document."""
    envelope = proxy_event(path, body, query=query, method=verb)
    envelope["requestContext"]["identity"]["userArn"] = CALLER if verb == "PUT" else None
    answer: dict[str, Any] = module.handler(envelope, Context())
    check_answer(f"{verb} /alerts/{{id}}/verdict", answer)
    assert answer["headers"]["Cache-Control"] == "no-store"
    return answer


def put(module: ModuleType, said: Mapping[str, object], path: str = PAGE) -> dict[str, Any]:
    return call(module, "PUT", body=json.dumps(said).encode(), path=path)


def link(kind: str, lead: str | None = ADA, token: str = TOKEN) -> dict[str, str]:
    return {"v": kind, **({} if lead is None else {"lead": lead}), "t": token}


def verdicts(desks: DynamoDesks) -> Mapping[str, Verdict]:
    alert = desks.find_alert("a1")
    assert alert is not None
    return alert.verdicts


@pytest.mark.parametrize("kind", ["good", "junk", "snooze"])
def test_a_link_asks_and_changes_nothing_and_its_button_says_it(
    desks: DynamoDesks, feedback: ModuleType, kind: str
) -> None:
    asked = call(feedback, "GET", link(kind))
    assert (asked["statusCode"], '<form method="post">' in asked["body"]) == (200, True)
    assert verdicts(desks) == {}

    said = call(feedback, "POST", link(kind), b"reason=an+old+friend")
    assert (said["statusCode"], "<form" in said["body"]) == (200, False)
    until = AT + 7 * DAY if kind == "snooze" else None
    assert verdicts(desks) == {ADA: Verdict(kind, AT, "link", "an old friend", until)}  # type: ignore[arg-type]


def test_the_links_of_an_alert_are_those_that_are_followed(desks: DynamoDesks, feedback: ModuleType) -> None:
    links = verdict_links("https://api.example/v1", ALERT, BOB)
    assert list(links) == ["good", "junk", "snooze"]
    for kind, url in links.items():
        address, _, query = url.partition("?")
        assert address == "https://api.example/v1/alerts/a1/verdict"
        asked = dict(pair.split("=") for pair in query.split("&"))
        assert call(feedback, "POST", asked)["statusCode"] == 200
        assert verdicts(desks)[BOB].kind == kind


def test_a_link_without_a_lead_is_about_all_of_the_alert(desks: DynamoDesks, feedback: ModuleType) -> None:
    call(feedback, "POST", link("junk", None))
    assert set(verdicts(desks)) == {ADA, BOB}


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (link("good", token="b" * 48), PAGE),
        (link("good", token=TOKEN[:-1]), PAGE),
        (link("good", token="\ud800"), PAGE),
        ({"v": "good", "lead": ADA}, PAGE),
        (link("good"), "/alerts/a2/verdict"),
        (link("good"), f"/alerts/{'a' * 3000}/verdict"),
        (link("good", "c" * 32), PAGE),
        (link("<script>"), PAGE),
        ({**link("good"), "utm_source": "<script>"}, PAGE),
    ],
)
def test_what_is_no_link_of_the_alert_leads_nowhere_and_says_nothing_back(
    desks: DynamoDesks, feedback: ModuleType, query: dict[str, str], path: str
) -> None:
    for verb in ("GET", "POST"):
        answer = call(feedback, verb, query, path=path)
        assert answer["statusCode"] == 404
        assert "script" not in answer["body"]
    assert verdicts(desks) == {}


def test_an_alert_without_a_token_has_no_link(desks: DynamoDesks, feedback: ModuleType) -> None:
    bare = AlertRecord("a1", "alert", None, "d", AT, ALERT.entries)
    desks.put_alert(bare)
    assert call(feedback, "GET", {"v": "good", "t": ""})["statusCode"] == 404
    assert verdict_links("https://api.example/v1", bare, ADA) == {}


@pytest.mark.parametrize("body", [b"reason=" + b"x" * 201, b"reason=a%0Ab", b"\xff", b"reason=" + b"x" * 9000])
def test_a_reason_that_is_no_short_line_is_refused(desks: DynamoDesks, feedback: ModuleType, body: bytes) -> None:
    assert call(feedback, "POST", link("good"), body)["statusCode"] == 400
    assert verdicts(desks) == {}


def test_a_page_loads_nothing_runs_nothing_and_shows_nothing_of_the_request(feedback: ModuleType) -> None:
    answer = call(feedback, "GET", link("snooze"))
    policy = answer["headers"]["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert not re.search(r"<script|src=|href=|action=|\son\w+=", answer["body"])
    for word in (TOKEN, ADA, "a1/verdict"):
        assert word not in answer["body"]
    assert answer["headers"]["Referrer-Policy"] == "no-referrer"
    assert answer["headers"]["Content-Type"] == "text/html; charset=utf-8"


def test_a_signed_call_says_it_of_one_lead_by_its_id(desks: DynamoDesks, feedback: ModuleType) -> None:
    answer = put(feedback, {"verdict": "junk", "lead": "ada", "reason": "a student"})
    assert json.loads(answer["body"]) == {
        "alert": "a1",
        "leads": [ADA],
        "verdict": "junk",
        "reason": "a student",
        "by": CALLER,
        "at": "2026-03-01T12:00:00.000Z",
        "until": None,
    }
    assert verdicts(desks) == {ADA: Verdict("junk", AT, CALLER, "a student")}


def test_a_snooze_holds_at_the_desk_of_the_alert_and_what_waits_there_stays(
    desks: DynamoDesks, feedback: ModuleType
) -> None:
    before = StoredDesk(Desk("account:acme", release=3), 1, AT + 5)
    desks.save(before)
    answer = put(feedback, {"verdict": "snooze", "for": "2w"})
    assert json.loads(answer["body"])["until"] == "2026-03-15T12:00:00.000Z"
    stored = desks.load("account:acme")
    assert (stored.desk.snoozed, stored.due, stored.version) == (dict.fromkeys((ADA, BOB), AT + 14 * DAY), AT + 5, 2)
    assert set(verdicts(desks)) == {ADA, BOB}


REFUSED: list[tuple[dict[str, object], str]] = [
    ({}, "verdict"),
    ({"verdict": "great"}, "verdict"),
    ({"verdict": ["good"]}, "verdict"),
    ({"verdict": "good", "for": "7d"}, "for"),
    ({"verdict": "snooze", "for": "53w"}, "for"),
    ({"verdict": "snooze", "for": "0d"}, "for"),
    ({"verdict": "snooze", "for": 7}, "for"),
    ({"verdict": "snooze", "for": "soon"}, "for"),
    ({"verdict": "good", "reason": "x" * 201}, "reason"),
    ({"verdict": "good", "reason": "a\nb"}, "reason"),
    ({"verdict": "good", "reason": "\ud800"}, "reason"),
    ({"verdict": "good", "reason": 1}, "reason"),
    ({"verdict": "good", "lead": 1}, "lead"),
    ({"verdict": "good", "colour": "red"}, "unknown field"),
]


@pytest.mark.parametrize(("said", "field"), REFUSED)
def test_what_is_no_verdict_is_refused_by_its_field(
    desks: DynamoDesks, feedback: ModuleType, said: dict[str, object], field: str
) -> None:
    answer = put(feedback, said)
    content = json.loads(answer["body"])
    assert (answer["statusCode"], content["code"], content["message"].split(":")[0].split(";")[0]) == (
        400,
        "invalid_verdict",
        field,
    )
    assert verdicts(desks) == {}


@pytest.mark.parametrize("body", [None, b"", b"[]", b"{", b"\xff", b'{"verdict": "' + b"x" * 8192])
def test_a_body_that_is_no_object_is_refused(feedback: ModuleType, body: bytes | None) -> None:
    answer = call(feedback, "PUT", body=body)
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (400, "invalid_verdict")


def test_what_cannot_be_found_or_asked_is_refused_as_documented(feedback: ModuleType) -> None:
    assert put(feedback, {"verdict": "good"}, "/alerts/a2/verdict")["statusCode"] == 404
    assert put(feedback, {"verdict": "good", "lead": "nobody"})["statusCode"] == 404
    answer = call(feedback, "PUT", {"colour": "red"}, b'{"verdict": "good"}')
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (400, "invalid_query")


def test_a_desk_that_others_write_all_the_time_is_said_and_nothing_is_on_record(
    desks: DynamoDesks, feedback: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*_: object) -> None:
        raise ConflictError

    monkeypatch.setattr(DynamoDesks, "save", save)
    object.__setattr__(feedback.tools, "pause", lambda _: None)
    for answer in (put(feedback, {"verdict": "snooze"}), call(feedback, "POST", link("snooze"))):
        assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (503, "contended")
    assert verdicts(desks) == {}


def test_our_own_failure_is_documented(
    feedback: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(DynamoDesks, "find_alert", find)
    feedback.logger.registered_handler.stream = sys.stdout
    for answer in (put(feedback, {"verdict": "good"}), call(feedback, "GET", link("good"))):
        assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (500, "internal_error")
    logged = capsys.readouterr().out
    assert "broken" in logged
    assert TOKEN not in logged
