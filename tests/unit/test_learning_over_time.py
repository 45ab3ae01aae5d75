"""Whether the score still predicts: periods side by side, and when a rate is said to have moved."""

from __future__ import annotations

import json

import pytest

from leadscore.core.ruleset import Tier
from leadscore.learning.over_time import find_periods, has_moved, score_bands
from leadscore.learning.proportions import wilson
from leadscore.learning.samples import Counts, Grouped, ScoreCount, ScoreRule

RULE = ScoreRule.uncapped({"trial": 35, "student": -4})
TIERS = (Tier("hot", 30), Tier("cold", None))
SPRING = Grouped(RULE.criteria, {((0, 16),): Counts(20, 8), (): Counts(80, 2)})
SUMMER = Grouped(RULE.criteria, {((0, 16),): Counts(10, 1), ((1, 16),): Counts(40, 4)})


def test_each_period_has_its_rates_under_the_same_tiers_and_bands() -> None:
    spring, summer, winter = find_periods(
        {"spring": SPRING, "summer": SUMMER, "winter": Grouped(RULE.criteria, {})}, RULE, TIERS
    )
    assert (spring.name, spring.leads, spring.conversions) == ("spring", 100, 10)
    assert spring.base_rate == wilson(10, 100)
    assert [(row.name, row.rate) for row in spring.tiers] == [("hot", wilson(8, 20)), ("cold", wilson(2, 80))]
    assert [row.name for row in spring.bands] == [row.name for row in summer.bands] == ["30", "20", "10", "0", "-10"]
    assert [row.leads for row in summer.bands] == [10, 0, 0, 0, 40]
    assert spring.auc is not None
    assert summer.auc is not None
    assert spring.auc.low > summer.auc.value
    assert (winter.leads, winter.base_rate, winter.auc, winter.tiers) == (0, None, None, ())
    assert json.loads(json.dumps(spring.to_dict()))["tiers"][0]["conversions"] == 8


def test_bands_cover_all_scores() -> None:
    scores = [ScoreCount(score, 1, 0) for score in (-0.5, 20.0, 39.9)]
    assert [band.from_ for band in score_bands(scores, 20)] == [20, 0, -20]
    assert score_bands([]) == []


@pytest.mark.parametrize(
    ("before", "now", "moved"),
    [
        ((400, 1000), (200, 1000), True),
        ((400, 1000), (410, 1000), False),
        # Two weeks of few leads, and a rate that is off by chance.
        ((400, 1000), (2, 10), False),
        ((4, 10), (200, 1000), False),
        ((400, 1000), (0, 0), False),
        ((0, 0), (400, 1000), False),
    ],
)
def test_a_rate_has_moved_where_neither_sample_allows_for_the_other(
    before: tuple[int, int], now: tuple[int, int], *, moved: bool
) -> None:
    assert has_moved(wilson(*before), wilson(*now)) is moved
