"""What the parser makes of a document: the good and the bad list, and what the lists cannot show."""

from __future__ import annotations

import json
from collections import UserDict
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from leadscore.core import documents
from leadscore.core.bounds import state_problem
from leadscore.core.instants import DAY
from leadscore.core.parsing import InvalidRuleset, describe_problem, parse_ruleset
from leadscore.core.patterns import Problem
from leadscore.core.ruleset import (
    AlertPolicy,
    Criterion,
    IdentityPolicy,
    Measure,
    NurturePolicy,
    Ruleset,
    WorkingHours,
)
from leadscore.core.sections import FIELDS
from leadscore.core.state import State, advance
from leadscore.core.traits import PROFILE_TRAITS
from tests.unit.ruleset_cases import BadCase, as_json, bad_cases, good_texts

GOOD = good_texts()
DEFAULT_RULESET = Path(__file__).parents[2] / "infra" / "ruleset.yaml"


def problems_of(document: str | dict[str, Any], **bounds: Any) -> tuple[Problem, ...]:
    with pytest.raises(InvalidRuleset) as caught:
        parse_ruleset(document, **bounds)
    return caught.value.errors


def small(**fields: Any) -> dict[str, Any]:
    """A valid document with the given fields of its one criterion."""
    criterion = {"id": "a", "group": "engagement", "event": {"event": ["x"]}, "points": 10, **fields}
    return {"tiers": [{"name": "hot", "from": 5}, {"name": "cold"}], "criteria": [criterion]}


def only(**fields: Any) -> Criterion:
    (criterion,) = parse_ruleset(small(**fields)).criteria
    return criterion


def design() -> dict[str, Any]:
    clean = documents.read_document(GOOD["design"], [])
    assert clean is not None
    return clean


# --- The lists.


@pytest.mark.parametrize("name", GOOD)
def test_good_document_is_a_ruleset(name: str) -> None:
    ruleset = parse_ruleset(GOOD[name])
    assert [criterion.id for criterion in ruleset.criteria] == [
        criterion["id"] for criterion in json.loads(ruleset.document)["criteria"]
    ]


@pytest.mark.parametrize("case", bad_cases(), ids=lambda case: case.name)
def test_bad_document_is_refused_with_every_problem(case: BadCase) -> None:
    found = list(problems_of(case.text))
    for expected in case.errors:
        matching = [
            problem
            for problem in found
            if problem.path == expected.path
            and expected.message in problem.message
            and expected.value in {None, as_json(problem.value)}
        ]
        assert matching, f"{expected} is not among {found}"
        found.remove(matching[0])
    assert found == []


# --- What a document becomes.


def test_design_example_is_read_field_by_field() -> None:
    ruleset = parse_ruleset(GOOD["design"])
    by_id = {criterion.id: criterion for criterion in ruleset.criteria}
    assert [(tier.name, tier.from_) for tier in ruleset.tiers] == [("hot", 50), ("warm", 25), ("cold", None)]
    assert (ruleset.groups["fit"].max, ruleset.groups["engagement"].half_life) == (40, 30 * DAY)
    assert by_id["executive"].half_life is None
    assert by_id["pricing-page"].half_life == 30 * DAY
    assert by_id["free-trial"].half_life is None
    assert (by_id["webinar"].limit, by_id["webinar"].within) == (3, 90 * DAY)
    assert by_id["power-user"].measure == Measure("distinct", ("properties", "feature"))
    assert (by_id["power-user"].at_least, by_id["power-user"].limit) == (5, 5)
    assert by_id["unsubscribed"].points == -20
    competitor = by_id["competitor"]
    assert (competitor.disqualify, competitor.group, competitor.points) == (True, "fit", 0)
    assert ruleset.alerts is not None
    assert (ruleset.alerts.tier, ruleset.alerts.rearm_below, ruleset.alerts.cooldown) == ("hot", 40, 7 * DAY)
    assert ruleset.goal is not None
    assert ruleset.goal.document == {"event": ["Subscription Started"]}


