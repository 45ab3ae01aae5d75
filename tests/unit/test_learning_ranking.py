"""AUC, its intervals and the top of the list: against scikit-learn, the definition pair by pair, and the bootstrap."""

from __future__ import annotations

from itertools import product
from math import sqrt
from random import Random
from statistics import NormalDist, mean, stdev, variance

import pytest
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from leadscore.learning.proportions import wilson
from leadscore.learning.ranking_quality import auc, auc_difference, gain_curve, top_leads
from leadscore.learning.samples import PairCount, ScoreCount

# Albumin, total protein, K-G score and outcome of the patients of DeLong, DeLong and Clarke-Pearson (1988).
PATIENTS = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1   3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0   3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1   3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0   2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""
FIELDS = [float(word) for word in PATIENTS.split()]
ALBUMIN, PROTEIN, KG = FIELDS[0::4], FIELDS[1::4], [10 - score for score in FIELDS[2::4]]
OUTCOMES = [int(outcome) for outcome in FIELDS[3::4]]
LEADS = [ScoreCount(50, 4, 3), ScoreCount(40, 10, 3), ScoreCount(10, 86, 4)]


def histogram(scores: list[float], outcomes: list[int]) -> list[ScoreCount]:
    return [ScoreCount(score, 1, outcome) for score, outcome in zip(scores, outcomes, strict=True)]


def pairs(one: list[float], other: list[float], outcomes: list[int]) -> list[PairCount]:
    return [PairCount(a, b, 1, outcome) for a, b, outcome in zip(one, other, outcomes, strict=True)]


def placements(scores: list[float], outcomes: list[int]) -> tuple[list[float], list[float]]:
    """Return V10 and V01 by their definition, comparing each lead with each lead of the other kind."""
    positive = [score for score, outcome in zip(scores, outcomes, strict=True) if outcome]
    negative = [score for score, outcome in zip(scores, outcomes, strict=True) if not outcome]
    won = {(x, y): 1.0 if x > y else 0.5 if x == y else 0.0 for x, y in product(positive, negative)}
    return [mean(won[x, y] for y in negative) for x in positive], [mean(won[x, y] for x in positive) for y in negative]


@pytest.mark.parametrize("scores", [ALBUMIN, PROTEIN, KG], ids=["albumin", "protein", "kg"])
def test_auc_and_its_error_are_those_of_the_definition(scores: list[float]) -> None:
    beaten, beating = placements(scores, OUTCOMES)
    error = sqrt(variance(beaten) / len(beaten) + variance(beating) / len(beating))
    found = auc(histogram(scores, OUTCOMES))
    assert found is not None
    assert found.value == pytest.approx(mean(beaten))
    assert (found.low, found.high) == pytest.approx((found.value - 1.96 * error, found.value + 1.96 * error))


@pytest.mark.parametrize("other", [ALBUMIN, PROTEIN], ids=["albumin", "protein"])
def test_the_difference_of_two_aucs_has_the_error_of_the_definition(other: list[float]) -> None:
    ours, theirs = placements(KG, OUTCOMES), placements(other, OUTCOMES)
    beaten, beating = ([a - b for a, b in zip(ours[k], theirs[k], strict=True)] for k in (0, 1))
    error = sqrt(variance(beaten) / len(beaten) + variance(beating) / len(beating))
    found = auc_difference(pairs(KG, other, OUTCOMES))
    assert found is not None
    assert found.value == pytest.approx(mean(beaten))
    assert found.high - found.value == pytest.approx(1.96 * error)


def test_auc_with_many_ties_is_scikit_learns() -> None:
    random = Random(3)
    outcomes = [int(random.random() < 0.2) for _ in range(2000)]
    scores = [float(random.randint(0, 6) + outcome) for outcome in outcomes]
    found = auc(histogram(scores, outcomes))
    assert found is not None
    assert found.value == pytest.approx(roc_auc_score(outcomes, scores))


