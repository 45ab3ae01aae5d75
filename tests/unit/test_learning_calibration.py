"""Probability of a score: against scikit-learn's Platt scaling and Brier score, and against simulated truth."""

from __future__ import annotations

from math import log
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]
from sklearn.calibration import _sigmoid_calibration  # type: ignore[import-untyped]
from sklearn.metrics import brier_score_loss  # type: ignore[import-untyped]

from leadscore.learning.calibration import Calibration, brier, calibrate, logistic, logit, reliability
from leadscore.learning.samples import ScoreCount, joined

TRUE = Calibration(-4.0, 0.05, (0.0, 0.0, 0.0), 0, 0)


def draw(random: Random, leads: int, truth: Calibration = TRUE) -> list[ScoreCount]:
    """Return leads with whole scores from 0 to 80 that convert as `truth` says."""
    scores = [random.randint(0, 80) for _ in range(leads)]
    return [ScoreCount(float(s), 1, int(random.random() < truth.probability(s))) for s in scores]


def fitted(scores: list[ScoreCount]) -> Calibration:
    found = calibrate(scores)
    assert found is not None
    return found


def test_the_curve_is_scikit_learns_platt_scaling() -> None:
    leads = draw(Random(1), 3000)
    a, b = _sigmoid_calibration(np.array([one.score for one in leads]), np.array([one.conversions for one in leads]))
    ours = fitted(leads)
    # Theirs is 1 / (1 + exp(a * score + b)).
    assert (ours.slope, ours.intercept) == pytest.approx((-a, -b), rel=1e-3)


def test_a_histogram_gives_the_curve_of_its_leads() -> None:
    leads = draw(Random(2), 500)
    grouped = {one.score: [0, 0] for one in leads}
    for one in leads:
        grouped[one.score][0] += 1
        grouped[one.score][1] += one.conversions
    ours = fitted([ScoreCount(score, n, k) for score, (n, k) in grouped.items()])
    assert (ours.intercept, ours.slope) == pytest.approx((fitted(leads).intercept, fitted(leads).slope))


def test_the_variances_are_the_inverse_of_the_information() -> None:
    leads = draw(Random(2), 500)
    ours = fitted(leads)
    columns = np.array([[1.0, one.score] for one in leads])
    chances = np.array([ours.probability(one.score) for one in leads])
    inverse = np.linalg.inv(columns.T @ (columns * (chances * (1 - chances))[:, None]))
    assert ours.variances == pytest.approx((inverse[0, 0], inverse[0, 1], inverse[1, 1]), rel=1e-6)
    error = np.sqrt(np.array([1.0, 30.0]) @ inverse @ np.array([1.0, 30.0]))
    assert logit(ours.estimate(30).high) - logit(ours.estimate(30).value) == pytest.approx(1.96 * error)


def test_perfect_separation_gives_a_steep_curve_and_no_certainty() -> None:
    found = fitted([ScoreCount(50, 10, 10), ScoreCount(10, 90, 0)])
    # Platt's targets: 11/12 for those that convert, 1/92 for the others.
    assert found.probability(50) == pytest.approx(11 / 12)
    assert found.probability(10) == pytest.approx(1 / 92)


@pytest.mark.parametrize("conversions", [0, 3, 20])
def test_one_score_for_all_gives_one_probability(conversions: int) -> None:
    found = fitted([ScoreCount(12, 20, conversions)])
    assert found.slope == 0.0
    assert found.doubling_points is None
    assert found.score_at(0.5) is None
    assert 0 < found.probability(12) < 1
    assert found.probability(12) == found.probability(99)


def test_of_no_leads_there_is_no_curve() -> None:
    assert calibrate([]) is None
    assert brier([], TRUE) is None
    assert reliability([], TRUE) is None


def test_the_doubling_points_double_the_odds() -> None:
    points = TRUE.doubling_points
    assert points == pytest.approx(log(2) / 0.05)
    assert points is not None
    odds = [TRUE.probability(score) / (1 - TRUE.probability(score)) for score in (30, 30 + points)]
    assert odds[1] == pytest.approx(2 * odds[0])


def test_the_score_of_a_probability_is_where_the_curve_reaches_it() -> None:
    score = TRUE.score_at(0.3)
    assert score is not None
    assert TRUE.probability(score) == pytest.approx(0.3)