def test_what_is_left_out_has_its_default() -> None:
    ruleset = parse_ruleset({**small(), "alerts": {"tier": "hot"}})
    (criterion,) = ruleset.criteria
    assert (criterion.limit, criterion.within, criterion.half_life, criterion.max) == (1, None, None, None)
    assert (criterion.at_least, criterion.measure, criterion.label, criterion.disqualify) == (None, None, "", False)
    assert list(ruleset.groups) == ["fit", "engagement", "product"]
    assert {(group.max, group.min, group.half_life) for group in ruleset.groups.values()} == {(None, None, None)}
    assert (ruleset.total_min, ruleset.total_max, ruleset.goal) == (0, 100, None)
    assert ruleset.alerts is not None
    assert (ruleset.alerts.rearm_below, ruleset.alerts.cooldown) == (5, 7 * DAY)


def test_nurture_policy_is_read_field_by_field() -> None:
    assert parse_ruleset(GOOD["every-field"]).nurture == NurturePolicy("under-water", 0, 1000, DAY, 1000)
    assert parse_ruleset(GOOD["design"]).nurture is None
    tiers = [{"name": "hot", "from": 5}, {"name": "warm", "from": 2}, {"name": "cold"}]
    defaults = parse_ruleset({**small(), "tiers": tiers, "nurture": {"min_fit": 0}}).nurture
    assert defaults == NurturePolicy("cold", 0, silent_for=14 * DAY, every=30 * DAY, daily=100)


def test_nurture_policy_needs_no_replay() -> None:
    assert parse_ruleset({**small(), "nurture": {"min_fit": 0}}).state_digest == parse_ruleset(small()).state_digest


def test_alert_policy_is_read_field_by_field() -> None:
    policy = parse_ruleset(GOOD["every-field"]).alerts
    assert policy is not None
    assert (policy.tier, policy.rearm_below, policy.cooldown) == ("half", 0.5, 0)
    assert (policy.account_cooldown, policy.delay, policy.min_fit) == (3650 * DAY, 1000, 0)
    assert policy.warn_above == 1_000_000
    assert policy.always == ("Demo Requested", 'Ünïcödé: "a\\b" 100 %')
    assert policy.hours == WorkingHours("America/Argentina/Buenos_Aires", frozenset({6, 0}), 0, 24 * 60)
    assert policy.suppress_converted is False
    assert policy.internal is not None
    assert set(policy.internal.paths) == {("email",), ("account", "plan")}


def test_what_an_alert_policy_leaves_out_has_its_default() -> None:
    hours = {"time_zone": "UTC", "from": "09:30", "to": "17:00"}
    policy = parse_ruleset({**small(), "alerts": {"tier": "hot", "hours": hours, "suppress": {}}}).alerts
    workdays = WorkingHours("UTC", frozenset({0, 1, 2, 3, 4}), 9 * 60 + 30, 17 * 60)
    assert policy == AlertPolicy("hot", rearm_below=5, cooldown=7 * DAY, hours=workdays)
    assert (policy.account_cooldown, policy.delay, policy.min_fit, policy.always) == (0, 0, None, ())
    assert (policy.suppress_converted, policy.internal) == (True, None)


def test_without_alerts_there_is_no_policy() -> None:
    assert parse_ruleset(small()).alerts is None


def test_total_without_maximum_has_none() -> None:
    ruleset = parse_ruleset({**small(points=1000), "total": {"max": "none", "min": -5}})
    assert (ruleset.total_min, ruleset.total_max) == (-5, None)


@pytest.mark.parametrize(
    ("fields", "measure", "limit"),
    [
        ({"at_least": 7}, Measure("count"), 7),
        ({"at_least": 7, "measure": "days"}, Measure("days"), 7),
        ({"at_least": 0.5, "measure": {"sum": "properties.m"}}, Measure("sum", ("properties", "m")), 256),
        ({"at_least": 0.5, "measure": {"sum": "properties.m"}, "limit": 9}, Measure("sum", ("properties", "m")), 9),
    ],
)
def test_threshold_keeps_what_it_needs(fields: dict[str, Any], measure: Measure, limit: int) -> None:
    criterion = only(**fields)
    assert (criterion.measure, criterion.limit, criterion.at_least) == (measure, limit, fields["at_least"])