def test_a_lead_in_a_histogram_is_a_lead_on_its_own() -> None:
    spread = [ScoreCount(row.score, 1, int(n < row.conversions)) for row in LEADS for n in range(row.leads)]
    assert auc(LEADS) == pytest.approx(auc(spread))
    assert top_leads(LEADS, 7) == top_leads(spread, 7)


def test_without_both_kinds_of_leads_there_is_no_auc() -> None:
    assert auc([]) is None
    assert auc([ScoreCount(1, 5, 5)]) is None
    assert auc_difference([PairCount(1, 2, 5, 0)]) is None


def test_a_perfect_ranking_of_few_leads_is_not_taken_for_certain() -> None:
    perfect = [ScoreCount(9, 4, 4), ScoreCount(1, 50, 0)]
    assert auc(perfect) == wilson(4, 4)
    found = auc(perfect)
    assert found is not None
    assert found.low < 0.6


def test_one_conversion_alone_leaves_the_auc_open() -> None:
    found = auc([ScoreCount(9, 10, 0), ScoreCount(5, 1, 1), ScoreCount(1, 30, 0)])
    assert found is not None
    assert (found.low, found.high) == (0.0, 1.0)


def test_the_bootstrap_agrees_with_the_error_of_the_difference() -> None:
    random = Random(11)
    outcomes = [int(random.random() < 0.3) for _ in range(400)]
    one = [random.gauss(outcome, 1) for outcome in outcomes]
    other = [score + random.gauss(0, 1) for score in one]
    leads = pairs(one, other, outcomes)
    drawn = [auc_difference(random.choices(leads, k=len(leads))) for _ in range(300)]
    found = auc_difference(leads)
    assert found is not None
    spread = stdev(estimate.value for estimate in drawn if estimate is not None)
    # The standard deviation of 300 draws is itself known to 4 %.
    assert (found.high - found.value) / 1.96 == pytest.approx(spread, rel=0.13)


def test_the_intervals_of_auc_and_of_a_difference_hold_the_truth_95_times_in_100() -> None:
    random = Random(5)
    truth = NormalDist().cdf(1 / sqrt(2))
    # The other score is the same with as much noise again: its two kinds are a standard deviation of sqrt(2) apart.
    difference = truth - NormalDist().cdf(1 / 2)
    held = held_difference = 0
    for _ in range(400):
        outcomes = [1] * 30 + [0] * 120
        one = [random.gauss(outcome, 1) for outcome in outcomes]
        other = [score + random.gauss(0, 1) for score in one]
        found, apart = auc(histogram(one, outcomes)), auc_difference(pairs(one, other, outcomes))
        held += found is not None and found.low <= truth <= found.high
        held_difference += apart is not None and apart.low <= difference <= apart.high
    assert 0.915 <= held / 400 <= 0.985
    assert 0.915 <= held_difference / 400 <= 0.985


@pytest.mark.parametrize(("k", "conversions"), [(4, 3), (9, 3 + 5 * 0.3), (14, 6), (1, 0.75), (100, 10), (1000, 10)])
def test_a_tie_that_the_top_cuts_through_counts_with_its_share(k: int, conversions: float) -> None:
    found = top_leads(LEADS, k)
    assert found is not None
    assert found.leads == min(k, 100)
    assert found.conversions == pytest.approx(conversions)
    assert found.precision.value == pytest.approx(conversions / found.leads)
    assert found.lift is not None
    assert found.lift.value == pytest.approx(conversions / found.leads / 0.1)
    assert found.reached is not None
    assert found.reached.value == pytest.approx(conversions / 10)


def test_the_top_of_nobody_is_nothing() -> None:
    assert top_leads([], 10) is None
    assert top_leads(LEADS, 0) is None


def test_the_gain_curve_goes_from_none_to_all() -> None:
    curve = gain_curve(LEADS, parts=25)
    assert curve[0] == (0.0, 0.0)
    assert curve[1] == (0.04, 0.3)
    assert curve[2] == pytest.approx((0.08, 0.3 + 4 * 0.03))
    assert curve[25] == (1.0, 1.0)
    assert gain_curve([ScoreCount(1, 5, 0)]) == []
