"""What machines get fits its published schema, says no more than that, and repeats under the same id."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from jsonschema import Draft202012Validator

import leadscore
from leadscore import parse_ruleset
from leadscore.adapters.topics import BUS_SOURCE, AnnouncementError, ChangeBus
from leadscore.core import signals
from leadscore.core.changes import AccountCause, AccountChange, Cause, Change
from leadscore.core.signals import LeadNeedsNurturing, Signal, TierRateMoved, detail_text, name_of, signal_of
from leadscore.usecases.announcing import announce_pending
from tests.contract.memory_store import MemoryStore
from tests.unit.test_announced_scores import rules
from tests.unit.test_score_batch import NOW, RULES, TITLE, TRIAL, Queue, from_ingest, make_event, run

FOLDER = Path(leadscore.__file__).with_name("events")
NAMES = [kind.__name__ for kind in get_args(Signal)]
# As the core makes them: what a schema says of ids and versions holds for these too.
LEAD = Change(
    id="0123456789abcdef01234567",
    kind="tier",
    cause="events",
    at="2026-01-31T12:00:00.000Z",
    person={"id": "ada", "name": "Ada", "email": "ada@acme.example", "title": "VP", "company": "Acme"},
    tier="hot",
    previous_tier="warm",
    score=53.04,
    previous_score=33.0,
    groups={"fit": 18.0, "engagement": 35.04},
    reasons=[{"criterion": "free-trial", "label": "Started a free trial", "points": 20.0}],
    alert="wanted",
    alert_reason="entered hot",
    ruleset="0123456789ab",
    account="acme",
    revision=31,
)
ACCOUNT = AccountChange(
    id="0123456789abcdef01234567",
    account="acme",
    name="Acme",
    cause="people",
    at="2026-01-31T12:00:00.000Z",
    people=3,
    tier="hot",
    previous_tier="cold",
    score=61.5,
    previous_score=20.0,
    ruleset="0123456789ab",
)
QUIET = LeadNeedsNurturing(
    id="0123456789abcdef01234567",
    at="2026-01-31T12:00:00.000Z",
    person=LEAD.person,
    account_id=None,
    tier="cold",
    score=18.0,
    fit=18.0,
    last_seen=None,
    next_tier="warm",
    points_missing=7.0,
    next_best_actions=[{"criterion": "free-trial", "label": "Started a free trial", "points": 20.0}],
    shortest_way=["free-trial"],
    worth_asking=[{"criterion": "title", "label": "Executive", "points": 10.0, "traits": ["title"]}],
    ruleset="0123456789ab",
)
MOVED = TierRateMoved(
    id="0123456789abcdef01234567",
    at="2026-01-31T12:00:00.000Z",
    tier="hot",
    leads=412,
    conversions=21,
    rate={"value": 0.051, "low": 0.034, "high": 0.077},
    previous_rate={"value": 0.12, "low": 0.1, "high": 0.14},
    ruleset="0123456789ab",
)
EVERY = [
    signal_of(LEAD),
    signal_of(replace(LEAD, kind="score")),
    signal_of(replace(LEAD, kind="conversion")),
    signal_of(replace(LEAD, cause="import")),
    signal_of(ACCOUNT),
    QUIET,
    MOVED,
]


def schema(name: str, version: int = signals.VERSION) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.{version}.schema.json").read_text(encoding="utf-8"))
    return found


def check(name: str, detail: str) -> dict[str, Any]:
    """Hold a detail to its schema, and to saying nothing that the schema does not."""
    content: dict[str, Any] = json.loads(detail)
    described = schema(name)
    Draft202012Validator(described).validate(content)
    assert list(content) == list(described["properties"])
    for field in ("person", "account"):
        if field in content:
            assert list(content[field]) == list(described["$defs"][field]["properties"])
    return content


class Bus:
    """An EventBridge that keeps what it takes, or refuses everything."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.entries: list[dict[str, str]] = []
        self.refuses = refuses

    def put_events(self, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803  # boto3's own name
        if self.refuses:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException", "ErrorMessage": "slow"}]}
        self.entries += Entries
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}


def tell_nobody(lead: str, changes: Sequence[Change]) -> Callable[[], None]:
    return lambda: None


def machines(bus: Bus) -> ChangeBus:
    return ChangeBus(cast("Any", bus), "the-bus")


def test_every_signal_has_a_schema_and_every_schema_a_signal() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.{signals.VERSION}.schema.json" for name in NAMES}
    assert sorted(name_of(signal) for signal in EVERY) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_a_schema_whose_fields_are_required_and_described(name: str) -> None:
    described = schema(name)
    Draft202012Validator.check_schema(described)
    assert described["required"] == list(described["properties"])
    assert described["properties"]["schema"]["const"] == f"leadscore.{name}/{signals.VERSION}"
    for field, value in described["properties"].items():
        target = described["$defs"].get(value.get("$ref", "").rpartition("/")[2], {})
        assert value.get("description") or target.get("description"), field