@pytest.mark.parametrize(
    ("identity", "policy"),
    [
        (None, IdentityPolicy(email=False, external=frozenset())),
        ({}, IdentityPolicy()),
        ({"email": False, "external": []}, IdentityPolicy()),
        ({"email": True}, IdentityPolicy(email=True)),
        ({"external": ["crm", "phone"]}, IdentityPolicy(external=frozenset({"crm", "phone"}))),
    ],
)
def test_no_id_beside_user_and_visitor_identifies_unless_the_ruleset_says_so(
    identity: dict[str, Any] | None, policy: IdentityPolicy
) -> None:
    document = small() if identity is None else {**small(), "identity": identity}
    assert parse_ruleset(document).identity == policy


def test_a_gate_on_events_is_engagement_and_one_on_traits_is_fit() -> None:
    document = small()
    document["criteria"] += [
        {"id": "b", "disqualify": True, "event": {"event": ["x"]}},
        {"id": "c", "disqualify": True, "traits": {"x": [1]}},
        {"id": "d", "disqualify": True, "traits": {"x": [1]}, "group": "product"},
    ]
    assert [c.group for c in parse_ruleset(document).criteria[1:]] == ["engagement", "fit", "product"]


def test_half_life_of_the_group_does_not_reach_traits_and_gates() -> None:
    document = {**small(), "groups": {name: {"half_life": "1d"} for name in ("fit", "engagement")}}
    document["criteria"] += [
        {"id": "b", "group": "fit", "traits": {"x": [1]}, "points": 1},
        {"id": "c", "disqualify": True, "event": {"event": ["x"]}},
        {"id": "d", "group": "engagement", "event": {"event": ["x"]}, "traits": {"x": [1]}, "points": 1},
    ]
    assert [c.half_life for c in parse_ruleset(document).criteria] == [DAY, None, None, DAY]


def test_groups_come_in_one_order_whatever_the_document_says() -> None:
    document = {**small(group="z"), "groups": {"z": {}, "engagement": {}, "m": {}}}
    document["criteria"].append({"id": "b", "group": "m", "traits": {"x": [1]}, "points": 1})
    assert list(parse_ruleset(document).groups) == ["fit", "engagement", "product", "m", "z"]


# --- YAML and JSON.


def test_dates_and_words_of_agreement_are_texts() -> None:
    ruleset = parse_ruleset(GOOD["texts"])
    assert [tier.name for tier in ruleset.tiers] == ["yes", "no"]
    on = json.loads(ruleset.document)["criteria"][0]["traits"]
    assert on["signed-up"] == ["2024-01-01", "12:30", "2024-01-01T00:00:00Z"]
    assert on["yes"] == ["no", "off"]
    assert [criterion.points for criterion in ruleset.criteria] == [5, 10, 10]


def test_a_date_in_a_mapping_is_refused() -> None:
    (problem,) = problems_of(small(event={"properties": {"day": [date(2024, 1, 1)]}}))
    assert problem == Problem("criteria[0].event.properties.day[0]", "a date is no JSON value", "2024-01-01")


def test_yaml_json_and_mapping_have_one_version() -> None:
    document = design()
    backwards = json.dumps(_reversed(document), indent=1)
    versions = {
        parse_ruleset(given).version
        for given in (GOOD["design"], document, backwards, "\ufeff \n" + backwards, UserDict(document))
    }
    assert len(versions) == 1
    assert len(versions.pop()) == 12


def test_whole_numbers_written_as_floats_have_the_same_version() -> None:
    assert parse_ruleset(small(max=50.0)).version == parse_ruleset(small(max=50)).version
    assert parse_ruleset(small(max=50.5)).version != parse_ruleset(small(max=50)).version


