"""What people and machines read of a change."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from leadscore.core.changes import Change, change_id
from leadscore.core.messages import filter_attributes, json_text, plain_text, subject_line

CHANGE = Change(
    id="c1",
    kind="tier",
    cause="events",
    at="2026-01-31T12:00:00.000Z",
    person={"id": "user-1", "name": "Grace Hopper", "email": "grace@acme.example", "title": "VP", "company": "Acme"},
    tier="hot",
    previous_tier="warm",
    score=53.04,
    previous_score=33.0,
    groups={"fit": 18.0, "engagement": 35.04},
    reasons=[{"criterion": "free-trial", "label": "Started a free trial", "points": 20.0}],
    alert=True,
    alert_reason="entered hot",
    ruleset="abc123",
)


def named(**person: str) -> Change:
    return replace(CHANGE, person={**CHANGE.person, **person})  # type: ignore[typeddict-item]


def test_subject_says_who_and_how_much() -> None:
    assert subject_line(CHANGE) == "Hot lead: Grace Hopper (Acme), score 53.0"


@pytest.mark.parametrize("name", ["x" * 300, "Zoë\nBcc: all@rival.example", "王小明" * 60, "\x00\x7f"])
def test_subject_is_what_sns_takes_whatever_the_name(name: str) -> None:
    subject = subject_line(named(name=name))
    assert len(subject) < 100
    assert subject.isascii()
    assert subject.isprintable()


def test_a_lead_without_a_name_is_called_by_its_mail_then_its_id() -> None:
    assert "grace@acme.example" in subject_line(named(name="", company=""))
    assert "user-1" in subject_line(named(name="", email="", company=""))


def test_text_gives_score_parts_and_reasons() -> None:
    text = plain_text(CHANGE)
    assert "Grace Hopper (Acme) is hot (was warm)." in text
    assert "Score 53.0, before 33.0.  fit 18.0  engagement 35.0" in text
    assert "+20.0  Started a free trial" in text


def test_text_without_reasons_says_so() -> None:
    assert "no criterion counts now" in plain_text(replace(CHANGE, reasons=[]))


def test_json_is_the_whole_change() -> None:
    assert json.loads(json_text(CHANGE)) == CHANGE.to_dict()


def test_attributes_are_filterable_and_never_empty() -> None:
    attributes = filter_attributes(replace(CHANGE, previous_tier=None))
    assert attributes == {"tier": "hot", "score": 53.04, "fit": 18.0, "engagement": 35.04}


def test_a_change_id_is_the_same_on_a_retry_and_differs_for_any_other_change() -> None:
    again = {change_id("ada", 3, "tier events"), change_id("ada", 3, "tier events")}
    others = {change_id("ada", 4, "tier events"), change_id("bob", 3, "tier events"), change_id("ada", 3, "tier time")}
    assert len(again) == 1
    assert len(again | others) == 4
