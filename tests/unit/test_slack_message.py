"""What Slack is sent of an alert: what a rep needs at a glance, in blocks that Slack's own models take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from leadscore.core.alerts import Alert
from leadscore.core.slack_message import slack_message
from tests.slack_rules import check_message, texts_of
from tests.unit.alerts import ALERT, LEAD, about, about_account, about_many, named, with_chances


def words(alert: Alert) -> str:
    message = slack_message(alert)
    check_message(message)
    return "\n".join(text["text"] for text in texts_of(message["blocks"]))


def blocks(alert: Alert, kind: str) -> list[dict[str, Any]]:
    return [block for block in slack_message(alert)["blocks"] if block["type"] == kind]


def test_a_rep_reads_who_how_much_why_whose_and_what_now() -> None:
    assert words(ALERT).splitlines() == [
        "Hot lead: Grace Hopper (Acme)",
        "*53.0 (was 33.0)*  hot, was warm, fit 18.0, engagement 35.0",
        "VP Engineering, grace@acme.example",
        "*Why*",
        "\u2022 *+20.0*  Started a free trial, 3 hours ago",
        "\u2022 *+15.0*  Visited the pricing page, 2 days ago",
        "\u2022 *+10.0*  Is an executive",
        "*Account*",
        "Acme Corporation",
        "*Owner*",
        "Eve Hill",
        "*Source*",
        "web",
        "*Next:* Write to grace@acme.example today.",
        "Open the lead",
        "Alert 0123456789abcdef01234567, 2026-01-31 12:00 UTC",
    ]


def test_the_notification_says_it_without_blocks() -> None:
    assert slack_message(ALERT)["text"] == "Hot lead: Grace Hopper (Acme), score 53.0 (was 33.0)"


def test_links_are_buttons_that_only_lead_somewhere() -> None:
    links = {
        "lead": "https://crm.example/a",
        "good": "https://x.example/good",
        "wiki": "https://wiki.example",
        "bad": "javascript:x",
    }
    [actions] = blocks(about(links=links), "actions")

    assert [(one["text"]["text"], one["url"]) for one in actions["elements"]] == [
        ("Open the lead", "https://crm.example/a"),
        ("Good alert", "https://x.example/good"),
        ("Wiki", "https://wiki.example"),
    ]
    assert blocks(about(links={}), "actions") == []


def test_of_several_people_each_has_its_own_buttons_and_of_an_account_all_have_the_same() -> None:
    alert = about_many(3)
    leads = tuple(replace(lead, links={"junk": f"https://x.example/{n}"}) for n, lead in enumerate(alert.leads))
    of_people = slack_message(replace(alert, leads=leads))["blocks"]
    check_message(slack_message(replace(alert, leads=leads)))

    assert [block["type"] for block in of_people[1:7]] == ["section", "actions"] * 3
    assert [block["elements"][0]["url"] for block in of_people if block["type"] == "actions"] == [
        f"https://x.example/{n}" for n in range(3)
    ]
    [actions] = blocks(replace(alert, leads=leads, kind="account"), "actions")
    assert actions["elements"][0]["url"] == "https://x.example/0"


def test_a_bare_lead_is_still_a_message() -> None:
    bare = about(named(name="", email="", title="", company=""), owner=None, source=None, reasons=(), links={})
    said = words(replace(bare, account=None))

    assert "Hot lead: user-1" in said
    assert "no criterion counts now" in said
    assert "nobody yet" in said
    assert "Source" not in said


def test_a_hand_raise_says_what_was_asked() -> None:
    said = words(about(cause="hand_raise", event="Demo Requested"))
    assert "Asked for contact: Grace Hopper (Acme)" in said
    assert "asked for contact (Demo Requested)" in said


def test_a_follow_up_lists_its_people_and_counts_the_rest() -> None:
    alert = about_many(14, more=6, kind="follow_up")
    said = words(alert)

    assert said.startswith("20 more hot leads at Acme Corporation\n")
    assert [f"Person {place}" for place in range(14) if f"*Person {place}*" in said] == [
        f"Person {n}" for n in range(10)
    ]
    assert "And 10 more." in said


def test_the_stage_is_named_where_it_is_told() -> None:
    assert words(replace(ALERT, stage="dev")).endswith(", stage dev")


@pytest.mark.parametrize(
    "mention", ["<!channel>", "<!here>", "<@U0123>", "<#C0123>", "<https://evil.example|Acme>", "&lt;!channel&gt;"]
)
def test_no_name_mentions_or_links(mention: str) -> None:
    fields = dict.fromkeys(("name", "title", "company", "email"), mention)
    alert = about(named(**fields), owner=mention, source=mention, event=mention, cause="hand_raise", next_step=mention)
    message = slack_message(replace(alert, account=replace(ALERT.account, id=mention, name=mention)))  # type: ignore[type-var]

    check_message(message)
    assert mention not in [text["text"] for text in texts_of(message["blocks"]) if text["type"] == "mrkdwn"]


def test_texts_without_end_are_cut() -> None:
    endless = "&<>\U0001f600 " * 2000
    fields = dict.fromkeys(("name", "title", "company", "email"), endless)
    reasons = tuple(replace(reason, label=endless) for reason in LEAD.reasons)
    groups = {**{f"group-{place}" * 30: 1.0 for place in range(50)}, "fit": 1.0, "engagement": 2.0}

    words(about(named(**fields), owner=endless, source=endless, reasons=reasons, next_step=endless, groups=groups))


@pytest.mark.parametrize("people", [1, 3])
def test_a_hot_account_is_shown_with_those_who_count_most(people: int) -> None:
    said = words(about_account(people)).splitlines()
    assert said[:4] == [
        "Hot account: Acme Corporation",
        "Account: score 71.0 (was 48.5), hot, was warm, 4 people",
        "*Person 0*, VP Engineering, grace@acme.example",
        "*40.0*  warm, fit 18.0, engagement 35.0",
    ]
    assert sum(line.startswith("*Person ") for line in said) == people
    assert slack_message(about_account())["text"] == "Hot account: Acme Corporation, score 71.0 (was 48.5)"


def test_a_lead_told_of_with_its_account_shows_how_that_stands() -> None:
    assert "Acme Corporation (hot, score 71.0)" in words(about_account(1, kind="alert")).splitlines()


FROM = "within 30 days; calibrated 2026-01-02 on 1,200 leads, of whom 140 converted"


def test_the_chance_to_convert_is_shown_with_its_date_and_sample() -> None:
    one, many = words(with_chances(ALERT)).splitlines(), words(with_chances(about_many(3))).splitlines()

    assert one[one.index("*Chance to convert*") + 1] == f"12% (9.1 to 16%) {FROM}"
    assert many.count(f"Chance to convert: 12% (9.1 to 16%) {FROM}") == 3


def test_a_calibration_that_is_not_used_any_more_is_told_of() -> None:
    assert "not known, as the calibration of 2026-01-02 is older than 45 days" in words(with_chances(ALERT, "stale"))
    assert "Chance" not in words(with_chances(ALERT, "none"))