def test_document_is_canonical_and_parses_to_the_same_ruleset() -> None:
    ruleset = parse_ruleset(GOOD["every-field"])
    again = parse_ruleset(ruleset.document)
    assert again == ruleset
    assert ruleset.document == json.dumps(
        json.loads(ruleset.document), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


def test_tuples_are_lists() -> None:
    document = small()
    document["criteria"] = tuple(document["criteria"])
    assert parse_ruleset(document).version == parse_ruleset(small()).version


# --- Bounds on the work and on the size.


def test_aliases_cannot_grow_without_bound() -> None:
    levels = [f"x{i + 1}: &x{i + 1} [{', '.join([f'*x{i} '] * 10)}]" for i in range(9)]
    (problem,) = problems_of("\n".join(["x0: &x0 [1]", *levels]))
    assert "aliases counted" in problem.message


def test_an_object_inside_itself_is_refused() -> None:
    document: dict[str, Any] = {}
    document["goal"] = document
    assert "nested more than 64 deep" in {problem.message for problem in problems_of(document)}


@pytest.mark.parametrize("bracket", ["[", '{"a":', "a: [", "- "])
def test_any_depth_of_nesting_is_an_error_and_no_crash(bracket: str) -> None:
    assert problems_of(bracket * 20_000)


def test_deep_and_complete_nesting_is_refused() -> None:
    deep = "[" * 900 + "]" * 900
    for text in (f"goal: {deep}", f'{{"goal": {deep}}}'):
        assert any("64 deep" in problem.message for problem in problems_of(text))


@pytest.mark.parametrize(("start", "most"), [("", 500_000), ("{", 4_000_000)])
def test_a_text_that_is_too_long_is_not_read(start: str, most: int) -> None:
    (problem,) = problems_of(start + " " * most + " ")
    assert f"at most {most} are read" in problem.message


@pytest.mark.parametrize("number", ["9" * 400, "9" * 5000])
@pytest.mark.parametrize("text", ["tiers: [{{from: {}}}]", '{{"tiers": [{{"from": {}}}]}}'])
def test_numbers_that_no_double_holds_are_refused(text: str, number: str) -> None:
    messages = [problem.message for problem in problems_of(text.format(number))]
    assert any("double" in message or "digits" in message for message in messages)


def test_worst_case_state_names_the_largest_criteria() -> None:
    document = small(limit=1000)
    document["criteria"] += [
        {**document["criteria"][0], "id": "little", "limit": 1},
        {**document["criteria"][0], "id": "sums", "measure": {"sum": "properties.x"}, "at_least": 1},
        {**document["criteria"][0], "id": "some", "limit": 100},
    ]
    (problem,) = problems_of(document)
    assert (problem.path, problem.value) == ("criteria", 315157)
    largest = "largest: criterion `sums` 154,020 bytes, criterion `a` 128,017 bytes, its 9 traits 19,638"
    assert largest in problem.message
    assert parse_ruleset(document, max_state_bytes=None).criteria[0].limit == 1000


def test_accounts_have_a_bound_too() -> None:
    names = [f"trait{i}" for i in range(130)]
    document = small()
    document["criteria"].append({"id": "b", "group": "fit", "traits": {n: ["x"] for n in names}, "points": 1})
    assert parse_ruleset(document).lead_traits == set(names)
    document["criteria"][1]["traits"] = {"account": {n: ["x"] for n in names}}
    (problem,) = problems_of(document)
    assert "the state of one account could need" in problem.message


def test_no_state_is_larger_than_the_worst_case() -> None:
    kept: list[dict[str, Any]] = [
        {"limit": 40},
        {"at_least": 40},
        {"at_least": 40, "measure": "days"},
        {"at_least": 40, "measure": {"distinct": "properties.text"}},
        {"at_least": 1_000_000, "measure": {"sum": "properties.minutes"}, "limit": 40},
    ]
    document = small()
    document["criteria"] = [{**small(**fields)["criteria"][0], "id": f"c{i}"} for i, fields in enumerate(kept)]
    ruleset = parse_ruleset(document)
    events: list[dict[str, Any]] = [
        {
            "messageId": f"{day:->100}",
            "type": "track",
            "event": "x",
            "timestamp": f"{1000 + day}-12-31T23:59:59.999Z",
            "properties": {"minutes": 1.2345678901234567e-100, "text": f"{day:02}" + '"' * 30},
        }
        for day in range(50)
    ]
    events.append({**events[0], "type": "identify", "traits": dict.fromkeys(PROFILE_TRAITS, "\\" * 1023)})
    size = len(advance(State.empty(ruleset), events).to_json().encode())
    worst = state_problem(ruleset, 0)
    assert worst is not None
    assert isinstance(worst.value, int)
    assert 0.8 * worst.value < size <= worst.value


# --- What a stored state depends on.


def changed(**fields: Any) -> Ruleset:
    """The design example with other fields in its criterion `webinar`."""
    document = design()
    webinar = next(criterion for criterion in document["criteria"] if criterion["id"] == "webinar")
    webinar.update(fields)
    return parse_ruleset(document)


@pytest.mark.parametrize(
    "fields",
    [
        {"points": 6},
        {"max": 9},
        {"within": "1d"},
        {"half_life": "1d"},
        {"group": "product"},
        {"label": "Webinar"},
    ],
)
def test_state_outlives_a_change_of_how_it_is_scored(fields: dict[str, Any]) -> None:
    before, after = parse_ruleset(GOOD["design"]), changed(**fields)
    assert after.version != before.version
    assert after.state_digest == before.state_digest


@pytest.mark.parametrize("identity", [{"email": True}, {"external": ["crm"]}, {}])
def test_state_outlives_a_change_of_who_is_one_person(identity: dict[str, Any]) -> None:
    before, after = parse_ruleset(design()), parse_ruleset({**design(), "identity": identity})
    assert after.version != before.version
    assert after.state_digest == before.state_digest


def test_state_outlives_other_tiers_caps_and_alerts_and_another_order() -> None:
    before, document = parse_ruleset(GOOD["design"]), design()
    document |= {"tiers": [{"name": "top", "from": 30}, {"name": "rest"}], "groups": {}, "total": {"max": 90}}
    del document["alerts"]
    document["criteria"].reverse()
    after = parse_ruleset(document)
    assert after.version != before.version
    assert after.state_digest == before.state_digest


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "seminar"},
        {"limit": 4},
        {"event": {"event": ["Webinar Watched"]}},
        {"traits": {"newsletter": [True]}},
        {"traits": {"account": {"plan": ["pro"]}}},
    ],
)
def test_state_does_not_outlive_a_change_of_what_it_keeps(fields: dict[str, Any]) -> None:
    assert changed(**fields).state_digest != parse_ruleset(GOOD["design"]).state_digest


