"""What tiers came to, where they should be cut, and what a team of a given size gets."""

from __future__ import annotations

from random import Random

import pytest

from leadscore.core.ruleset import Tier
from leadscore.learning.calibration import Calibration, calibrate
from leadscore.learning.proportions import wilson
from leadscore.learning.samples import ScoreCount
from leadscore.learning.tiers import capacity_view, cut_for, tier_cuts, tier_table

TIERS = (Tier("hot", 50), Tier("warm", 25), Tier("cold", None))
# 2,000 leads of 20 weeks, 100 conversions.
LEADS = [
    ScoreCount(72, 40, 20),
    ScoreCount(60.5, 60, 20),
    ScoreCount(50, 100, 20),
    ScoreCount(49.9, 300, 20),
    ScoreCount(10, 1500, 20),
]


def curve(scores: list[ScoreCount]) -> Calibration:
    found = calibrate(scores)
    assert found is not None
    return found


def test_each_tier_has_the_leads_from_its_bound_on() -> None:
    table = tier_table(LEADS, TIERS)
    assert [(row.name, row.leads, row.conversions) for row in table] == [
        ("hot", 200, 60),
        ("warm", 300, 20),
        ("cold", 1500, 20),
    ]
    assert [row.share for row in table] == [wilson(200, 2000), wilson(300, 2000), wilson(1500, 2000)]
    assert [row.rate for row in table] == [wilson(60, 200), wilson(20, 300), wilson(20, 1500)]
    assert table[0].to_dict()["from"] == 50


def test_a_tier_without_leads_has_no_rate() -> None:
    table = tier_table([ScoreCount(10, 5, 1)], TIERS)
    assert [(row.leads, row.rate is None) for row in table] == [(0, True), (0, True), (5, False)]
    assert tier_table([], TIERS) == []


def test_hot_begins_at_twice_the_base_rate_and_warm_at_half_of_it() -> None:
    found = tier_cuts(LEADS, curve(LEADS))
    assert found.hot is not None
    assert found.warm is not None
    fitted = curve(LEADS)
    assert fitted.probability(found.hot - 1) < 0.1 <= fitted.probability(found.hot)
    assert fitted.probability(found.warm - 1) < 0.025 <= fitted.probability(found.warm)
    assert found.apart
    assert not found.by_capacity
    assert found.to_dict()["hot"] == found.hot


def test_hot_never_asks_for_more_than_near_certainty() -> None:
    even = Calibration(-5.0, 0.1, (0.0, 0.0, 0.0), 0, 0)
    likely = [ScoreCount(float(score), 1000, round(1000 * even.probability(score))) for score in range(101)]
    found = tier_cuts(likely, even)
    # The base rate is a half: twice that is certainty. 19 to 1 are odds of e^2.94.
    assert found.hot == 80


def test_hot_is_raised_to_what_a_team_can_work() -> None:
    found = tier_cuts(LEADS, curve(LEADS), weeks=20, per_week=5)
    assert (found.hot, found.by_capacity) == (51, True)
    assert found.hot_rate == wilson(40, 100)
    plenty = tier_cuts(LEADS, curve(LEADS), weeks=20, per_week=1000)
    assert not plenty.by_capacity
    assert plenty.hot == tier_cuts(LEADS, curve(LEADS)).hot


def test_a_team_that_can_work_less_than_the_highest_score_has_no_hot_cut() -> None:
    found = tier_cuts(LEADS, curve(LEADS), weeks=20, per_week=1)
    assert (found.hot, found.hot_rate, found.apart) == (None, None, False)


def test_a_score_that_says_nothing_has_no_tiers() -> None:
    random = Random(1)
    scores = [ScoreCount(float(random.randint(0, 100)), 1, int(random.random() < 0.05)) for _ in range(2000)]
    assert not tier_cuts(scores, curve(scores)).apart
    upside_down = [ScoreCount(-one.score, one.leads, one.conversions) for one in LEADS]
    assert tier_cuts(upside_down, curve(upside_down)).hot is None
    assert not tier_cuts([], Calibration(0, 1, (0, 0, 0), 0, 0)).apart


def test_a_cut_that_every_lead_reaches_divides_nobody() -> None:
    # Half the base rate is reached at a score of 10, which all leads have.
    flat = Calibration(-3.9, 0.1, (0, 0, 0), 0, 0)
    scores = [ScoreCount(60, 100, 50), ScoreCount(10, 900, 50)]
    assert flat.probability(9) < 0.05 <= flat.probability(10)
    found = tier_cuts(scores, flat)
    assert (found.hot, found.warm) == (26, None)
    assert found.cold_rate == wilson(50, 900)


def test_too_few_leads_cannot_be_told_apart() -> None:
    few = [ScoreCount(60, 6, 2), ScoreCount(30, 20, 2), ScoreCount(5, 60, 1)]
    found = tier_cuts(few, Calibration(-4.0, 0.06, (0, 0, 0), 86, 5))
    assert found.hot is not None
    assert found.hot_rate == wilson(2, 6)
    assert not found.apart


def test_hot_leads_must_also_be_surely_better_than_warm_ones() -> None:
    close = [ScoreCount(60, 200, 40), ScoreCount(30, 400, 72), ScoreCount(5, 4000, 10)]
    found = tier_cuts(close, Calibration(-5.0, 0.07, (0, 0, 0), 4600, 122))
    assert found.hot_rate == wilson(40, 200)
    assert found.warm_rate == wilson(72, 400)
    assert found.hot_rate is not None
    assert found.hot_rate.low > 122 / 4600
    assert not found.apart


def test_a_cut_is_the_smallest_whole_score_that_lets_through_no_more_than_asked() -> None:
    assert cut_for(LEADS, 40) == 61
    assert cut_for(LEADS, 99) == 61
    assert cut_for(LEADS, 100) == 51
    assert cut_for(LEADS, 200) == 50
    assert cut_for(LEADS, 5000) == 10
    assert cut_for(LEADS, 39) is None
    apart = [ScoreCount(60, 3, 1), ScoreCount(60, 3, 0), ScoreCount(5, 90, 0)]
    assert cut_for(apart, 5) is None
    # No whole number is above 10.2 and up to 10.4.
    assert cut_for([ScoreCount(10.4, 5, 0), ScoreCount(10.2, 5, 0)], 5) is None


def test_the_capacity_view_says_what_a_team_gets_in_a_week() -> None:
    found = capacity_view(LEADS, weeks=20, per_week=10)
    assert (found.cut, found.leads) == (50, 10.0)
    rate = wilson(60, 200)
    assert rate is not None
    assert found.conversions == rate.times(10)
    assert found.conversions is not None
    assert found.conversions.value == pytest.approx(3.0)
    assert capacity_view(LEADS, weeks=20, per_week=1).to_dict() == {
        "per_week": 1,
        "cut": None,
        "leads": 0.0,
        "conversions": None,
    }
