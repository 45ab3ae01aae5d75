"""What a reader may ask: each parameter within its bounds, and a refusal that names it without repeating its value."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.core.instants import from_datetime
from leadscore.usecases.queries import Cursor, InvalidQueryError, LeadsQuery, parse_format, parse_leads_query
from tests.unit.story import instant, rules

RULES = rules(
    "id: trial, group: engagement, event: {event: [Trial]}, points: 20", tiers="[{name: hot, from: 10}, {name: cold}]"
)
AT = from_datetime(instant("2026-03-01"))


def made_up(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


def test_what_is_not_asked_for_is_not_filtered() -> None:
    assert parse_leads_query({}, RULES) == LeadsQuery(limit=50)


def test_every_parameter_is_taken() -> None:
    cursor = Cursor(AT, 12.5, "user:ada")
    asked = {"tier": "hot", "account": "acme", "owner": "Eve", "min_score": "-12.5", "limit": "1000", "format": "csv"}
    wanted = LeadsQuery(1000, "hot", "acme", "Eve", -12.5, cursor)
    assert parse_leads_query({**asked, "cursor": cursor.encode()}, RULES) == wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("limit", value)
            for value in ("0", "1001", "-1", "1.5", "", "ten", "٣", "00000000150000", "1e2", "9" * 5000)
        ),
        *(("tier", value) for value in ("lukewarm", "Hot", "")),
        *(("min_score", value) for value in ("", "nan", "inf", "1e10", "1_0", "٣", "1.", ".5", "--1", "9" * 10)),
        ("account", ""),
        ("account", "x" * 257),
        ("owner", ""),
        ("owner", "x" * 2049),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidQueryError) as refused:
        parse_leads_query({name: value}, RULES)
    told = str(refused.value)
    assert told.startswith(f"{name}: ")
    assert not value or value not in told.replace(name, "").split()


def test_the_bounds_themselves_are_allowed() -> None:
    for asked in ({"limit": "1"}, {"tier": "disqualified"}, {"account": "x" * 256}, {"owner": "x" * 2048}):
        parse_leads_query(asked, RULES)


def test_an_unknown_parameter_is_refused_without_being_repeated() -> None:
    with pytest.raises(InvalidQueryError, match="there are tier, account, owner, min_score, limit, cursor") as refused:
        parse_leads_query({"colour": "red"}, RULES)
    assert "colour" not in str(refused.value)


@given(st.integers(-(10**13), 10**13), st.floats(-1e6, 1e6), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_cursor_is_read_back_from_a_text_that_a_url_takes_as_it_is(at: int, score: float, lead: str) -> None:
    text = Cursor(at, score, lead).encode()
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert Cursor.decode(text) == Cursor(at, score, lead)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "é",
        *map(
            made_up, ([], {}, None, 5, "abc", [AT, 1.0], [AT, 1.0, "user:ada", 1], [AT, 1.0, 5], [AT, "1", "user:ada"])
        ),
        *map(
            made_up, ([1.5, 1.0, "user:ada"], [True, 1.0, "user:ada"], [AT, True, "user:ada"], ["x", 1.0, "user:ada"])
        ),
        *map(
            made_up, ([10**30, 1.0, "user:ada"], [AT, float("nan"), "u"], [AT, float("inf"), "u"], [AT, 10**400, "u"])
        ),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
    ],
)
def test_no_other_text_is_a_cursor(text: str) -> None:
    with pytest.raises(InvalidQueryError, match=r"^cursor: not one"):
        parse_leads_query({"cursor": text}, RULES)


@pytest.mark.parametrize(
    ("asked", "accept", "format_"),
    [
        ({}, "", "json"),
        ({}, "*/*", "json"),
        ({}, "text/csv", "csv"),
        ({}, "text/html, TEXT/CSV;header=present;q=0.5", "csv"),
        ({}, "application/json;q=0.9, text/csv", "json"),
        ({"format": "json"}, "text/csv", "json"),
        ({"format": "csv"}, "application/json", "csv"),
    ],
)
def test_the_parameter_says_the_format_else_the_header(asked: dict[str, str], accept: str, format_: str) -> None:
    assert parse_format(asked, accept) == format_


@pytest.mark.parametrize("value", ["", "CSV", "xml"])
def test_another_format_is_refused(value: str) -> None:
    with pytest.raises(InvalidQueryError, match=r"^format: json or csv$"):
        parse_format({"format": value}, "text/csv")