@pytest.mark.parametrize(
    "fields",
    [
        {"at_least": 6},
        {"measure": {"distinct": "properties.page"}},
        {"measure": {"sum": "properties.feature"}},
        {"measure": "count"},
    ],
)
def test_state_does_not_outlive_another_threshold(fields: dict[str, Any]) -> None:
    document = design()
    document["criteria"][5].update(fields)
    assert parse_ruleset(document).state_digest != parse_ruleset(GOOD["design"]).state_digest


def test_state_does_not_outlive_another_sum_to_reach() -> None:
    few, many = (parse_ruleset(small(measure={"sum": "properties.m"}, at_least=least)) for least in (10, 10.5))
    assert few.state_digest != many.state_digest


def test_state_does_not_outlive_another_goal() -> None:
    document = design()
    document["goal"] = {"event": ["Paid"]}
    without = design()
    del without["goal"]
    digests = {parse_ruleset(given).state_digest for given in (design(), document, without)}
    assert len(digests) == 3


ALERTS: dict[str, Any] = {"tier": "hot", "rearm_below": 40, "cooldown": "7d"}


def alerting(**fields: Any) -> Ruleset:
    """The design example with further fields in its alert policy."""
    return parse_ruleset({**design(), "alerts": {**ALERTS, **fields}})


