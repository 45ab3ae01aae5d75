"""The published alert: read back as it was written, described by its schema, and refused by the field that is wrong."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import leadscore
from leadscore.core.alerts import (
    AccountMove,
    Alert,
    AlertedLead,
    AlertReason,
    UnreadableAlertError,
    suggest_next_step,
    top_reasons,
)
from leadscore.core.p_convert import CalibrationSample, PConvert
from tests.unit.alerts import ALERT, LEAD, about, about_account, about_many, person_of, with_chances

SCHEMA: dict[str, Any] = json.loads(Path(leadscore.__file__).with_name("alert.schema.json").read_text())
BARE = replace(
    ALERT,
    account=None,
    leads=(replace(LEAD, owner=None, source=None, previous_tier=None, reasons=(), links={}),),
)
VARIANTS = {
    "whole": replace(ALERT, stage="prod"),
    "bare": BARE,
    "hand-raise": about(cause="hand_raise", event="Demo Requested"),
    "follow-up": about_many(3, more=7, kind="follow_up"),
    "account": about_account(),
    "lead with its account": about_account(kind="alert"),
    "with chances": with_chances(about_many(2)),
    "with a stale calibration": with_chances(ALERT, "stale"),
    "of another ruleset's calibration": with_chances(ALERT, "other ruleset"),
}


@pytest.mark.parametrize("alert", VARIANTS.values(), ids=VARIANTS)
def test_an_alert_is_read_back_as_it_was_written(alert: Alert) -> None:
    assert Alert.from_dict(json.loads(json.dumps(alert.to_dict()))) == alert


@pytest.mark.parametrize("alert", VARIANTS.values(), ids=VARIANTS)
def test_what_is_written_fits_the_schema(alert: Alert) -> None:
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(alert.to_dict())))


def test_the_schema_is_one_and_describes_every_field_and_no_other() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    described = {
        "Alert": (SCHEMA, {field.name for field in fields(Alert)} | {"schema"}),
        "account": (SCHEMA["$defs"]["account"], {"id", "name"} | {field.name for field in fields(AccountMove)}),
        "lead": (SCHEMA["$defs"]["lead"], {field.name for field in fields(AlertedLead)}),
        "reason": (SCHEMA["$defs"]["reason"], {field.name for field in fields(AlertReason)}),
        "person": (SCHEMA["$defs"]["person"], set(LEAD.person)),
        "p_convert": (SCHEMA["$defs"]["p_convert"], set(PConvert._fields)),
        "calibration": (SCHEMA["$defs"]["calibration"], {"status", *CalibrationSample._fields}),
    }
    for name, (section, known) in described.items():
        assert set(section["properties"]) == known, name
        assert all(field["description"] for field in section["properties"].values()), name


def wrong(path: str, value: object) -> dict[str, Any]:
    """Return the alert's document with another value at a path, or none there; of an account's where it is of that."""
    alert = about_account() if path in OF_ACCOUNTS else with_chances(replace(ALERT, more_leads=1))
    document: dict[str, Any] = deepcopy(alert.to_dict())
    target: Any = document
    *way, last = path.replace("[0]", ".0").split(".")
    for step in way:
        target = target[int(step)] if step.isdecimal() else target[step]
    if value is None:
        del target[last]
    else:
        target[int(last) if last.isdecimal() else last] = value
    return document


OF_ACCOUNTS = {f"account.{field.name}" for field in fields(AccountMove)}
MISTAKES: list[tuple[str, object]] = [
    ("schema", "leadscore.alert/2"),
    ("schema", None),
    ("id", ""),
    ("kind", "reminder"),
    ("at", "yesterday"),
    ("account", "acme"),
    ("account.id", 7),
    ("account.tier", None),
    ("account.tier", ""),
    ("account.previous_tier", None),
    ("account.score", "71"),
    ("account.previous_score", True),
    ("account.people", -1),
    ("account.people", None),
    ("leads", []),
    ("leads", {"0": {}}),
    ("more_leads", -1),
    ("more_leads", True),
    ("leads[0]", "Grace"),
    ("leads[0].person", None),
    ("leads[0].person.email", None),
    ("leads[0].score", "53"),
    ("leads[0].score", True),
    ("leads[0].previous_score", float("nan")),
    ("leads[0].groups.fit", "much"),
    ("leads[0].cause", "whim"),
    ("leads[0].owner", 3),
    ("leads[0].reasons", {}),
    ("leads[0].reasons[0].points", None),
    ("leads[0].reasons[0].last_at", "last week"),
    ("leads[0].links", []),
    ("leads[0].links.lead", 1),
    ("leads[0].at", "0000"),
    ("leads[0].p_convert", 0.12),
    ("leads[0].p_convert.value", None),
    ("leads[0].p_convert.low", "low"),
    ("leads[0].p_convert.high", float("nan")),
    ("calibration", "fresh"),
    ("calibration.status", "fresh"),
    ("calibration.status", None),
    ("calibration.taken_at", "lately"),
    ("calibration.taken_at", None),
    ("calibration.leads", -1),
    ("calibration.conversions", None),
    ("calibration.window_days", "30"),
    ("calibration.ruleset", None),
]


@pytest.mark.parametrize(("path", "value"), MISTAKES)
def test_a_mistake_is_named_by_its_field_and_not_quoted(path: str, value: object) -> None:
    with pytest.raises(UnreadableAlertError) as refused:
        Alert.from_dict(wrong(path, value))
    assert str(refused.value).startswith(f"{path}:")
    assert "grace@acme.example" not in str(refused.value)


@pytest.mark.parametrize(("path", "value"), [one for one in MISTAKES if one[1] == one[1]])
def test_the_schema_refuses_what_the_reader_refuses(path: str, value: object) -> None:
    assert not Draft202012Validator(SCHEMA).is_valid(wrong(path, value))


@pytest.mark.parametrize("document", [None, [], "alert", 3])
def test_what_is_no_object_is_no_alert(document: object) -> None:
    with pytest.raises(UnreadableAlertError, match="must be an object"):
        Alert.from_dict(document)


def test_fields_that_are_not_known_yet_are_passed_over() -> None:
    assert Alert.from_dict({**ALERT.to_dict(), "mood": "good"}) == ALERT


def test_an_alert_of_a_writer_that_knew_of_no_chances_is_read() -> None:
    document: dict[str, Any] = deepcopy(ALERT.to_dict())
    del document["calibration"], document["leads"][0]["p_convert"]

    assert Alert.from_dict(document) == ALERT
    Draft202012Validator(SCHEMA).validate(document)


def test_the_top_reasons_are_the_three_worth_most() -> None:
    assert [reason.criterion for reason in top_reasons(LEAD)] == ["free-trial", "pricing-page", "executive"]


def test_the_next_step_names_how_to_reach_somebody_and_what_they_did_last() -> None:
    trait, deed = AlertReason("a", "Is an executive", 10.0), AlertReason("b", "Started a trial", 5.0, ALERT.at)

    assert suggest_next_step(LEAD.person, None, (trait, deed)) == (
        "Write to grace@acme.example today, and begin with: Started a trial."
    )
    assert suggest_next_step(person_of(email=""), None, (trait,)).startswith("Look up Grace Hopper today, and begin")
    assert suggest_next_step(person_of(email="", name=""), None, ()) == "Look up user-1 today."
    assert suggest_next_step(LEAD.person, "Demo Requested", (deed,)) == (
        "Write to grace@acme.example at once: they asked for it (Demo Requested)."
    )
