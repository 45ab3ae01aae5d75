"""What a ruleset would have done for past leads: figures against other libraries, parts in time, and warnings."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import exp
from random import Random

import numpy as np
import pytest
from scipy.stats import binomtest  # type: ignore[import-untyped]
from sklearn.metrics import (  # type: ignore[import-untyped]
    brier_score_loss,
    precision_score,
    roc_auc_score,
)

from leadscore.core.instants import DAY
from leadscore.core.ruleset import Tier
from leadscore.learning.backtesting import Backtest, Subject, part_weeks, run_backtest
from leadscore.learning.calibration import calibrate
from leadscore.learning.samples import PairCount, ScoreCount, joined
from leadscore.learning.sampling import WEEK

TIERS = (Tier("hot", 60), Tier("warm", 30), Tier("cold", None))
NEW, OLD = Subject("new.yaml", "1" * 12, TIERS), Subject("active", "2" * 12, TIERS)
FIRST = 2900
WINDOW = 30 * DAY

Weeks = dict[int, list[PairCount]]


def by_score(score: float) -> float:
    return 1 / (1 + exp(4.5 - score / 20))


def history(
    weeks: int = 52, leads: int = 100, chance: Callable[[float, int], float] = lambda score, _week: by_score(score)
) -> Weeks:
    """Leads whose first score says how likely they convert, and whose second is the first with noise."""
    draw = Random(11)
    found: Weeks = {}
    for week in range(FIRST, FIRST + weeks):
        scores = [draw.randint(0, 160) / 2 for _ in range(leads)]
        noise = [float(draw.randint(-30, 30)) for _ in range(leads)]
        found[week] = [
            PairCount(score, score + off, 1, int(draw.random() < chance(score, week)))
            for score, off in zip(scores, noise, strict=True)
        ]
    return found


def tried(weeks: Weeks, against: Subject | None = OLD, per_week: float = 10) -> Backtest:
    return run_backtest(weeks, NEW, against, window=WINDOW, per_week=per_week)


def labels(pairs: list[PairCount]) -> list[int]:
    return [one.conversions for one in pairs]


def every(weeks: Weeks) -> list[PairCount]:
    return [pair for pairs in weeks.values() for pair in pairs]


def test_the_figures_of_all_leads_are_those_of_an_independent_library() -> None:
    weeks = history()
    found = tried(weeks)
    pairs = every(weeks)
    truth = labels(pairs)
    assert found.tested.auc is not None
    assert found.against is not None
    assert found.against.auc is not None
    assert found.difference is not None
    assert found.whole is not None
    assert found.whole.base_rate is not None
    first, second = (roc_auc_score(truth, scores) for scores in ([p.score for p in pairs], [p.other for p in pairs]))
    assert found.tested.auc.value == pytest.approx(first)
    assert found.against.auc.value == pytest.approx(second)
    assert found.difference.value == pytest.approx(first - second)
    assert found.difference.low > 0
    wilson = binomtest(sum(truth), len(truth)).proportion_ci(method="wilson")
    assert found.whole.base_rate[1:] == pytest.approx((wilson.low, wilson.high), rel=1e-4)
    assert (found.whole.leads, found.weeks) == (5200, 52)


def test_the_two_rulesets_are_paired() -> None:
    found = tried(history())
    assert found.difference is not None
    assert found.tested.auc is not None
    assert found.against is not None
    assert found.against.auc is not None
    first, second, paired = (one.high - one.low for one in (found.tested.auc, found.against.auc, found.difference))
    assert paired < 0.9 * (first**2 + second**2) ** 0.5


def test_precision_at_k_is_an_independent_librarys() -> None:
    # No ties, so that the best k are told apart by any library.
    draw = Random(5)
    pairs = [PairCount(float(place), 0.0, 1, int(draw.random() < place / 1000)) for place in range(1000)]
    found = tried({FIRST: pairs}, None)
    assert [top.leads for top in found.tested.tops] == [10, 20, 50, 100, 200, 500]
    for top in found.tested.tops:
        taken = [int(pair.score >= 1000 - top.leads) for pair in pairs]
        assert top.precision.value == pytest.approx(precision_score(labels(pairs), taken))


def test_probabilities_are_fitted_on_earlier_leads_and_judged_on_later_ones() -> None:
    weeks = history()
    found = tried(weeks, None)
    earlier, later = part_weeks({week: len(pairs) for week, pairs in weeks.items()}, WINDOW)
    past = joined(ScoreCount(one.score, 1, one.conversions) for week in earlier for one in weeks[week])
    assert found.tested.calibration == calibrate(past)
    assert found.tested.calibration is not None
    assert found.tested.brier is not None
    assert found.tested.reliability is not None
    judged = [one for week in later for one in weeks[week]]
    expected = [found.tested.calibration.probability(one.score) for one in judged]
    assert found.tested.brier.score.value == pytest.approx(brier_score_loss(labels(judged), expected))
    assert sum(one.leads for one in found.tested.reliability.bins) == len(judged)
    bins = found.tested.reliability.bins
    edges = np.array([one.high for one in bins[:-1]])
    places = np.searchsorted(edges, [one.score for one in judged], side="left")
    outcomes, chances = np.array(labels(judged)), np.array(expected)
    error = sum(abs(outcomes[places == n].sum() - chances[places == n].sum()) for n in range(len(bins))) / len(judged)
    assert found.tested.reliability.error == pytest.approx(error)


def test_what_later_leads_come_to_has_no_part_in_what_they_judge() -> None:
    weeks = history()
    _, later = part_weeks({week: len(pairs) for week, pairs in weeks.items()}, WINDOW)
    turned = weeks | {week: [one._replace(conversions=1 - one.conversions) for one in weeks[week]] for week in later}
    assert tried(turned).tested.calibration == tried(weeks).tested.calibration
    assert tried(turned).tested.brier != tried(weeks).tested.brier


def test_the_parts_are_a_labels_window_apart() -> None:
    found = tried(history())
    assert found.earlier is not None
    assert found.later is not None
    # 21 of 52 weeks are at least 40 %; 30 days before them reach into the fifth week.
    assert found.later.leads == 2100
    assert found.earlier.leads == (52 - 21 - 5) * 100
    assert (found.earlier.since, found.earlier.until, found.later.since) == ("2025-07-31", "2026-01-29", "2026-03-05")


@pytest.mark.parametrize(("window", "earlier"), [(14 * DAY, 4), (14 * DAY + 1, 3), (42 * DAY, 0)])
def test_the_gap_is_exact(window: int, earlier: int) -> None:
    before, after = part_weeks(dict.fromkeys(range(FIRST, FIRST + 10), 1), window)
    assert (len(before), len(after)) == ((earlier, 4) if earlier else (0, 0))
    assert all((week + 1) * WEEK + window <= after[0] * WEEK for week in before)


def test_a_team_gets_its_cut_and_what_to_expect_of_it() -> None:
    # 20 weeks of 50 leads: the best 10 of each have 72 points, and half of those convert.
    week = [PairCount(72, 72, 10, 5), PairCount(10, 10, 40, 1)]
    found = tried({FIRST + n: week for n in range(20)}, None).tested.capacity
    assert found is not None
    assert (found.cut, found.leads) == (11, 10)
    assert found.conversions is not None
    assert found.conversions.value == 5
    assert found.conversions.low < 5 < found.conversions.high


def test_weeks_without_leads_are_weeks_all_the_same() -> None:
    week = [PairCount(72, 72, 10, 5), PairCount(10, 10, 40, 1)]
    found = tried({FIRST: week, FIRST + 9: week}, None)
    assert found.weeks == 10
    assert found.tested.capacity is not None
    # In ten weeks a team of 10 a week can work them all.
    assert (found.tested.capacity.cut, found.tested.capacity.leads) == (10, 10)


def test_a_year_is_told_in_thirteen_periods_and_a_month_in_weeks() -> None:
    year = tried(history(), None).tested.periods
    assert len(year) == 13
    assert [one.name for one in year[:2]] == ["2025-07-31", "2025-08-28"]
    assert all(one.leads == 400 for one in year)
    assert [one.leads for one in tried(history(weeks=4), None).tested.periods] == [100] * 4


def test_bands_are_few_and_cover_all_leads() -> None:
    for step in (1, 10, 1000):
        pairs = [PairCount(float(score * step), 0.0, 2, 1) for score in range(-20, 80)]
        bands = tried({FIRST: pairs}, None).tested.bands
        assert len(bands) <= 32
        assert sum(row.leads for row in bands) == 200


@pytest.mark.parametrize(
    ("weeks", "verdict"),
    [
        (history(), "new.yaml ranks better than active"),
        ({w: [p._replace(score=p.other, other=p.score) for p in ps] for w, ps in history().items()}, "worse than"),
        ({w: [p._replace(other=p.score) for p in ps] for w, ps in history().items()}, "cannot be told apart"),
        ({FIRST: [PairCount(1, 1, 5, 0)]}, "nothing can be said"),
    ],
)
def test_the_verdict_says_which_is_better(weeks: Weeks, verdict: str) -> None:
    assert verdict in tried(weeks).verdict


def test_a_difference_that_may_be_chance_is_none() -> None:
    pairs = [PairCount(1, 1, 50, 5), PairCount(2, 2, 50, 9), PairCount(2, 1, 1, 1)]
    found = tried({FIRST: pairs})
    assert found.difference is not None
    assert found.difference.low < 0 < found.difference.value
    assert "cannot be told apart" in found.verdict


def test_one_ruleset_is_held_against_chance() -> None:
    assert "puts those who convert first" in tried(history(), None).verdict
    assert "no better than chance" in tried({FIRST: [PairCount(1, 1, 50, 5), PairCount(2, 2, 50, 5)]}, None).verdict


def test_thin_data_is_warned_of() -> None:
    few = tried({FIRST: [PairCount(80, 80, 10, 3), PairCount(10, 10, 50, 2)]}, None)
    assert any("only 5 conversions" in one for one in few.warnings)
    assert any("history is too short" in one for one in few.warnings)
    assert any("no lead is warm" in one for one in few.warnings)
    assert few.tested.calibration is None
    assert few.tested.cuts is None
    rare = tried(history(chance=lambda _score, week: 1.0 if week == FIRST + 2 else 0.002), None)
    assert any("no probabilities and no tier cuts" in one for one in rare.warnings)
    assert tried({}, None).warnings == ("without leads that converted and leads that did not there is nothing to test",)
    assert tried({FIRST: [PairCount(1, 1, 9, 9)]}, None).warnings == tried({}, None).warnings


def test_a_base_rate_that_moved_is_warned_of() -> None:
    moved = tried(history(chance=lambda score, week: by_score(score) * (0.5 if week < FIRST + 30 else 1.5)), None)
    assert any("the base rate moved" in one for one in moved.warnings)
    assert not any("the base rate moved" in one for one in tried(history(), None).warnings)


def test_tiers_that_say_nothing_are_warned_of() -> None:
    same = tried(history(chance=lambda _score, _week: 0.1))
    assert any("new.yaml: hot and warm leads cannot be told apart" in one for one in same.warnings)
    assert any("active: no cut tells hot leads" in one for one in same.warnings)
    told = tried(history(), None).warnings
    assert not any("cannot be told apart" in one or "no cut" in one for one in told)


def test_a_score_that_cannot_choose_is_warned_of() -> None:
    level = {FIRST + n: [PairCount(5, 5, 100, 10), PairCount(1, 1, 100, 5)] for n in range(10)}
    found = tried(level, None)
    assert any("more leads share the highest score than 10 a week" in one for one in found.warnings)
    assert not any("share the highest score" in one for one in tried(level, None, per_week=100).warnings)


def test_criteria_that_read_what_came_later_are_warned_of() -> None:
    found = run_backtest(history(weeks=4), NEW, window=WINDOW, per_week=10, late=["plan", "country"])
    assert [one.split()[0] for one in found.warnings[-2:]] == ["country", "plan"]


def test_it_is_plain_json() -> None:
    document = json.loads(json.dumps(tried(history()).to_dict()))
    assert document["tested"]["ruleset"] == "new.yaml"
    assert document["against"]["version"] == OLD.version
    assert document["auc_difference"]["low"] > 0
    assert document["window_days"] == 30
    assert document["tested"]["capacity"]["per_week"] == 10
    assert {row["tier"] for row in document["tested"]["tiers"]} == {"hot", "warm", "cold"}
    assert tried({}).to_dict()["leads"] is None
