"""The one shape that Amazon Q Developer in chat applications shows; on its topic anything else is dropped unseen."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from leadscore.core.alerts import Alert, AlertAccount
from leadscore.core.chat_notice import chat_notice
from tests.unit.alerts import ALERT, about, about_account, about_many, named, with_chances

# By the parameters that AWS documents: custom notifications, event schema.
TEXT = {"type": "string", "minLength": 1}
SCHEMA = {
    "type": "object",
    "required": ["version", "source", "content"],
    "additionalProperties": False,
    "properties": {
        "version": {"const": "1.0"},
        "source": {"const": "custom"},
        "id": TEXT,
        "content": {
            "type": "object",
            "required": ["description"],
            "additionalProperties": False,
            "properties": {
                "textType": {"const": "client-markdown"},
                "title": {**TEXT, "maxLength": 250},
                "description": {**TEXT, "maxLength": 8000},
                "nextSteps": {"type": "array", "items": TEXT},
                "keywords": {"type": "array", "items": TEXT},
            },
        },
        "metadata": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"threadId": TEXT, "summary": TEXT, "eventType": TEXT},
        },
    },
}


def notice(alert: Alert) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(chat_notice(alert))
    Draft202012Validator(SCHEMA).validate(document)
    return document


def test_it_says_who_how_much_why_whose_and_what_now() -> None:
    document = notice(ALERT)

    assert document["content"]["title"] == "Hot lead: Grace Hopper (Acme)"
    assert document["content"]["description"].splitlines() == [
        "**53.0 (was 33.0)** hot, was warm, fit 18.0, engagement 35.0",
        "VP Engineering, grace@acme.example",
        "- **+20.0** Started a free trial, 3 hours ago",
        "- **+15.0** Visited the pricing page, 2 days ago",
        "- **+10.0** Is an executive",
        "Owner: Eve Hill",
        "[lead](https://crm.example/leads/user-1)",
    ]
    assert document["content"]["nextSteps"] == ["Write to grace@acme.example today."]
    assert document["content"]["keywords"] == [
        "tier: hot",
        "owner: Eve Hill",
        "account: Acme Corporation",
        "source: web",
    ]


def test_alerts_of_one_account_are_one_thread_and_a_repeat_has_the_same_id() -> None:
    first, follow_up = notice(ALERT), notice(about_many(3, id="other", kind="follow_up"))

    assert first["metadata"]["threadId"] == follow_up["metadata"]["threadId"] == "leadscore-acme"
    assert (first["id"], follow_up["id"]) == (ALERT.id, "other")
    assert notice(replace(ALERT, account=None))["metadata"]["threadId"] == ALERT.id


def test_a_follow_up_lists_its_people() -> None:
    description = notice(about_many(12, more=1))["content"]["description"]
    assert description.count("**Person ") == 10
    assert description.endswith("And 3 more.")


@pytest.mark.parametrize("typed", ["[pay](https://evil.example)", "@channel", "<!here>", "**x**", "a\n# b", "x" * 9000])
def test_what_was_typed_is_no_markup_and_has_an_end(typed: str) -> None:
    fields = dict.fromkeys(("name", "title", "email", "company"), typed)
    document = notice(
        replace(about(named(**fields), owner=typed, next_step=typed, links={}), account=AlertAccount(typed, typed))
    )
    described = re.sub(r"\\.", "", document["content"].pop("description"))

    assert "](https" not in described
    assert "<" not in described
    assert "\n#" not in described
    document["metadata"].pop("threadId")  # which nobody sees
    assert "<" not in json.dumps(document)


def test_a_hot_account_is_one_notice_about_it() -> None:
    document = notice(about_account(1))
    assert document["content"]["title"] == "Hot account: Acme Corporation"
    assert document["content"]["description"].splitlines()[:3] == [
        "Account: score 71.0 (was 48.5), hot, was warm, 4 people",
        "",
        "**Person 0**",
    ]
    assert "tier: hot" in document["content"]["keywords"]
    assert document["metadata"]["summary"] == "Hot account: Acme Corporation, score 71.0 (was 48.5)"
    assert document["metadata"]["eventType"] == "account"


def test_the_chance_to_convert_is_told_with_its_date_and_sample() -> None:
    told = "within 30 days; calibrated 2026-01-02 on 1,200 leads, of whom 140 converted"

    [line] = [line for line in notice(with_chances(ALERT))["content"]["description"].splitlines() if "Chance" in line]

    assert line == f"Chance to convert: 12% (9.1 to 16%) {told}"
    assert "Chance" not in notice(with_chances(ALERT, "none"))["content"]["description"]
