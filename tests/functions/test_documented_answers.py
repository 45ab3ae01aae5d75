"""What the functions really answer is what the OpenAPI document says of them, and nothing beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from moto import mock_aws

from leadscore import parse_ruleset
from leadscore.adapters.dynamodb import DynamoStore
from leadscore.adapters.learning_items import DynamoInsights
from leadscore.api_document import document_tag, document_text
from leadscore.core.instants import format_instant, from_datetime
from leadscore.learning.concluding import conclude
from leadscore.learning.sampling import Sampler, Sampling
from leadscore.usecases.account_ranking import TooManyAccountsError
from leadscore.usecases.ranking import TooManyLeadsError
from leadscore.usecases.records import ConflictError
from leadscore.usecases.scoring import Tools, apply_events
from tests.contract.leads_table import TABLE, create_leads_table
from tests.functions.calibrated import FITTED, store_calibration
from tests.functions.deployed import Context, import_function
from tests.functions.documented import check_answer
from tests.functions.envelopes import basic, proxy_event

RULESET = parse_ruleset((Path(__file__).parents[2] / "infra" / "ruleset.yaml").read_text(encoding="utf-8"))
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Stage:
    """A table with one lead that has done all sorts of things, and the functions that read and erase."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        create_leads_table()
        self._patch = patch
        self.queue = boto3.client("sqs").create_queue(QueueName="events")["QueueUrl"]
        boto3.client("ssm").put_parameter(Name="/ruleset", Value=RULESET.document, Type="String")
        store = DynamoStore(boto3.client("dynamodb"), TABLE, shards=2, retention_days=400)
        at = format_instant(from_datetime(NOW - timedelta(minutes=5)))
        said: list[dict[str, object]] = [
            {"type": "identify", "traits": {"title": "CEO", "name": "Ada"}},
            {"type": "group", "groupId": "acme", "traits": {"name": "Acme", "employees": 300}},
            {"type": "track", "event": "Trial Started"},
            {"type": "track", "event": "Webinar Attended"},
        ]
        said += [{"type": "page", "properties": {"path": f"/pricing/{number}"}} for number in range(60)]
        events = [
            {"messageId": f"m{number}", "timestamp": at, "receivedAt": at, "userId": "ada", **each}
            for number, each in enumerate(said)
        ]
        apply_events(Tools(store, RULESET, lambda: NOW, lambda _attempt: None), {"user:ada": events})

    def function(self, name: str, **environment: str) -> ModuleType:
        everything = {
            "TABLE_NAME": TABLE,
            "EVENTS_QUEUE_URL": self.queue,
            "RULESET_PARAMETER": "/ruleset",
            "RULESET_TTL_SECONDS": "0",
            "EVENT_RETENTION_DAYS": "400",
            "RANK_SHARDS": "2",
            "SWEEP_DELAY_SECONDS": "0",
            "TOMBSTONE_RETENTION_DAYS": "1095",
        }
        module = import_function(name, everything | environment, self._patch)
        module.utc_now = lambda: NOW  # type: ignore[attr-defined]
        return module


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with mock_aws():
        yield Stage(monkeypatch)


