"""Whether the score still predicts: periods side by side, and when a rate is said to have moved."""

from __future__ import annotations

import json
from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.core.ruleset import Tier
from leadscore.learning.over_time import band_width, find_scored_periods, has_moved, score_bands
from leadscore.learning.proportions import wilson
from leadscore.learning.samples import Counts, Grouped, ScoreCount, ScoreRule

RULE = ScoreRule.uncapped({"trial": 35, "student": -4})
TIERS = (Tier("hot", 30), Tier("cold", None))
SPRING = Grouped(RULE.criteria, {((0, 16),): Counts(20, 8), (): Counts(80, 2)})
SUMMER = Grouped(RULE.criteria, {((0, 16),): Counts(10, 1), ((1, 16),): Counts(40, 4)})


def test_each_period_has_its_rates_under_the_same_tiers_and_bands() -> None:
    scored = {"spring": SPRING.scores(RULE), "summer": SUMMER.scores(RULE), "winter": []}
    spring, summer, winter = find_scored_periods(scored, TIERS)
    assert (spring.name, spring.leads, spring.conversions) == ("spring", 100, 10)
    assert spring.base_rate == wilson(10, 100)
    assert [(row.name, row.rate) for row in spring.tiers] == [("hot", wilson(8, 20)), ("cold", wilson(2, 80))]
    names = ["35", "30", "25", "20", "15", "10", "5", "0", "-5"]
    assert [row.name for row in spring.bands] == [row.name for row in summer.bands] == names
    assert [row.leads for row in summer.bands] == [10, 0, 0, 0, 0, 0, 0, 0, 40]
    assert spring.auc is not None
    assert summer.auc is not None
    assert spring.auc.low > summer.auc.value
    assert (winter.leads, winter.base_rate, winter.auc, winter.tiers) == (0, None, None, ())
    assert json.loads(json.dumps(spring.to_dict()))["tiers"][0]["conversions"] == 8


def test_bands_cover_all_scores() -> None:
    scores = [ScoreCount(score, 1, 0) for score in (399.9, 20.0, -0.5)]
    assert [band.from_ for band in score_bands(scores)] == list(range(380, -21, -20))
    assert score_bands([]) == []


@given(st.lists(st.integers(-(10**6), 10**6).map(lambda sixteenths: sixteenths / 16), min_size=1))
def test_however_far_one_score_is_from_the_rest_there_are_few_bands(scores: list[float]) -> None:
    bands = score_bands([ScoreCount(score, 1, 0) for score in scores])
    lowest, highest = bands[-1].from_, bands[0].from_
    assert lowest is not None
    assert highest is not None
    width = band_width([ScoreCount(score, 1, 0) for score in scores])
    assert lowest <= min(scores)
    assert max(scores) < highest + width
    assert len(bands) <= 31


def test_a_single_lead_with_twenty_thousand_points_does_not_make_the_answer_large() -> None:
    weeks = {str(week): [ScoreCount(float(20 * nth), 20, 1) for nth in range(8)] for week in range(13)}
    weeks["5"].append(ScoreCount(20_000.0, 1, 0))
    assert len(json.dumps([period.to_dict() for period in find_scored_periods(weeks, TIERS)])) < 100_000


@pytest.mark.parametrize(
    ("before", "now", "moved"),
    [
        ((400, 1000), (200, 1000), True),
        ((200, 1000), (400, 1000), True),
        ((400, 1000), (410, 1000), False),
        # Each is outside of the other's interval, and the intervals meet.
        ((100, 1000), (130, 1000), False),
        # Two weeks of few leads, and a rate that is off by chance.
        ((400, 1000), (2, 10), False),
        ((4, 10), (200, 1000), False),
        ((400, 1000), (0, 0), False),
        ((0, 0), (400, 1000), False),
    ],
)
def test_a_rate_has_moved_where_the_intervals_have_nothing_in_common(
    before: tuple[int, int], now: tuple[int, int], *, moved: bool
) -> None:
    assert has_moved(wilson(*before), wilson(*now)) is moved


def weeks_until_told(chance: Random, rate: float, weeks: int = 52, leads: int = 40) -> list[int]:
    """Return the weeks in which a tier is told of that converted at 10 % for 40 weeks, and at `rate` since.

    Each week the newest twelve are held against the usual rate, as insights do.
    """
    history = [sum(chance.random() < 0.1 for _ in range(leads)) for _ in range(40)]
    usual, told = wilson(sum(history), leads * 40), []
    for week in range(weeks):
        history.append(sum(chance.random() < rate for _ in range(leads)))
        newest = wilson(sum(history[-12:]), leads * 12)
        if has_moved(usual, newest):
            usual = newest
            told.append(week)
    return told


def test_a_tier_is_seldom_told_of_when_nothing_happens_and_soon_when_its_rate_halves() -> None:
    chance = Random(3)
    quiet = [len(weeks_until_told(chance, 0.1)) for _ in range(200)]
    halved = [weeks_until_told(chance, 0.05) for _ in range(100)]
    assert sum(quiet) / 200 < 0.25
    assert all(halved)
    assert median(told[0] for told in halved) < 13
