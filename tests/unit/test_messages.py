"""What people and machines read of an alert: by e-mail, from a queue, and what they filter by."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from leadscore.core.alert_messages import (
    ATTRIBUTES,
    MESSAGE_BYTES,
    filter_attributes,
    fit_message,
    json_text,
    plain_text,
    subject_line,
)
from leadscore.core.alerts import Alert, AlertAccount, AlertReason
from leadscore.core.changes import Change, change_id
from tests.unit.alerts import ALERT, LEAD, MOVE, about, about_account, about_many, named, with_chances

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
    alert="wanted",
    alert_reason="entered hot",
    ruleset="abc123",
)


@pytest.mark.parametrize(
    ("alert", "subject"),
    [
        (ALERT, "Hot lead: Grace Hopper (Acme), score 53.0"),
        (about(cause="hand_raise"), "Asked for contact: Grace Hopper (Acme), score 53.0"),
        (replace(ALERT, kind="follow_up"), "One more hot lead: Grace Hopper (Acme), score 53.0"),
        (about_many(3), "3 hot leads at Acme Corporation, score 90.0"),
        (about_many(2, more=5, kind="follow_up"), "7 more hot leads at Acme Corporation, score 90.0"),
        (about_many(2, account=None), "2 hot leads at Acme, score 90.0"),
        (about_account(), "Hot account: Acme Corporation, score 71.0, 4 people"),
        (about_account(1), "Hot account: Acme Corporation, score 71.0, 4 people"),
        (about_account(kind="alert"), "2 hot leads at Acme Corporation, score 90.0"),
    ],
)
def test_subject_says_who_and_how_much(alert: Alert, subject: str) -> None:
    assert subject_line(alert) == subject


@pytest.mark.parametrize("name", ["x" * 300, "Zo\u00eb\nBcc: all@rival.example", "\u738b\u5c0f\u660e" * 60, "\x00\x7f"])
def test_subject_is_what_sns_takes_whatever_the_name(name: str) -> None:
    subject = subject_line(named(name=name))
    assert len(subject) < 100
    assert subject.isascii()
    assert subject.isprintable()


def test_a_lead_without_a_name_is_called_by_its_mail_then_its_id() -> None:
    assert "grace@acme.example" in subject_line(named(name="", company=""))
    assert "user-1" in subject_line(named(name="", email="", company=""))


def test_the_mail_is_read_in_five_seconds() -> None:
    assert plain_text(ALERT).splitlines() == [
        "Grace Hopper (Acme) is hot, was warm.",
        "Score 53.0 (was 33.0).  fit 18.0  engagement 35.0",
        "",
        "Why:",
        "   +20.0  Started a free trial, 3 hours ago",
        "   +15.0  Visited the pricing page, 2 days ago",
        "   +10.0  Is an executive",
        "",
        "Contact: VP Engineering, grace@acme.example",
        "Account: Acme Corporation",
        "Owner: Eve Hill",
        "Next: Write to grace@acme.example today.",
        "Lead: https://crm.example/leads/user-1",
        "",
        "Alert 0123456789abcdef01234567, 2026-01-31 12:00 UTC.",
    ]


def test_the_mail_of_a_bare_lead_leaves_out_what_nobody_knows() -> None:
    bare = about(named(email="", title="", company=""), owner=None, reasons=(), links={}, previous_tier=None)
    text = plain_text(replace(bare, account=None))

    assert "Grace Hopper is hot, new." in text
    assert "no criterion counts now" in text
    assert "Owner: nobody yet" in text
    assert not {"Contact", "Account", "Lead"} & {line.partition(":")[0] for line in text.splitlines()}


def test_the_mail_of_a_hand_raise_says_what_was_asked() -> None:
    assert "and asked for contact (Demo Requested)." in plain_text(about(cause="hand_raise", event="Demo Requested"))


def test_the_mail_of_a_follow_up_lists_its_people_and_counts_the_rest() -> None:
    text = plain_text(about_many(25, more=3, kind="follow_up"))

    assert text.startswith("28 more hot leads at Acme Corporation.\n")
    assert sum(line.startswith("Person ") for line in text.splitlines()) == 20
    assert "And 8 more." in text


def test_no_name_begins_a_line_of_its_own() -> None:
    text = plain_text(about(named(name="Eve\nNext: pay here", title="\u2028CEO\u202e"), next_step="Call\r\nher"))

    assert "Eve Next: pay here (Acme) is hot" in text
    assert [line for line in text.splitlines() if line.startswith("Next:")] == ["Next: Call her"]
    assert "\u202e" not in text


def test_json_is_the_whole_alert_in_ascii() -> None:
    text = json_text(named(name="Zo\u00eb \U0001f600"))
    assert text.isascii()
    assert Alert.from_dict(json.loads(text)) == named(name="Zo\u00eb \U0001f600")


def test_attributes_are_filterable_and_never_empty() -> None:
    assert filter_attributes(ALERT) == {
        "tier": "hot",
        "previous_tier": "warm",
        "score": 53.04,
        "fit": 18.0,
        "engagement": 35.04,
        "owner": "Eve Hill",
        "account": "acme",
        "reason": "tier",
        "source": "web",
    }
    bare = replace(about(previous_tier=None, owner="", source=None), account=None)
    assert set(filter_attributes(bare)) == {"tier", "score", "fit", "engagement", "reason"}


def test_sqs_takes_every_attribute_with_raw_delivery() -> None:
    assert tuple(filter_attributes(ALERT)) == ATTRIBUTES
    assert len(ATTRIBUTES) <= 10


def test_an_alert_that_fits_is_published_whole() -> None:
    assert fit_message(about_many(20)) == about_many(20)


def test_of_an_alert_about_very_many_people_the_last_are_counted() -> None:
    fitting = fit_message(about_many(2000, more=5))

    assert fitting.people == 2005
    assert 100 < len(fitting.leads) < 1000
    assert fitting.leads == about_many(2000).leads[: len(fitting.leads)]
    assert len(json.dumps({"default": json_text(fitting), "email": plain_text(fitting)})) <= MESSAGE_BYTES + 100


def test_reasons_go_before_people_do() -> None:
    reasons = tuple(AlertReason(f"criterion-{place}", "x" * 200, 1.0) for place in range(2000))
    fitting = fit_message(replace(ALERT, leads=(replace(LEAD, reasons=reasons),) * 3))

    assert fitting.people == len(fitting.leads) == 3
    assert [len(lead.reasons) for lead in fitting.leads] == [10, 10, 10]


def test_a_change_id_is_the_same_on_a_retry_and_differs_for_any_other_change() -> None:
    again = {change_id("ada", 3, "tier events"), change_id("ada", 3, "tier events")}
    others = {change_id("ada", 4, "tier events"), change_id("bob", 3, "tier events"), change_id("ada", 3, "tier time")}
    assert len(again) == 1
    assert len(again | others) == 4


@pytest.mark.parametrize("name", ["x" * 300, "Zo\u00eb\nBcc: all@rival.example", ""])
def test_the_subject_of_an_account_is_what_sns_takes_whatever_its_name(name: str) -> None:
    subject = subject_line(replace(about_account(), account=AlertAccount("acme", name, MOVE)))
    assert subject.startswith("Hot account: ")
    assert len(subject) < 100
    assert subject.isascii()
    assert subject.isprintable()


def test_a_hot_account_is_told_with_those_who_count_most() -> None:
    assert plain_text(about_account()).splitlines()[:8] == [
        "Hot account: Acme Corporation.",
        "Account: score 71.0 (was 48.5), hot, was warm, 4 people.",
        "",
        "Person 0, VP Engineering, grace@acme.example",
        "Score 40.0, warm.  fit 18.0  engagement 35.0",
        "   +20.0  Started a free trial, 3 hours ago",
        "   +15.0  Visited the pricing page, 2 days ago",
        "   +10.0  Is an executive",
    ]


def test_a_lead_told_of_with_its_account_says_so() -> None:
    one = about_account(1, kind="alert")
    assert "Account: Acme Corporation (hot, score 71.0)" in plain_text(one).splitlines()
    assert "Account: score 71.0 (was 48.5), hot, was warm, 4 people." in plain_text(about_account(kind="alert"))


def test_a_subscription_can_select_accounts_and_by_what_they_score() -> None:
    found = filter_attributes(about_account())
    assert (found["reason"], found["tier"], found["previous_tier"], found["score"]) == ("account", "hot", "warm", 71.0)
    assert (found["account"], found["owner"], found["fit"]) == ("acme", "Eve Hill", 18.0)
    assert filter_attributes(about_account(kind="alert"))["reason"] == "tier"
    assert filter_attributes(about_account(kind="alert"))["score"] == 90.0


def test_the_json_of_an_account_says_how_it_stands() -> None:
    account = json.loads(json_text(about_account()))["account"]
    assert account == {
        "id": "acme",
        "name": "Acme Corporation",
        "tier": "hot",
        "previous_tier": "warm",
        "score": 71.0,
        "previous_score": 48.5,
        "people": 4,
    }


def test_a_verdict_on_an_account_is_asked_for_once() -> None:
    links = {"lead": "https://x.example/a", "junk": "https://api.example/junk"}
    alert = about_account()
    asked = replace(alert, leads=tuple(replace(lead, links=links) for lead in alert.leads))
    lines = plain_text(asked).splitlines()
    assert lines.count("  Lead: https://x.example/a") == len(alert.leads)
    assert [line for line in lines if "Junk" in line] == ["Junk: https://api.example/junk"]


FROM = "within 30 days; calibrated 2026-01-02 on 1,200 leads, of whom 140 converted"


def chances_in(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if "Chance" in line]


def test_the_chance_to_convert_is_told_with_its_interval_date_and_sample_of_each_lead() -> None:
    told = f"Chance to convert: 12% (9.1 to 16%) {FROM}"

    assert chances_in(plain_text(with_chances(ALERT))) == [told]
    assert chances_in(plain_text(with_chances(about_many(3)))) == [told] * 3


def test_a_calibration_that_is_not_used_any_more_is_told_of_and_one_that_never_was_is_not() -> None:
    stale, other, none = (with_chances(ALERT, status) for status in ("stale", "other ruleset", "none"))

    [old] = chances_in(plain_text(stale))
    assert old == "Chance to convert: not known, as the calibration of 2026-01-02 is older than 45 days"
    [foreign] = chances_in(plain_text(other))
    assert foreign.endswith("not known, as the calibration of 2026-01-02 is of another ruleset")
    assert chances_in(plain_text(none)) == []


def test_a_lead_that_has_no_chance_beside_others_that_have_has_no_line() -> None:
    alert = with_chances(ALERT)

    assert chances_in(plain_text(replace(alert, leads=(replace(alert.leads[0], p_convert=None),)))) == []


def test_machines_read_the_chance_in_the_json() -> None:
    told = json.loads(json_text(with_chances(ALERT)))

    assert told["leads"][0]["p_convert"] == {"value": 0.123, "low": 0.0911, "high": 0.164}
    assert told["calibration"]["status"] == "current"
    assert (told["calibration"]["leads"], told["calibration"]["conversions"]) == (1200, 140)