def ask(
    module: ModuleType,
    route: str,
    name: str = "",
    /,
    headers: Mapping[str, str] = MappingProxyType({}),
    query: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Ask, and hold the answer to the document."""
    verb, _, path = route.partition(" ")
    asked = path.replace("{id}", quote(name, safe=""))
    envelope = proxy_event(asked, None, headers=headers, query=query, method=verb)
    answer: dict[str, Any] = module.handler(envelope, Context())
    check_answer(route, answer)
    return answer


def content(answer: dict[str, Any]) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(answer["body"])
    return loaded


def learn() -> None:
    """Store what a run comes to that finds nobody to learn from."""
    learned = conclude(Sampler(Sampling(RULESET, from_datetime(NOW))).sample(), RULESET, run="run", before=None)
    DynamoInsights(boto3.client("dynamodb"), TABLE).replace(
        "run", from_datetime(NOW), learned.insights, learned.calibration
    )


READS: list[tuple[str, str, dict[str, str]]] = [
    ("GET /leads", "", {}),
    ("GET /leads", "", {"format": "csv"}),
    ("GET /leads", "", {"min_score": "1e-5", "tier": "warm", "account": "acme", "limit": "1"}),
    ("GET /leads/{id}", "ada", {}),
    ("GET /leads/{id}", "ada", {"at": "2026-02-01T00:00:00Z", "ruleset": RULESET.version}),
    ("GET /leads/{id}/export", "ada", {}),
    ("GET /accounts", "", {}),
    ("GET /accounts/{id}", "acme", {}),
    ("GET /tiers", "", {}),
    ("GET /ruleset", "", {}),
    ("GET /insights", "", {}),
    ("GET /health", "", {}),
    ("GET /openapi.json", "", {}),
]


def test_reads_answer_what_is_documented(stage: Stage, subtests: pytest.Subtests) -> None:
    module = stage.function("api")
    learn()
    for route, name, query in READS:
        with subtests.test(route=route, query=query):
            assert ask(module, route, name, query=query)["statusCode"] == 200
    assert {route for route, _, _ in READS} == set(module.ROUTES)


def test_a_lead_is_shown_with_identities_traits_factors_and_its_timeline_by_pages(stage: Stage) -> None:
    module = stage.function("api")
    lead = content(ask(module, "GET /leads/{id}", "ada"))
    rest = content(ask(module, "GET /leads/{id}", "ada", query={"cursor": lead["next_cursor"]}))

    assert (lead["identities"], lead["traits"]["name"], lead["account"]) == (["user:ada"], "Ada", "acme")
    assert {factor["criterion"] for factor in lead["score"]["factors"]} >= {"executive", "pricing-page", "free-trial"}
    assert (len(lead["events"]), len(rest["events"]), rest["next_cursor"]) == (50, 14, None)
    assert len({event["messageId"] for event in lead["events"] + rest["events"]}) == 64


def test_the_timeline_goes_on_under_an_instant_as_well(stage: Stage) -> None:
    module = stage.function("api")
    at = "2026-03-01T11:59:00Z"
    lead = content(ask(module, "GET /leads/{id}", "ada", query={"at": at, "limit": "3"}))
    rest = content(ask(module, "GET /leads/{id}", "ada", query={"at": at, "limit": "3", "cursor": lead["next_cursor"]}))

    assert (lead["as_of"]["at"], len(lead["events"])) == ("2026-03-01T11:59:00.000Z", 3)
    assert not {event["messageId"] for event in lead["events"]} & {event["messageId"] for event in rest["events"]}


REFUSED: list[tuple[str, str, dict[str, str], int, str]] = [
    ("GET /leads", "", {"limit": "0"}, 400, "invalid_query"),
    ("GET /leads/{id}", "ada", {"limit": "51"}, 400, "invalid_query"),
    ("GET /leads/{id}", "ada", {"cursor": "e30"}, 400, "invalid_query"),
    ("GET /leads/{id}", "ada", {"colour": "red"}, 400, "invalid_query"),
    ("GET /leads/{id}", "nobody", {}, 404, "unknown_lead"),
    ("GET /leads/{id}", "ada", {"ruleset": "abcdabcd"}, 404, "unknown_ruleset"),
    ("GET /leads/{id}/export", "ada", {"colour": "red"}, 400, "invalid_query"),
    ("GET /leads/{id}/export", "nobody", {}, 404, "unknown_lead"),
    ("GET /accounts", "", {"tier": "disqualified"}, 400, "invalid_query"),
    ("GET /accounts/{id}", "nobody", {}, 404, "unknown_account"),
    ("GET /accounts/{id}", "x" * 3000, {}, 404, "unknown_account"),
    ("GET /accounts/{id}", "acme", {"colour": "red"}, 400, "invalid_query"),
    ("GET /tiers", "", {"colour": "red"}, 400, "invalid_query"),
    ("GET /ruleset", "", {"colour": "red"}, 400, "invalid_query"),
    ("GET /insights", "", {"colour": "red"}, 400, "invalid_query"),
    ("GET /insights", "", {}, 404, "no_insights"),
    ("GET /health", "", {"colour": "red"}, 400, "invalid_query"),
    ("GET /openapi.json", "", {"colour": "red"}, 400, "invalid_query"),
]


def test_what_cannot_be_answered_is_refused_as_documented(stage: Stage, subtests: pytest.Subtests) -> None:
    module = stage.function("api")
    for route, name, query, status, code in REFUSED:
        with subtests.test(route=route, query=query):
            answer = ask(module, route, name, query=query)
            assert (answer["statusCode"], content(answer)["code"]) == (status, code)
            assert "red" not in content(answer)["message"]


def test_pages_that_take_too_long_are_refused_as_documented(stage: Stage) -> None:
    module = stage.function("api")

    def give_up(error: Exception) -> Any:
        def read(*_: object) -> None:
            raise error

        return read

    module.rank_leads = give_up(TooManyLeadsError(()))  # type: ignore[attr-defined]
    module.rank_accounts = give_up(TooManyAccountsError(()))  # type: ignore[attr-defined]
    assert content(ask(module, "GET /leads"))["code"] == "too_many_leads"
    assert content(ask(module, "GET /accounts"))["code"] == "too_many_accounts"


def test_our_own_failure_is_documented_on_every_route(stage: Stage, subtests: pytest.Subtests) -> None:
    module = stage.function("api", RULESET_PARAMETER="/gone", TABLE_NAME="gone")
    for route, name, _ in READS:
        with subtests.test(route=route):
            answer = ask(module, route, name)
            wanted = {"GET /health": 503, "GET /openapi.json": 200}.get(route, 500)
            assert answer["statusCode"] == wanted


@pytest.mark.parametrize(
    ("broken", "failed"),
    [({"TABLE_NAME": "gone"}, "table"), ({"RULESET_PARAMETER": "/gone"}, "ruleset")],
)
def test_health_names_what_cannot_be_read_and_logs_why(
    stage: Stage, capsys: pytest.CaptureFixture[str], broken: dict[str, str], failed: str
) -> None:
    answer = ask(stage.function("api", **broken), "GET /health")
    told = content(answer)

    assert (answer["statusCode"], told["code"], told["status"]) == (503, "unhealthy", "failed")
    assert [name for name, outcome in told["checks"].items() if outcome == "failed"] == [failed]
    assert "gone" not in answer["body"]
    assert "NotFound" in capsys.readouterr().out


CACHED = {
    "GET /leads": "no-store",
    "GET /leads/{id}": "no-store",
    "GET /leads/{id}/export": "no-store",
    "GET /accounts": "no-store",
    "GET /accounts/{id}": "no-store",
    "GET /tiers": "private, max-age=30",
    "GET /ruleset": "private, no-cache",
    "GET /insights": "private, no-cache",
    "GET /health": "no-store",
    "GET /openapi.json": "public, max-age=300",
}


def test_personal_data_is_kept_by_nobody_on_the_way(stage: Stage) -> None:
    module = stage.function("api")
    learn()
    names = {"GET /accounts/{id}": "acme"}

    assert {
        route: ask(module, route, names.get(route, "ada"))["headers"]["Cache-Control"] for route in module.ROUTES
    } == CACHED
    assert ask(module, "GET /tiers", query={"colour": "red"})["headers"]["Cache-Control"] == "no-store"


def test_the_ruleset_and_the_document_are_answered_once_to_who_keeps_them(stage: Stage) -> None:
    module = stage.function("api")
    ruleset, document = ask(module, "GET /ruleset"), ask(module, "GET /openapi.json")

    assert content(ruleset)["document"] == json.loads(RULESET.document)
    assert content(ruleset)["tiers"] == [{"name": tier.name, "from": tier.from_} for tier in RULESET.tiers]
    assert ruleset["headers"]["ETag"] == f'"{RULESET.version}"'
    assert (document["body"], document["headers"]["ETag"]) == (document_text(), f'"{document_tag()}"')
    for route, answer in (("GET /ruleset", ruleset), ("GET /openapi.json", document)):
        again = ask(module, route, headers={"If-None-Match": answer["headers"]["ETag"]})
        assert (again["statusCode"], again["body"]) == (304, "")


def test_people_read_what_machines_read(stage: Stage) -> None:
    module = stage.function("api")
    envelope = proxy_event("/people/leads/ada", None, method="GET")
    answer = module.handler(envelope, Context())

    check_answer("GET /leads/{id}", answer)
    assert content(answer)["id"] == "ada"


def test_erasing_answers_what_is_documented(stage: Stage) -> None:
    module = stage.function("erase")

    # Nothing is erased by a request that asks for something else.
    assert content(ask(module, "DELETE /leads/{id}", "ada", query={"dry_run": "true"}))["code"] == "invalid_query"
    assert content(ask(module, "DELETE /leads/{id}", "ada"))["identities"] == 1
    assert content(ask(module, "DELETE /leads/{id}", "ada"))["identities"] == 0
    assert content(ask(module, "DELETE /leads/{id}", "nobody"))["code"] == "unknown_lead"


def test_an_erasure_that_fails_answers_what_is_documented(stage: Stage) -> None:
    module = stage.function("erase")

    def bury(*_: object) -> None:
        raise ConflictError

    module.graves.bury = bury
    module.pause = lambda _: None  # type: ignore[attr-defined]
    assert content(ask(module, "DELETE /leads/{id}", "ada"))["code"] == "contended"
    assert (
        content(ask(stage.function("erase", TABLE_NAME="gone"), "DELETE /leads/{id}", "ada"))["code"]
        == "internal_error"
    )


KEY = "wk_documented"
TRACK = {"type": "track", "event": "Trial Started", "userId": "ada"}


@pytest.fixture
def ingest(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    hashed = sha256(KEY.encode()).hexdigest()
    pages = {"source": "pages", "sha256": sha256(b"wk_pages").hexdigest(), "origins": ["https://app.example"]}
    keys = [
        {"source": "default", "sha256": hashed, "created": "2026-01-01T00:00:00Z"},
        {**pages, "created": "2026-01-01T00:00:00Z"},
    ]
    boto3.client("ssm").put_parameter(Name="/write-keys", Value=json.dumps(keys), Type="String")
    environment = {"EVENTS_QUEUE_URL": stage.queue, "WRITE_KEYS_PARAMETER": "/write-keys"}
    return import_function("ingest", environment, monkeypatch)


def send(module: ModuleType, route: str, body: object, key: str | None = KEY) -> dict[str, Any]:
    """Send, and hold the answer to the document."""
    verb, _, path = route.partition(" ")
    text = body if isinstance(body, str) else json.dumps(body)
    envelope = proxy_event(path, text, headers=basic(key) if key else {}, method=verb)
    answer: dict[str, Any] = module.handler(envelope, Context())
    check_answer(route, answer)
    return answer


SENT: list[tuple[str, object, str | None, int, str | None]] = [
    ("POST /track", TRACK, KEY, 200, None),
    ("POST /t", {**TRACK, "type": "page"}, KEY, 200, None),
    ("POST /t", {**TRACK, "type": False}, KEY, 400, "unknown_type"),
    ("POST /track", {**TRACK, "context": []}, KEY, 400, "invalid_field"),
    ("POST /track", {"event": "Trial Started"}, KEY, 400, "missing_id"),
    ("POST /batch", {"batch": [TRACK, {}, {**TRACK, "userId": True}]}, KEY, 200, None),
    ("POST /v1/batch", {"batch": []}, KEY, 200, None),
    ("POST /batch", {"batch": [], "context": 0}, KEY, 400, "invalid_field"),
    ("POST /batch", {"batch": {}}, KEY, 400, "missing_batch"),
    ("POST /b", "{", KEY, 400, "unreadable_body"),
    ("POST /import", {"batch": [0] * 5001}, KEY, 413, "too_many_events"),
    ("POST /i", TRACK, None, 401, "missing_write_key"),
    ("POST /i", TRACK, "wrong", 401, "invalid_write_key"),
    ("POST /i", TRACK, "wk_pages", 403, "origin_not_allowed"),
    ("POST /m", {}, None, 200, None),
    ("GET /sourceConfig", "", None, 200, None),
    ("HEAD /sourceConfig", "", None, 200, None),
]


def test_sending_answers_what_is_documented(ingest: ModuleType, subtests: pytest.Subtests) -> None:
    for route, body, key, status, code in SENT:
        with subtests.test(route=route, code=code):
            answer = send(ingest, route, body, key)
            assert answer["statusCode"] == status
            if code is not None:
                assert content(answer)["code"] == code


def test_a_queue_that_is_gone_is_documented(stage: Stage, ingest: ModuleType) -> None:
    boto3.client("sqs").delete_queue(QueueUrl=stage.queue)

    assert content(send(ingest, "POST /track", TRACK))["code"] == "unavailable"


@pytest.mark.parametrize(
    ("verb", "path", "status", "code", "allow"),
    [
        ("GET", "/wp-login.php", 404, "not_found", None),
        ("POST", "/x/track", 404, "not_found", None),
        ("GET", "/people/leads/ada", 404, "not_found", None),
        ("POST", "/leads", 405, "method_not_allowed", "GET"),
        ("OPTIONS", "/leads/ada", 405, "method_not_allowed", "GET, DELETE"),
        ("GET", "/track", 405, "method_not_allowed", "POST"),
        ("DELETE", "/people/leads/ada", 405, "method_not_allowed", "GET"),
    ],
)
def test_what_no_route_is_for_is_refused_without_a_look_at_it(
    ingest: ModuleType, verb: str, path: str, status: int, code: str, allow: str | None
) -> None:
    envelope = proxy_event(path, json.dumps(TRACK), headers=basic(KEY), method=verb) | {"resource": "/{proxy+}"}
    answer = ingest.handler(envelope, Context())

    assert (answer["statusCode"], content(answer)["code"], answer["headers"].get("Allow")) == (status, code, allow)
    assert content(answer)["message"]
    assert answer["headers"]["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("ruleset", "age", "status"),
    [
        (RULESET.version, timedelta(days=45), "current"),
        (RULESET.version, timedelta(days=46), "stale"),
        ("abcdef123456", timedelta(days=1), "other ruleset"),
        (None, timedelta(0), "none"),
    ],
)
def test_a_chance_to_convert_is_beside_each_score_while_its_calibration_holds(
    stage: Stage, ruleset: str | None, age: timedelta, status: str
) -> None:
    if ruleset is not None:
        store_calibration(ruleset, NOW - age)
    module = stage.function("api")

    lead, page = content(ask(module, "GET /leads/{id}", "ada")), content(ask(module, "GET /leads"))

    estimate = FITTED.estimate(lead["score"]["total"]).to_dict()
    assert lead["p_convert"] == page["leads"][0]["p_convert"] == (estimate if status == "current" else None)
    assert lead["calibration"] == page["calibration"]
    sample = {"taken_at": format_instant(from_datetime(NOW - age)), "leads": 1200, "conversions": 140}
    told = {**sample, "window_days": 30.0, "ruleset": ruleset}
    assert lead["calibration"] == {"status": status, **({} if status == "none" else told)}


@pytest.mark.parametrize("query", [{"at": "2026-03-01T11:59:00Z"}, {"ruleset": RULESET.version}])
def test_a_lead_as_it_was_or_would_be_has_no_chance_of_now(stage: Stage, query: dict[str, str]) -> None:
    store_calibration(RULESET.version, NOW)

    lead = content(ask(stage.function("api"), "GET /leads/{id}", "ada", query=query))

    assert "as_of" in lead
    assert {"p_convert", "calibration"} & set(lead) == set()


def test_a_ruleset_that_is_published_ends_the_chances_at_once(stage: Stage) -> None:
    store_calibration(RULESET.version, NOW)
    module = stage.function("api")
    assert content(ask(module, "GET /leads/{id}", "ada"))["p_convert"] is not None
    doubled = parse_ruleset({**json.loads(RULESET.document), "total": {"max": 200}})
    boto3.client("ssm").put_parameter(Name="/ruleset", Value=doubled.document, Type="String", Overwrite=True)

    lead = content(ask(module, "GET /leads/{id}", "ada"))

    assert (lead["p_convert"], lead["calibration"]["status"]) == (None, "other ruleset")


def test_who_has_converted_has_no_chance_beside_others_who_have(stage: Stage) -> None:
    store_calibration(RULESET.version, NOW)
    at = format_instant(from_datetime(NOW - timedelta(minutes=1)))
    won = {"messageId": "won", "timestamp": at, "receivedAt": at, "userId": "bob", "type": "track"}
    store = DynamoStore(boto3.client("dynamodb"), TABLE, shards=2, retention_days=400)
    goal = {"user:bob": [{**won, "event": "Subscription Started"}]}
    apply_events(Tools(store, RULESET, lambda: NOW, lambda _attempt: None), goal)

    page = content(ask(stage.function("api"), "GET /leads"))

    assert {row["id"]: row["p_convert"] is None for row in page["leads"]} == {"ada": False, "bob": True}