def test_a_refit_gives_the_newest_leads_the_intercept_that_fits_them_best_and_keeps_the_slope() -> None:
    random = Random(6)
    before = fitted(joined(draw(random, 4000)))
    newest = joined(draw(random, 900, Calibration(-5.0, 0.05, (0.0, 0.0, 0.0), 0, 0)))
    after = before.refitted(newest)
    scores, leads, conversions = (np.array(column, dtype=float) for column in zip(*newest, strict=True))
    # Platt's targets in place of 1 and 0.
    total, converted = leads.sum(), conversions.sum()
    targets = conversions * (converted + 1) / (converted + 2) + (leads - conversions) / (total - converted + 2)

    def loss(intercept: float) -> float:
        odds = intercept + before.slope * scores
        return float((leads * np.logaddexp(0.0, odds) - targets * odds).sum())

    theirs = minimize_scalar(loss, bracket=(-8.0, -2.0), tol=1e-10)
    assert after.intercept == pytest.approx(theirs.x, abs=1e-5)
    assert after.slope == before.slope
    assert (after.leads, after.conversions) == (total, converted)


def test_a_refit_is_as_uncertain_as_its_leads_and_the_slope_make_it() -> None:
    random = Random(7)
    older, newest = joined(draw(random, 3000)), joined(one for one in draw(random, 2500) if one.score < 45)
    before = fitted(joined([*older, *newest]))
    after = before.refitted(newest)
    # What each lead's outcome adds to the errors of both, by the influence that it has on them.
    everyone = [(one.score, one.leads, nth >= len(older)) for nth, one in enumerate([*older, *newest])]
    scores, leads, is_new = (np.array(column) for column in zip(*everyone, strict=True))
    chances = np.array([before.probability(score) for score in scores])
    weights = leads * chances * (1 - chances)
    middle, middle_of_new = np.average(scores, weights=weights), np.average(scores, weights=weights * is_new)
    on_slope = (scores - middle) / (weights * (scores - middle) ** 2).sum()
    on_intercept = is_new / (weights * is_new).sum() - middle_of_new * on_slope
    wanted = [
        (weights * one * other).sum()
        for one, other in ((on_intercept, on_intercept), (on_intercept, on_slope), (on_slope, on_slope))
    ]
    assert after.variances == pytest.approx(wanted, rel=0.03)