@pytest.mark.parametrize("part", ["instant", "person", "reason", "account"])
def test_what_schemas_share_is_the_same_in_all(part: str) -> None:
    shared = [schema(name)["$defs"][part] for name in NAMES if part in schema(name)["$defs"]]
    assert shared
    assert all(one == shared[0] for one in shared)


@pytest.mark.parametrize("signal", EVERY, ids=name_of)
def test_signal_fits_its_schema(signal: Signal) -> None:
    content = check(name_of(signal), detail_text(signal))
    assert content["id"] == LEAD.id


@pytest.mark.parametrize("field", ["id", "schema", "person", "tier", "score"])
def test_schema_refuses_a_detail_without_a_field_or_with_a_wrong_one(field: str) -> None:
    content = json.loads(detail_text(EVERY[0]))
    validator = Draft202012Validator(schema("LeadTierChanged"))
    assert not validator.is_valid({name: value for name, value in content.items() if name != field})
    assert not validator.is_valid({**content, field: None})


def test_causes_of_the_schemas_are_those_of_the_core() -> None:
    # What an import has changed is told as LeadImported.
    for name in ("LeadTierChanged", "LeadScoreChanged"):
        assert [*schema(name)["properties"]["cause"]["enum"], "import"] == list(get_args(Cause))
    assert schema("AccountTierChanged")["properties"]["cause"]["enum"] == list(get_args(AccountCause))


@pytest.mark.parametrize("kind", ["tier", "score", "conversion"])
def test_what_an_import_has_changed_is_told_as_that_and_nothing_else(kind: Any) -> None:
    assert name_of(signal_of(replace(LEAD, kind=kind, cause="import"))) == "LeadImported"


@pytest.mark.parametrize("kind", ["hand_raise", "fit"])
def test_a_change_that_is_for_people_alone_is_no_signal(kind: Any) -> None:
    with pytest.raises(ValueError, match="for people alone"):
        signal_of(replace(LEAD, kind=kind))


def test_what_is_only_for_people_stays_with_them() -> None:
    assert not any(word.startswith("alert") for signal in EVERY for word in json.loads(detail_text(signal)))


def test_whatever_a_profile_says_an_event_stays_small_and_fits() -> None:
    long = "\U0001f984" * 5000
    person = {**LEAD.person, "name": long, "title": long, "company": long, "email": f"{long}@acme.example"}
    signal = signal_of(replace(LEAD, person=cast("Any", person)))
    content = check("LeadTierChanged", detail_text(signal))
    assert content["person"]["email"] == ""
    assert content["person"]["name"] == long[: signals.LONGEST_TEXT]
    assert name_of(signal_of(replace(ACCOUNT, name=long))) == "AccountTierChanged"
    check("AccountTierChanged", detail_text(signal_of(replace(ACCOUNT, name=long))))


def test_events_that_real_leads_make_fit_their_schemas() -> None:
    """From the product's events to what is put on the bus, over a tier up, a conversion, a tier down and a score."""
    store, queue, bus = MemoryStore(), Queue(), Bus()
    run(store, queue, from_ingest(TITLE), from_ingest(TRIAL))
    run(store, queue, from_ingest(make_event("m3", "track", event="Subscription Started")))
    run(store, queue, '{"refresh": "user:ada"}', now=NOW + timedelta(days=40))
    announce_pending(store, tell_nobody, machines(bus), "user:ada", store.pending("user:ada"))
    run(store, queue, from_ingest(make_event("m4", "page", lead="bob")), rules=rules(2))
    announce_pending(store, tell_nobody, machines(bus), "user:bob", store.pending("user:bob"))

    told = [(entry["DetailType"], check(entry["DetailType"], entry["Detail"])) for entry in bus.entries]
    assert [(name, detail["tier"]) for name, detail in told] == [
        ("LeadTierChanged", "hot"),
        ("LeadConverted", "hot"),
        ("LeadTierChanged", "warm"),
        ("LeadScoreChanged", "cold"),
    ]
    assert [detail.get("cause") for _, detail in told] == ["events", None, "time", "events"]
    assert len({detail["id"] for _, detail in told}) == 4
    revisions = [detail["revision"] for _, detail in told[:3]]
    assert revisions == sorted(set(revisions))
    assert {(entry["Source"], entry["EventBusName"]) for entry in bus.entries} == {(BUS_SOURCE, "the-bus")}


def test_an_event_that_is_put_again_is_the_same_to_the_byte() -> None:
    bus = Bus()
    for _ in range(2):
        machines(bus).announce(LEAD)
    assert bus.entries[0] == bus.entries[1]


def test_an_event_that_the_bus_refuses_is_an_error() -> None:
    with pytest.raises(AnnouncementError, match="ThrottlingException: slow"):
        machines(Bus(refuses=True)).put(QUIET)


def test_default_ruleset_announces_no_scores() -> None:
    assert parse_ruleset((Path(__file__).parents[2] / "infra" / "ruleset.yaml").read_text()).score_change is None
    assert RULES.score_change is None
