"""What a digest says of which lead, by examples made by hand, and how it reads."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from leadscore.core.alert_messages import MESSAGE_BYTES
from leadscore.core.changes import Change
from leadscore.core.digest import MOST_LISTED, Digest, Raise, Section, Subject, digest_id, owner_of
from leadscore.core.digest_messages import (
    filter_attributes,
    fit_message,
    json_text,
    plain_text,
    subject_line,
)
from leadscore.core.instants import DAY, HOUR
from tests.unit.digests import SCHEMA, UNTIL, change, check, digests, listed, person, subject

ASKED = Raise(UNTIL - 2 * DAY, "Demo Requested")


def of_one(lead: Subject, *changes: Change, raised: Raise | None = None) -> dict[str, list[str]]:
    """Return the section that a lead alone is in."""
    found = digests({"x": list(changes)} if changes else {}, {"x": lead}, {"x": raised} if raised else {})
    return listed(found[0]) if found else {}


def test_who_became_hot_is_new_hot() -> None:
    assert of_one(subject("ada", "hot", 53), change(("warm", 33), ("hot", 53))) == {"new_hot": ["ada"]}


def test_who_was_never_seen_before_can_be_new_hot() -> None:
    assert of_one(subject("ada", "hot", 53), change((None, 0), ("hot", 53))) == {"new_hot": ["ada"]}


def test_who_was_hot_and_is_not_has_cooled() -> None:
    assert of_one(subject("ada", "warm", 30), change(("hot", 53), ("warm", 49))) == {"cooled": ["ada"]}


def test_who_went_hot_and_cooled_on_one_day_is_told_once_as_cooled() -> None:
    both = change(("warm", 33), ("hot", 53), 1), change(("hot", 53), ("warm", 49), 2)
    assert of_one(subject("ada", "warm", 48), *both) == {"cooled": ["ada"]}
    assert of_one(subject("ada", "warm", 48), *reversed(both)) == {"cooled": ["ada"]}


def test_who_is_hot_at_both_ends_is_neither_new_nor_cooled() -> None:
    both = change(("hot", 55), ("warm", 49), 1), change(("warm", 49), ("hot", 70), 2)
    assert of_one(subject("ada", "hot", 70), *both) == {"movers": ["ada"]}


def test_a_disqualified_lead_cooled_if_it_was_hot_and_is_no_mover() -> None:
    assert of_one(subject("ada", "disqualified", 60), change(("hot", 60), ("disqualified", 60))) == {"cooled": ["ada"]}
    assert of_one(subject("ada", "disqualified", 20), change(("cold", 5), ("disqualified", 20))) == {}


def test_a_mover_moved_from_before_the_first_change_to_the_last_one() -> None:
    both = change(("cold", 5), ("warm", 30), 1), change(("warm", 29), ("warm", 40), 2, "fit")
    [digest] = digests({"x": list(both)}, {"x": subject("ada", "warm", 38)})
    [lead] = digest.sections[0].leads
    assert (lead.previous_score, lead.moved, lead.score) == (5, 35, 38)


@pytest.mark.parametrize(("to", "told"), [(20.99, False), (21.0, True), (19.0, True), (19.01, False)])
def test_a_mover_moved_by_a_point_at_least(to: float, told: bool) -> None:
    assert bool(of_one(subject("ada", "cold", to), change(("cold", 20), ("cold", to), kind="fit"))) is told


def test_a_hand_raiser_waits_whatever_else_it_did_and_whenever() -> None:
    assert of_one(subject("ada", "hot", 53), change(("warm", 33), ("hot", 53)), raised=ASKED) == {"waiting": ["ada"]}
    assert of_one(subject("ada", "cold", 3), raised=ASKED) == {"waiting": ["ada"]}


def test_a_hand_raiser_that_converted_or_was_disqualified_waits_no_longer() -> None:
    assert of_one(subject("ada", "hot", 53, converted=True), raised=ASKED) == {}
    assert of_one(subject("ada", "disqualified", 53), raised=ASKED) == {}


def test_of_whom_nobody_is_to_be_told_nothing_is_said() -> None:
    assert of_one(subject("ada", "hot", 53, silent=True), change(("warm", 33), ("hot", 53)), raised=ASKED) == {}


def test_who_is_gone_is_not_told_of() -> None:
    assert digests({"x": [change(("warm", 33), ("hot", 53))]}, {}, {"x": ASKED}) == []


def test_each_section_begins_with_whom_to_look_at_first() -> None:
    hot, cold = change(("warm", 33), ("hot", 53)), change(("hot", 53), ("warm", 40))
    [digest] = digests(
        {
            "a": [hot],
            "b": [hot],
            "c": [cold],
            "d": [cold],
            "e": [change(("warm", 40), ("warm", 26), kind="fit")],
            "f": [change(("cold", 3), ("cold", 7), kind="fit")],
        },
        {
            "a": subject("a", "hot", 51),
            "b": subject("b", "hot", 90),
            "c": subject("c", "warm", 30),
            "d": subject("d", "warm", 45),
            "e": subject("e", "warm", 26),
            "f": subject("f", "cold", 7),
            "g": subject("g", "cold", 7),
            "h": subject("h", "cold", 7),
        },
        {"g": Raise(UNTIL - HOUR, "Demo Requested"), "h": Raise(UNTIL - DAY, "Demo Requested")},
    )
    assert listed(digest) == {"waiting": ["h", "g"], "new_hot": ["b", "a"], "cooled": ["d", "c"], "movers": ["e", "f"]}


def test_each_owner_gets_their_own_and_everybody_gets_all() -> None:
    hot = [change(("warm", 33), ("hot", 53))]
    everybody, bo, kim = digests(
        {"a": hot, "b": hot, "c": hot},
        {"a": subject("a", "hot", 3, "kim"), "b": subject("b", "hot", 2, "bo"), "c": subject("c", "hot", 1)},
        unread=7,
    )
    assert (everybody.owner, bo.owner, kim.owner) == (None, "bo", "kim")
    assert (listed(everybody), listed(bo), listed(kim)) == (
        {"new_hot": ["a", "b", "c"]},
        {"new_hot": ["b"]},
        {"new_hot": ["a"]},
    )
    assert (everybody.unread, bo.unread) == (7, 0)
    assert len({everybody.id, bo.id, kim.id}) == 3


def test_an_id_is_one_of_an_owner_and_a_date() -> None:
    assert digest_id("2026-03-02", "kim") == digest_id("2026-03-02", "kim")
    ids = {digest_id(date, owner) for date in ("2026-03-02", "2026-03-03") for owner in ("kim", "bo", None)}
    assert len(ids) == 6


@pytest.mark.parametrize(
    ("trait", "owner"),
    [(None, None), ("", None), (" \n ", None), ("*", None), ("Kim\nLind", "Kim Lind"), ("k" * 300, "k" * 255 + "…")],
)
def test_an_owner_is_one_line_and_never_everybody(trait: str | None, owner: str | None) -> None:
    assert owner_of(trait) == owner


EXAMPLE = {
    "a": [change(("warm", 33), ("hot", 53))],
    "b": [change(("hot", 55.25), ("warm", 44))],
    "c": [change(("cold", 5), ("cold", 17.5), kind="fit")],
}
PEOPLE = {
    "a": replace(
        subject("grace", "hot", 53.04, "kim"),
        person=person("grace", name="Grace Hopper", company="Acme"),
        link="https://x",
    ),
    "b": subject("bob", "warm", 43.96),
    "c": subject("carl", "cold", 17.5, "kim"),
    "d": subject("dora", "warm", 31),
}


def example() -> Digest:
    return digests(EXAMPLE, PEOPLE, {"d": ASKED}, unread=2)[0]


def test_the_text_for_all_names_owners() -> None:
    assert plain_text(example()).splitlines() == [
        "All leads since 2026-03-01 07:00 UTC, as they stand now.",
        "",
        "Waiting for an answer (1):",
        "  Dora: warm, score 31.0, asked 2 days ago (Demo Requested), owner nobody yet",
        "",
        "New hot (1):",
        "  Grace Hopper (Acme): hot, score 53.0 (was 33.0), owner kim, https://x",
        "",
        "Cooled (1):",
        "  Bob: warm, score 44.0 (was 55.2), owner nobody yet",
        "",
        "Biggest movers (1):",
        "  Carl: cold, score 17.5, moved +12.5, owner kim",
        "",
        "2 more leads changed: too many to look at.",
        "",
        f"Digest {digest_id('2026-03-02', None)}, 2026-03-02 07:00 UTC.",
    ]


def test_the_text_for_an_owner_does_not_repeat_who_that_is() -> None:
    own = digests(EXAMPLE, PEOPLE)[1]
    text = plain_text(own)
    assert text.startswith("Your leads since")
    assert "owner" not in text


def test_the_subject_counts() -> None:
    assert subject_line(example()) == "Leads on 2026-03-02: 1 waiting, 1 new hot, 1 cooled, 1 moved"


def test_the_subject_of_thousands_is_short_enough() -> None:
    many = replace(example(), sections=tuple(replace(one, more=10**12) for one in example().sections))
    assert len(subject_line(many)) < 100


def test_the_json_is_what_the_schema_says() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    check(example())
    document = json.loads(json_text(example()))
    assert [(one["name"], one["count"]) for one in document["sections"]] == [
        ("waiting", 1),
        ("new_hot", 1),
        ("cooled", 1),
        ("movers", 1),
    ]
    assert document["owner"] is None


def test_filters_select_by_owner() -> None:
    everybody, kim = digests(EXAMPLE, PEOPLE)
    assert filter_attributes(everybody) == {"kind": "digest", "owner": "*"}
    assert filter_attributes(kim) == {"kind": "digest", "owner": "kim"}


def test_of_many_leads_the_last_are_counted() -> None:
    names = [f"l{number:03}" for number in range(MOST_LISTED + 13)]
    hot = [change(("warm", 33), ("hot", 53))]
    [digest] = digests(dict.fromkeys(names, hot), {name: subject(name, "hot", 53) for name in names})
    [section] = digest.sections
    assert (len(section.leads), section.more, section.count) == (MOST_LISTED, 13, MOST_LISTED + 13)
    assert "  and 13 more" in plain_text(digest).splitlines()
    check(digest)


def test_a_message_fits_whatever_people_are_called() -> None:
    long = replace(example().sections[0].leads[0], person=person("x", name="\U0001f600" * 500, title="\x01" * 2000))
    sections = tuple(Section(one.name, (long,) * MOST_LISTED) for one in example().sections)
    fitting = fit_message(replace(example(), sections=sections))
    size = len(json.dumps({"default": json_text(fitting), "email": plain_text(fitting)}))
    assert size <= MESSAGE_BYTES + 100
    assert [one.count for one in fitting.sections] == [MOST_LISTED] * 4
    assert fit_message(example()) == example()