@given(st.lists(st.builds(ScoreCount, st.integers(0, 80).map(float), st.integers(2, 50), st.just(1)), min_size=2))
def test_a_refit_to_the_very_same_leads_changes_nothing(scores: list[ScoreCount]) -> None:
    before = fitted(joined(scores))
    after = before.refitted(joined(scores))
    assert after.intercept == pytest.approx(before.intercept, abs=1e-6)
    assert after.variances == pytest.approx(before.variances, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize(
    "newest",
    [[ScoreCount(12, 20, 0)], [ScoreCount(12, 20, 20)], [ScoreCount(10, 50, 3), ScoreCount(20_000, 1, 0)]],
    ids=["none converted", "all converted", "one far out"],
)
def test_a_refit_to_any_leads_gives_no_certainty(newest: list[ScoreCount]) -> None:
    found = Calibration(-4.0, 0.05, (0.1, -0.001, 0.0002), 900, 90).refitted(newest)
    estimate = found.estimate(12)
    assert 0 < estimate.low < estimate.value < estimate.high < 1
    expected = sum(found.probability(one.score) * one.leads for one in newest)
    assert expected == pytest.approx(sum(one.conversions for one in newest), abs=1.2)


def test_the_interval_of_a_probability_holds_the_truth_95_times_in_100() -> None:
    random = Random(9)
    held = {20: 0, 60: 0}
    for _ in range(150):
        found = fitted(joined(draw(random, 1500)))
        for score in held:
            estimate = found.estimate(score)
            assert estimate.low < estimate.value < estimate.high
            held[score] += estimate.low <= TRUE.probability(score) <= estimate.high
    assert all(0.89 <= count / 150 <= 1.0 for count in held.values()), held


def test_a_logarithm_of_odds_that_is_too_large_still_is_a_probability() -> None:
    assert 0 < logistic(-10_000) < logistic(-50) < 0.5 < logistic(50) <= logistic(10_000) < 1
    assert logistic(logit(0.37)) == pytest.approx(0.37)


def test_the_brier_score_is_scikit_learns_and_its_skill_is_over_the_base_rate() -> None:
    leads = draw(Random(4), 2000)
    outcomes = [one.conversions for one in leads]
    base = sum(outcomes) / len(outcomes)
    theirs = brier_score_loss(outcomes, [TRUE.probability(one.score) for one in leads])
    found = brier(leads, TRUE)
    assert found is not None
    assert found.score.value == pytest.approx(theirs)
    assert found.skill is not None
    assert found.skill.value == pytest.approx(1 - theirs / brier_score_loss(outcomes, [base] * len(outcomes)))
    assert found.skill.low > 0


def test_a_curve_that_is_off_has_no_skill() -> None:
    found = brier(draw(Random(4), 2000), Calibration(3.0, 0.0, (0.0, 0.0, 0.0), 1, 1))
    assert found is not None
    assert found.skill is not None
    assert found.skill.high < 0


def test_where_none_converts_there_is_no_skill_to_speak_of() -> None:
    found = brier([ScoreCount(1, 5, 0)], TRUE)
    assert found is not None
    assert found.skill is None


def test_the_intervals_of_brier_and_skill_hold_the_truth_95_times_in_100() -> None:
    random = Random(21)
    chances = [TRUE.probability(score) for score in range(81)]
    truth = sum(p * (1 - p) for p in chances) / 81
    base = sum(chances) / 81
    skill = 1 - truth / (base * (1 - base))
    held = held_skill = 0
    for _ in range(300):
        found = brier(draw(random, 600), TRUE)
        assert found is not None
        assert found.skill is not None
        held += found.score.low <= truth <= found.score.high
        held_skill += found.skill.low <= skill <= found.skill.high
    assert 0.91 <= held / 300 <= 0.985
    assert 0.91 <= held_skill / 300 <= 0.985


def test_the_error_of_calibration_is_that_of_whole_ties_in_bins_of_equal_mass() -> None:
    flat = Calibration(logit(0.5), 0.0, (0.0, 0.0, 0.0), 0, 0)
    scores = [
        ScoreCount(1, 10, 1),
        ScoreCount(2, 10, 4),
        ScoreCount(3, 60, 30),
        ScoreCount(4, 19, 19),
        ScoreCount(5, 1, 0),
    ]
    found = reliability(scores, flat, bins=5)
    assert found is not None
    assert [(one.low, one.high, one.leads) for one in found.bins] == [(1, 2, 20), (3, 3, 60), (4, 5, 20)]
    assert [one.rate.value for one in found.bins] == [0.25, 0.5, 0.95]
    assert found.error == pytest.approx((20 * 0.25 + 60 * 0 + 20 * 0.45) / 100)


def test_what_is_left_over_at_the_top_is_a_bin_of_its_own_from_half_a_share_on() -> None:
    def sizes(top: int) -> list[int]:
        found = reliability([ScoreCount(1, 60, 6), ScoreCount(2, 60, 9), ScoreCount(3, top, 5)], TRUE, bins=2)
        assert found is not None
        return [one.leads for one in found.bins]

    # A share is 75 leads, then 85.
    assert sizes(30) == [150]
    assert sizes(50) == [120, 50]


def test_a_right_curve_is_off_by_no_more_than_chance_says() -> None:
    random = Random(13)
    errors, chances = [], []
    for _ in range(60):
        found = reliability(draw(random, 2000), TRUE)
        assert found is not None
        assert len(found.bins) in {9, 10}
        errors.append(found.error)
        chances.append(found.by_chance)
    assert sum(errors) / 60 == pytest.approx(sum(chances) / 60, rel=0.1)


def test_everything_can_be_written_as_json() -> None:
    leads = draw(Random(4), 200)
    found, table, scored = fitted(leads), reliability(leads, TRUE), brier(leads, TRUE)
    assert table is not None
    assert scored is not None
    assert set(found.to_dict()) == {"intercept", "slope", "variances", "leads", "conversions", "doubling_points"}
    assert table.to_dict()["error"] == table.error
    assert set(scored.to_dict()) == {"score", "skill"}
