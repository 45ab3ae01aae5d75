"""What may be asked of one lead: instants within bounds, and versions of rulesets that there were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from leadscore import Ruleset, parse_ruleset
from leadscore.usecases.lead_queries import LeadQuery, UnknownRulesetError, find_ruleset, parse_lead_query
from leadscore.usecases.queries import InvalidQueryError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ruleset(points: int) -> Ruleset:
    return parse_ruleset(
        {
            "tiers": [{"name": "hot", "from": 1}, {"name": "cold"}],
            "criteria": [{"id": "trial", "group": "engagement", "event": {"event": ["Trial"]}, "points": points}],
        }
    )


ALL = [ruleset(points) for points in range(1, 60)]
ACTIVE = ALL[0]


def published() -> Iterator[str]:
    yield "{}"
    yield from (each.document for each in ALL)


def nothing_is_looked_up() -> list[str]:
    raise AssertionError("the history was asked for")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00.250+01:00", datetime(2026, 1, 31, 11, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2036-02-27T12:00:00Z", NOW + timedelta(days=3650)),
    ],
)
def test_instants_are_read(text: str, at: datetime) -> None:
    assert parse_lead_query({"at": text}, NOW) == LeadQuery(at=at)


@pytest.mark.parametrize(
    "asked",
    [
        {"at": "yesterday"},
        {"at": ""},
        {"at": "2026-01-31T12:00:00 01:00"},
        {"at": "1969-12-31T23:59:59.999Z"},
        {"at": "2036-02-27T12:00:00.001Z"},
        {"at": "9999-12-31T23:59:59-01:00"},
        {"ruleset": "abc"},
        {"ruleset": "ABCDEF"},
        {"ruleset": "0123456789abc"},
        {"ruleset": "latest"},
        {"colour": "red"},
    ],
)
def test_anything_else_is_refused_without_repeating_it(asked: dict[str, str]) -> None:
    with pytest.raises(InvalidQueryError) as refused:
        parse_lead_query(asked, NOW)
    [value] = asked.values()
    assert not value or value not in str(refused.value)


def test_nothing_asked_is_now_and_the_active_ruleset() -> None:
    assert parse_lead_query({}, NOW) == LeadQuery()


def test_the_active_ruleset_is_not_looked_up() -> None:
    assert find_ruleset(ACTIVE, ACTIVE.version, nothing_is_looked_up) is ACTIVE


def test_a_version_or_the_beginning_of_one_is_found_among_all_that_were_published() -> None:
    for wanted in (ALL[17], ACTIVE):
        for digits in (12, 8):
            assert find_ruleset(ACTIVE, wanted.version[:digits], published).version == wanted.version


def test_the_active_ruleset_is_found_by_its_beginning_also_where_the_history_is_short() -> None:
    assert find_ruleset(ACTIVE, ACTIVE.version[:8], list) is ACTIVE


def test_a_beginning_of_several_versions_is_refused() -> None:
    common = next(one.version[:1] for one in ALL if sum(other.version.startswith(one.version[:1]) for other in ALL) > 1)
    with pytest.raises(InvalidQueryError, match="several"):
        find_ruleset(ACTIVE, common, published)


def test_a_version_that_never_was_is_unknown() -> None:
    with pytest.raises(UnknownRulesetError):
        find_ruleset(ACTIVE, "0" * 12, published)


def test_what_no_longer_parses_is_passed_over() -> None:
    assert json.loads(next(published())) == {}
    assert find_ruleset(ACTIVE, ALL[3].version, published) == ALL[3]
