"""Rates, lifts and correlations against scipy and published examples; their intervals against simulated truth."""

from __future__ import annotations

from math import exp, log, sqrt
from random import Random
from typing import TYPE_CHECKING

import pytest
from scipy import stats  # type: ignore[import-untyped]
from scipy.stats import contingency  # type: ignore[import-untyped]

from leadscore.learning.proportions import (
    Estimate,
    Table,
    around,
    g_test,
    lift,
    log_odds_ratio,
    phi,
    q_values,
    wilson,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# scipy takes the confidence that z = 1.96 stands for.
CONFIDENCE = 1 - 2 * stats.norm.sf(1.96)
TABLES = [Table(2000, 100, 300, 40), Table(500, 250, 400, 220), Table(100, 7, 10, 0), Table(80, 30, 20, 20)]


@pytest.mark.parametrize(("successes", "trials"), [(0, 20), (1, 29), (15, 148), (81, 263), (400, 400)])
def test_wilson_is_scipys(successes: int, trials: int) -> None:
    theirs = stats.binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    assert wilson(successes, trials) == pytest.approx((successes / trials, theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_is_that_of_newcombes_table(successes: int, trials: int, low: float, high: float) -> None:
    """Newcombe (1998), "Two-sided confidence intervals for the single proportion", Stat. Med. 17, table I, method 3."""
    assert wilson(successes, trials) == pytest.approx((successes / trials, low, high), abs=5e-5)


def test_of_no_trials_there_is_no_rate() -> None:
    assert wilson(0, 0) is None


@pytest.mark.parametrize("table", TABLES)
def test_the_log_odds_are_those_of_the_cells_with_half_a_lead_more(table: Table) -> None:
    a, b, c, d = (cell + 0.5 for cell in table.cells)
    ours = log_odds_ratio(table)
    # scipy takes whole counts alone; twice the cells have the same ratio, and twice the information.
    theirs = contingency.odds_ratio([[int(2 * a), int(2 * b)], [int(2 * c), int(2 * d)]], kind="sample")
    assert exp(ours.value) == pytest.approx(theirs.statistic)
    interval = theirs.confidence_interval(CONFIDENCE)
    assert exp(ours.value + 1.96 * ours.error / sqrt(2)) == pytest.approx(interval.high)


@pytest.mark.parametrize("table", TABLES)
def test_phi_is_the_correlation_of_the_two_columns(table: Table) -> None:
    a, b, c, d = table.cells
    one = [1] * (a + b) + [0] * (c + d)
    other = [1] * a + [0] * b + [1] * c + [0] * d
    found = phi(table)
    assert found is not None
    assert found.value == pytest.approx(stats.pearsonr(one, other).statistic)


@pytest.mark.parametrize("table", TABLES[:2])
def test_the_errors_of_phi_and_lift_are_the_delta_methods_by_numeric_slopes(table: Table) -> None:
    def error(figure: Callable[[list[float]], float]) -> float:
        cells = [float(cell) for cell in table.cells]
        slopes = []
        for place in range(4):
            up, down = list(cells), list(cells)
            up[place] += 1e-3
            down[place] -= 1e-3
            slopes.append((figure(up) - figure(down)) / 2e-3)
        mean = sum(slope * cell for slope, cell in zip(slopes, cells, strict=True)) / sum(cells)
        return sqrt(sum((slope - mean) ** 2 * cell for slope, cell in zip(slopes, cells, strict=True)))

    def naive_phi(cells: list[float]) -> float:
        a, b, c, d = cells
        return (a * d - b * c) / sqrt((a + b) * (c + d) * (a + c) * (b + d))

    def naive_lift(cells: list[float]) -> float:
        a, b, c, _ = cells
        return a * sum(cells) / ((a + b) * (a + c))

    found, lifted = phi(table), lift(*table)
    assert found is not None
    assert lifted is not None
    assert found.high - found.value == pytest.approx(1.96 * error(naive_phi), rel=1e-5)
    # The interval is one of ratios: around the logarithm.
    assert lifted.high == pytest.approx(lifted.value * exp(1.96 * error(naive_lift) / lifted.value), rel=1e-5)
    assert lifted.low * lifted.high == pytest.approx(lifted.value**2)


def test_a_fact_without_conversions_has_a_lift_of_0_up_to_wilsons_bound() -> None:
    bound = wilson(0, 50)
    assert bound is not None
    assert lift(1000, 100, 50, 0) == Estimate(0.0, 0.0, bound.high / 0.1)


@pytest.mark.parametrize("table", [Table(100, 10, 0, 0), Table(100, 0, 10, 0), Table(0, 0, 0, 0)])
def test_without_holding_leads_or_conversions_there_is_no_lift_and_no_correlation(table: Table) -> None:
    assert lift(*table) is None
    assert phi(table) is None
    assert g_test(table) == 1.0


@pytest.mark.parametrize("table", TABLES)
def test_the_g_test_is_scipys(table: Table) -> None:
    a, b, c, d = table.cells
    theirs = stats.chi2_contingency([[a, b], [c, d]], correction=False, lambda_="log-likelihood")
    assert g_test(table) == pytest.approx(theirs.pvalue, rel=1e-9)


def test_the_q_values_are_those_of_benjamini_and_hochbergs_example() -> None:
    """Their section 3.2: of 15 endpoints, the four smallest are findings at 0.05."""
    published = [
        *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
        *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0),
    ]
    ours = q_values(published)
    assert [q <= 0.05 for q in ours] == [True] * 4 + [False] * 11
    assert ours == pytest.approx(stats.false_discovery_control(published))


def test_q_values_keep_the_order_they_were_asked_in() -> None:
    chances = [0.2, 0.001, 0.9, 0.04, 0.04]
    assert q_values(chances) == pytest.approx(stats.false_discovery_control(chances))
    assert q_values([]) == []


def test_an_estimate_can_be_scaled_and_is_kept_in_bounds() -> None:
    assert around(0.9, 0.1, 0.0, 1.0) == pytest.approx((0.9, 0.704, 1.0))
    assert Estimate(1.0, 0.5, 2.0).times(-2) == Estimate(-2.0, -4.0, -1.0)


def coverage(seed: int, shares: tuple[float, float, float, float], leads: int) -> dict[str, float]:
    """Return how often each interval holds the truth, over 600 samples of four cells."""
    p, q, r, s = shares
    rate, base = p / (p + q), p + r
    truth = {
        "wilson": rate,
        "lift": rate / base,
        "log-odds": log(p * s / (q * r)),
        "phi": (p * s - q * r) / sqrt((p + q) * (r + s) * (p + r) * (q + s)),
    }
    random = Random(seed)
    held = dict.fromkeys(truth, 0)
    for _ in range(600):
        drawn = random.choices(range(4), shares, k=leads)
        a, b, c = (drawn.count(cell) for cell in range(3))
        table = Table(leads, a + c, a + b, a)
        found = {
            "wilson": wilson(a, a + b),
            "lift": lift(*table),
            "log-odds": around(*log_odds_ratio(table)),
            "phi": phi(table),
        }
        for name, estimate in found.items():
            held[name] += estimate is not None and estimate.low <= truth[name] <= estimate.high
    return {name: count / 600 for name, count in held.items()}


@pytest.mark.parametrize(
    "shares",
    [(0.03, 0.17, 0.05, 0.75), (0.2, 0.1, 0.2, 0.5), (0.015, 0.285, 0.06, 0.64)],
    ids=["rare, going together", "common, strongly", "rare, going apart"],
)
def test_intervals_hold_the_truth_95_times_in_100(shares: tuple[float, float, float, float]) -> None:
    found = coverage(7, shares, leads=800)
    # Of 600 samples, three standard errors are 2.7 %.
    assert all(0.923 <= share <= 0.985 for share in found.values()), found
