"""Laws of the backtest: bounds hold, order and cutting up do not matter, and the two rulesets are treated alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isfinite

from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore.core.instants import DAY
from leadscore.core.ruleset import Tier
from leadscore.learning.backtesting import Backtest, Subject, part_weeks, run_backtest
from leadscore.learning.samples import PairCount
from leadscore.learning.sampling import WEEK

TIERS = (Tier("hot", 6), Tier("warm", 2.5), Tier("cold", None))
ONE, OTHER = Subject("one", "1" * 12, TIERS), Subject("other", "2" * 12, TIERS)
COUNTS = st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
PAIRS = st.lists(
    st.builds(lambda a, b, c: PairCount(float(a), float(b), *c), st.integers(-3, 12), st.integers(-3, 12), COUNTS),
    min_size=1,
    max_size=6,
)
WEEKS = st.dictionaries(st.integers(2900, 2930), PAIRS, max_size=10)
Weeks = dict[int, list[PairCount]]


def tried(weeks: Weeks) -> Backtest:
    return run_backtest(weeks, ONE, OTHER, window=14 * DAY, per_week=20)


def estimates(document: object) -> Iterator[dict[str, float]]:
    if isinstance(document, dict):
        if {"value", "low", "high"} <= document.keys():
            yield document
        for value in document.values():
            yield from estimates(value)
    elif isinstance(document, list):
        for value in document:
            yield from estimates(value)


@given(WEEKS)
@settings(max_examples=60)
def test_every_figure_is_within_its_interval_and_all_is_json(weeks: Weeks) -> None:
    found = tried(weeks)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    for one in estimates(document):
        assert one["low"] <= one["value"] + 1e-9
        assert one["value"] <= one["high"] + 1e-9
        assert all(isfinite(number) for number in one.values())
    assert found.verdict


@given(WEEKS)
@settings(max_examples=60)
def test_every_lead_is_in_one_tier_one_band_and_one_period(weeks: Weeks) -> None:
    found = tried(weeks)
    leads = sum(one.leads for pairs in weeks.values() for one in pairs)
    conversions = sum(one.conversions for pairs in weeks.values() for one in pairs)
    assert found.against is not None
    for figures in (found.tested, found.against):
        for rows in (figures.tiers, figures.bands, figures.periods):
            assert sum(row.leads for row in rows) == leads
            assert sum(row.conversions for row in rows) == conversions
        shares = [point.reached.value for point in figures.gain]
        assert shares == sorted(shares)


@given(WEEKS)
@settings(max_examples=60)
def test_the_two_rulesets_are_treated_alike(weeks: Weeks) -> None:
    found = tried(weeks)
    turned = {week: [one._replace(score=one.other, other=one.score) for one in pairs] for week, pairs in weeks.items()}
    back = run_backtest(turned, OTHER, ONE, window=14 * DAY, per_week=20)
    assert back.tested == found.against
    assert back.against == found.tested
    assert (back.difference is None) == (found.difference is None)
    if found.difference is not None and back.difference is not None:
        assert abs(found.difference.value + back.difference.value) < 1e-9
        assert abs(found.difference.low + back.difference.high) < 1e-9


@given(WEEKS)
@settings(max_examples=60)
def test_neither_order_nor_how_leads_are_grouped_matters(weeks: Weeks) -> None:
    cut = {
        week: [
            part
            for one in reversed(pairs)
            for part in (
                one._replace(leads=one.leads - one.conversions, conversions=0),
                one._replace(leads=one.conversions),
            )
            if part.leads
        ]
        for week, pairs in reversed(weeks.items())
    }
    assert _rounded(tried(cut).to_dict()) == _rounded(tried(weeks).to_dict())


@given(WEEKS)
@settings(max_examples=30)
def test_a_ruleset_is_as_good_as_itself(weeks: Weeks) -> None:
    same = {week: [one._replace(other=one.score) for one in pairs] for week, pairs in weeks.items()}
    difference = tried(same).difference
    assert difference is None or (difference.value == 0 and "cannot be told apart" in tried(same).verdict)


@given(st.dictionaries(st.integers(0, 60), st.integers(1, 50), max_size=40), st.integers(1, 90 * DAY))
def test_no_label_of_an_earlier_lead_is_open_when_the_later_begin(leads: dict[int, int], window: int) -> None:
    earlier, later = part_weeks(leads, window)
    assert bool(earlier) == bool(later)
    if later:
        assert set(later) == {week for week in leads if week >= later[0]}
        assert sum(leads[week] for week in later) >= 0.4 * sum(leads.values())
        assert sum(leads[week] for week in later[1:]) < 0.4 * sum(leads.values())
        assert all((week + 1) * WEEK - 1 + window < later[0] * WEEK for week in earlier)
        assert all((week + 1) * WEEK + window > later[0] * WEEK for week in leads if earlier[-1] < week < later[0])


def _rounded(document: object) -> object:
    """Return it with sums in whatever order equal."""
    if isinstance(document, dict):
        return {name: _rounded(value) for name, value in document.items()}
    if isinstance(document, list):
        return [_rounded(value) for value in document]
    return round(document, 9) if isinstance(document, float) else document
