"""What Parameter Store is given of a ruleset: never two braces, never too much at once, and the same bytes back."""

from __future__ import annotations

import json

import pytest

from leadscore import parse_ruleset
from leadscore.stored_ruleset import (
    MOST_PARTS,
    PARAMETER_BYTES,
    Parts,
    TornRulesetError,
    is_switch,
    join_parts,
    part_name,
    read_switch,
    split_document,
    storable_text,
)
from tests.rulesets import many_criteria

TIERS = [{"name": "hot", "from": 5}, {"name": "cold"}]


def split(document: str) -> Parts:
    parts = split_document(document)
    assert parts is not None
    return parts


def labelled(label: str) -> str:
    criterion = {"id": "a", "group": "fit", "label": label, "traits": {"plan": ["pro"]}, "points": 5}
    return parse_ruleset({"tiers": TIERS, "criteria": [criterion]}).document


@pytest.mark.parametrize("label", ["{{x}}", "{{{", "{{{{", "\\{{", '"{{"', "{ {", "a{{b{{c", "é{{"])
def test_braces_are_stored_as_escapes_and_mean_the_same(label: str) -> None:
    document = labelled(label)
    stored = storable_text(document)
    assert "{{" not in stored
    assert json.loads(stored) == json.loads(document)
    assert parse_ruleset(stored).version == parse_ruleset(document).version
    assert parse_ruleset(stored).criteria[0].label == label


def test_a_document_fits_one_parameter_to_the_last_byte() -> None:
    short = labelled("y")
    padded = short.replace('"y"', f'"{"x" * (PARAMETER_BYTES - len(short.encode()) + 1)}"')
    assert len(padded.encode()) == PARAMETER_BYTES
    assert split_document(padded) is None
    assert split(padded.replace("xx", "xxx", 1)).values
    # Escaped braces take five bytes more each.
    assert split(padded.replace("xx", "{{", 1)).values
    assert split_document(padded.replace("xxxxxxxxxxxx", "{{", 1)) is None


def test_a_thousand_criteria_are_a_few_standard_parameters() -> None:
    document = parse_ruleset(many_criteria(1000)).document
    parts = split(document)
    assert 1 < len(parts.values) <= 10
    assert all(len(value) <= 4096 and "{{" not in value for value in parts.values)
    switch = parts.switch([1] * len(parts.values))
    assert is_switch(switch)
    assert len(switch.encode()) <= 4096
    assert "{{" not in switch
    assert join_parts(read_switch(switch), parts.values) == document
    assert read_switch(switch).names("/a/ruleset")[1] == f"{part_name('/a/ruleset', parts.folder, 1)}:1"


def test_the_switch_of_the_most_parts_is_a_standard_parameter() -> None:
    assert len(Parts("0" * 16, (), "0" * 64, 10**6).switch([1000] * MOST_PARTS)) <= 4096


def test_a_document_is_no_switch() -> None:
    assert not is_switch(labelled("split"))


def test_what_takes_too_many_parts_is_refused_with_both_figures() -> None:
    document = json.dumps({"criteria": ["é" * 600_000]}, ensure_ascii=False)
    with pytest.raises(ValueError, match=r"1,200,\d+ bytes as JSON and 1 parts.*; 1,000,000 bytes and 40 parts"):
        split_document(document)


def torn(parts: Parts) -> list[tuple[str, ...]]:
    values = parts.values
    return [
        values[:-1],
        values[1:],
        (values[1], values[0], *values[2:]),
        (values[0][:-4], *values[1:]),
        ("%" + values[0][1:], *values[1:]),
        (),
    ]


@pytest.mark.parametrize("case", range(6))
def test_parts_that_are_not_those_of_the_switch_are_refused(case: int) -> None:
    parts = split(parse_ruleset(many_criteria(1000)).document)
    switch = read_switch(parts.switch([1] * len(parts.values)))
    with pytest.raises(TornRulesetError):
        join_parts(switch, torn(parts)[case])


def test_parts_of_another_ruleset_are_refused() -> None:
    one = split(parse_ruleset(many_criteria(1000)).document)
    other = split(parse_ruleset(many_criteria(1000, points=7)).document)
    assert one.folder != other.folder
    with pytest.raises(TornRulesetError):
        join_parts(read_switch(one.switch([1] * len(one.values))), other.values)


@pytest.mark.parametrize(
    "value", ['{"split":{}}', '{"split":', '{"split":{"folder":"a","pins":1,"sha256":"","bytes":1}}']
)
def test_a_switch_that_names_nothing_is_refused(value: str) -> None:
    with pytest.raises(TornRulesetError, match="names no parts"):
        read_switch(value)