def test_the_version_of_a_ruleset_with_the_simple_policy_is_what_it_was() -> None:
    ruleset = parse_ruleset(GOOD["design"])
    assert (ruleset.version, ruleset.state_digest) == ("9f2d4a730463", "4701c4ec0d4ef061")


@pytest.mark.parametrize(
    "fields",
    [
        {"account_cooldown": "1d"},
        {"delay": "2m"},
        {"min_fit": 10},
        {"hours": {"time_zone": "UTC", "from": "09:00", "to": "17:00"}},
        {"suppress": {"converted": False}},
        {"suppress": {"internal": {"email": [{"suffix": "@ourselves.example"}]}}},
    ],
)
def test_state_outlives_another_alert_policy(fields: dict[str, Any]) -> None:
    assert alerting(**fields).version != parse_ruleset(GOOD["design"]).version
    assert alerting(**fields).state_digest == parse_ruleset(GOOD["design"]).state_digest


def test_state_does_not_outlive_other_hand_raises() -> None:
    given = [{}, {"always": ["Demo Requested"]}, {"always": ["Called", "Demo Requested"]}]
    assert len({alerting(**fields).state_digest for fields in given}) == 3
    backwards = alerting(always=["Demo Requested", "Called"])
    assert backwards.state_digest == alerting(**given[2]).state_digest


@pytest.mark.parametrize("pattern", [{"department": ["ours"]}, {"account": {"plan": ["own"]}}])
def test_state_does_not_outlive_who_is_internal_by_a_trait_that_it_did_not_keep(pattern: dict[str, Any]) -> None:
    ruleset = alerting(suppress={"internal": pattern})
    assert ruleset.state_digest != parse_ruleset(GOOD["design"]).state_digest
    read = ruleset.lead_traits | ruleset.account_traits
    assert {"department", "plan"} & read


def test_a_trait_of_the_lead_is_not_one_of_its_account() -> None:
    lead = parse_ruleset(small(traits={"plan": ["pro"]}))
    account = parse_ruleset(small(traits={"account": {"plan": ["pro"]}}))
    assert lead.state_digest != account.state_digest


# --- The words of an error, and the default ruleset.


def test_problem_is_one_line_with_path_and_value() -> None:
    assert describe_problem(Problem("a.b", "is wrong", {"x": "é"})) == 'a.b: is wrong (got {"x": "é"})'
    assert describe_problem(Problem("", "is empty", None)) == "ruleset: is empty"
    assert len(describe_problem(Problem("a", "b", "x" * 5000))) < 150


def test_error_lists_all_problems() -> None:
    with pytest.raises(InvalidRuleset) as caught:
        parse_ruleset({**small(points=1.0, limit=-1), "wat": None})
    assert str(caught.value).splitlines() == [
        f"wat: unknown field; the fields here are {', '.join(FIELDS['ruleset'])}",
        "criteria[0].points: must be a whole number from -1000 to 1000, written without a point (got 1.0)",
        "criteria[0].limit: must be a whole number from 1 to 1000, written without a point (got -1)",
    ]


def test_default_ruleset_can_be_published() -> None:
    ruleset = parse_ruleset(DEFAULT_RULESET.read_text())
    assert len(ruleset.document.encode()) <= 8192
    assert {(criterion.id, criterion.points) for criterion in ruleset.criteria} == {
        ("executive", 10),
        ("company-size", 8),
        ("pricing-page", 15),
        ("free-trial", 20),
        ("webinar", 5),
    }
    assert [(tier.name, tier.from_) for tier in ruleset.tiers] == [("hot", 50), ("warm", 25), ("cold", None)]


def _reversed(value: object) -> Any:
    """Return `value` with the keys of every object in the opposite order."""
    if isinstance(value, dict):
        return {key: _reversed(item) for key, item in reversed(value.items())}
    if isinstance(value, list):
        return [_reversed(item) for item in value]
    return value
