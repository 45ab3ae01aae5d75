"""What criteria are worth and what is wrong with them: against scikit-learn, and on histories whose truth is known."""

from __future__ import annotations

import json
from math import exp, log
from random import Random

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

from leadscore.learning.insights import (
    MOST_JOINT,
    MOST_PAIRS,
    CriterionInsight,
    Insights,
    associate,
    find_candidates,
    find_insights,
)
from leadscore.learning.proportions import Table, log_odds_ratio, phi, wilson
from leadscore.learning.ridge import Row, fit_jointly
from leadscore.learning.samples import Counts, Grouped, ScoreRule, Tally

# Per criterion: its points, the share of leads for which it holds, and the log-odds that it truly adds.
WORLD = {
    "trial": (20, 0.15, 1.2),
    "pricing": (10, 0.3, 0.6),
    "webinar": (20, 0.2, 0.3),
    "integration": (5, 0.1, 1.2),
    "student": (10, 0.2, -1.2),
    "newsletter": (5, 0.4, 0.3),
    "executive": (10, 0.25, 0.6),
    "bounced": (-10, 0.2, -0.6),
}
# The truth is 0.06 a point for trial, pricing, newsletter, executive and bounced.
FAIR = {name: odds / 0.06 for name, (_, _, odds) in WORLD.items()}


def history(
    seed: int, leads: int, world: dict[str, tuple[int, float, float]], base: float = -3.2
) -> tuple[Grouped, ScoreRule]:
    random = Random(seed)
    tally = Tally(list(world))
    for _ in range(leads):
        holds = [place for place, (_, share, _) in enumerate(world.values()) if random.random() < share]
        odds = base + sum(list(world.values())[place][2] for place in holds)
        tally.add([(place, 1.0) for place in holds], converted=random.random() < 1 / (1 + exp(-odds)))
    return tally.grouped(), ScoreRule.uncapped({name: points for name, (points, _, _) in world.items()})


def by_name(insights: Insights) -> dict[str, CriterionInsight]:
    return {one.criterion: one for one in insights.criteria}


def kinds(insight: CriterionInsight) -> list[str]:
    return [finding.kind for finding in insight.findings]


def test_the_figures_of_a_criterion_are_those_of_its_table() -> None:
    grouped, rule = history(1, 3000, WORLD)
    found = find_insights(grouped, rule)
    assert (found.leads, found.conversions) == (3000, grouped.conversions)
    assert found.base_rate == wilson(grouped.conversions, 3000)
    held = grouped.holding()[0]
    trial = by_name(found)["trial"].association
    table = Table(3000, grouped.conversions, *held)
    assert trial.table == table
    assert trial.rate == wilson(held.conversions, held.leads)
    assert trial.alone == log_odds_ratio(table)
    assert trial.correlation == phi(table)
    assert trial.p <= trial.q < 0.001


def test_together_is_what_a_criterion_adds_to_the_others() -> None:
    """Those who start a trial have nearly all seen the prices: alone, prices look like trials."""
    random = Random(2)
    tally = Tally(["trial", "pricing"])
    for _ in range(20_000):
        trial = random.random() < 0.2
        pricing = random.random() < (0.9 if trial else 0.1)
        chance = 1 / (1 + exp(3 - 1.5 * trial))
        holds = [(0, 1.0)] * trial + [(1, 1.0)] * pricing
        tally.add(holds, converted=random.random() < chance)
    found = by_name(find_insights(tally.grouped(), ScoreRule.uncapped({"trial": 10, "pricing": 10})))
    assert found["pricing"].association.alone.value > 0.8
    together = found["pricing"].together
    assert together is not None
    assert abs(together.value) < 2 * together.error
    assert found["trial"].together is not None
    assert found["trial"].together.value == pytest.approx(1.5, abs=0.2)
    assert kinds(found["pricing"]) == ["over-pointed"]


def test_points_that_are_surely_wrong_are_named_and_right_ones_are_not() -> None:
    others = 0
    for seed in range(6):
        grouped, rule = history(300 + seed, 20_000, WORLD)
        found = by_name(find_insights(grouped, rule))
        assert kinds(found["webinar"]) == ["over-pointed"]
        assert kinds(found["integration"]) == ["under-pointed"]
        assert kinds(found["student"]) == ["wrong-sign"]
        assert "+20 now" in found["webinar"].findings[0].reason
        others += sum(bool(one.findings) for one in found.values()) - 3
        fair = [one.fair_points for one in found.values() if one.fair_points is not None]
        assert [estimate.value for estimate in fair] == pytest.approx(list(FAIR.values()), abs=6)
    # Of 24 sure findings one in twenty may be false.
    assert others <= 2


def test_criteria_without_points_are_under_pointed_where_they_are_worth_some() -> None:
    grouped, rule = history(3, 20_000, WORLD)
    found = by_name(find_insights(grouped, rule.with_points({"executive": 0, "student": 0})))
    assert kinds(found["executive"]) == kinds(found["student"]) == ["under-pointed"]


def test_where_most_points_say_nothing_the_score_as_a_whole_gives_the_scale() -> None:
    world = {"trial": (10, 0.2, 1.5), "one": (10, 0.3, 0.0), "other": (10, 0.3, 0.0)}
    grouped, rule = history(4, 20_000, world)
    found = by_name(find_insights(grouped, rule))
    assert {name: kinds(one) for name, one in found.items()} == {
        "trial": ["leak"],
        "one": ["over-pointed"],
        "other": ["over-pointed"],
    }


def test_of_right_points_hardly_any_are_called_wrong() -> None:
    right = {name: (round(odds / 0.06), share, odds) for name, (_, share, odds) in WORLD.items()}
    flagged = 0
    for seed in range(20):
        grouped, rule = history(100 + seed, 4000, right)
        flagged += any(one.findings for one in find_insights(grouped, rule).criteria)
    # One history in twenty is what q values of 0.05 allow.
    assert flagged <= 4


def test_the_intervals_of_what_criteria_are_worth_hold_the_truth_95_times_in_100() -> None:
    held = held_fair = total = 0
    for seed in range(30):
        grouped, rule = history(200 + seed, 4000, WORLD)
        for name, one in by_name(find_insights(grouped, rule)).items():
            assert one.together is not None
            assert one.fair_points is not None
            total += 1
            held += abs(one.together.value - WORLD[name][2]) <= 1.96 * one.together.error
            held_fair += one.fair_points.low <= FAIR[name] <= one.fair_points.high
    assert 0.91 <= held / total <= 0.99
    assert 0.91 <= held_fair / total <= 1.0


def test_below_100_conversions_no_points_are_judged() -> None:
    grouped, rule = history(4, 600, WORLD)
    assert 25 <= grouped.conversions < 100
    found = find_insights(grouped, rule)
    assert not any({"over-pointed", "under-pointed", "wrong-sign"} & set(kinds(one)) for one in found.criteria)
    assert found.warnings == (f"{grouped.conversions} conversions: no points are judged below 100",)


@pytest.mark.parametrize(
    ("counts", "warning"),
    [
        (None, "no leads"),
        (Counts(50, 0), "none of 50 leads converted"),
        (Counts(50, 50), "all of 50"),
        (Counts(50, 5), "only 5 conversions"),
    ],
)
def test_too_little_to_learn_from_is_said(counts: Counts | None, warning: str) -> None:
    grouped = Grouped(("a",), {} if counts is None else {((0, 16),): counts})
    found = find_insights(grouped, ScoreRule.uncapped({"a": 5}))
    assert len(found.warnings) == 1
    assert warning in found.warnings[0]
    json.dumps(found.to_dict(), allow_nan=False)


def planted(**facts: tuple[int, int]) -> Grouped:
    """Return 2,000 leads with 100 conversions, and facts that hold for so many leads of which so many converted."""
    rows: dict[tuple[tuple[int, int], ...], Counts] = {}
    for place, (holding, converted) in enumerate(facts.values()):
        rows[((place, 16),)] = Counts(holding, converted)
    leads, conversions = (sum(counts) for counts in zip(*facts.values(), strict=True))
    rows[()] = Counts(2000 - leads, 100 - conversions)
    return Grouped(tuple(facts), rows)


@pytest.mark.parametrize(
    ("fact", "kinds_found", "reason"),
    [
        ((0, 0), ["dead"], "no lead"),
        ((40, 39), ["leak", "leak", "thin"], "97.5%"),
        ((30, 30), ["leak", "leak", "thin"], "all 30 leads"),
        ((150, 0), ["leak"], "none of the 150"),
        ((210, 1), ["leak"], "0.5% of 210"),
        ((25, 5), ["thin"], "25 of 2000"),
        ((39, 5), ["thin"], "39 of 2000"),
        ((200, 4), [], ""),
        ((200, 20), [], ""),
        ((4, 4), ["thin"], "4 of 2000"),
    ],
)
def test_what_is_dead_or_leaks_or_is_thin_is_named(fact: tuple[int, int], kinds_found: list[str], reason: str) -> None:
    grouped = planted(fact=fact, other=(200, 20))
    insight = find_insights(grouped, ScoreRule.uncapped({"fact": 5, "other": 5})).criteria[0]
    assert [kind for kind in kinds(insight) if not kind.endswith("pointed")] == kinds_found
    assert reason in "".join(finding.reason for finding in insight.findings)


@pytest.mark.parametrize(
    ("holding", "conversions", "thin"),
    [(30, 400, False), (29, 400, True), (970, 400, False), (971, 400, True), (100, 50, False), (99, 50, True)],
)
def test_a_fact_is_thin_below_30_leads_or_others_or_5_conversions_expected(
    holding: int, conversions: int, *, thin: bool
) -> None:
    (found,) = associate(1000, conversions, [Counts(holding, holding * conversions // 1000)])
    assert found.thin is thin


def test_a_criterion_that_lifts_the_ranking_by_itself_is_suspected() -> None:
    grouped = planted(fact=(300, 60), other=(400, 20))
    found = by_name(find_insights(grouped, ScoreRule.uncapped({"fact": 5, "other": 5})))
    assert kinds(found["fact"]) == ["leak"]
    assert "AUC" in found["fact"].findings[0].reason
    assert kinds(by_name(find_insights(grouped, ScoreRule.uncapped({"fact": 0, "other": 5})))["fact"]) != ["leak"]


def test_a_trait_that_was_written_later_is_suspected() -> None:
    found = find_insights(planted(fact=(200, 20)), ScoreRule.uncapped({"fact": 5}), late={"fact"})
    assert kinds(found.criteria[0]) == ["leak"]


def test_a_criterion_that_holds_for_everyone_is_dead() -> None:
    found = find_insights(Grouped(("a",), {((0, 16),): Counts(500, 100)}), ScoreRule.uncapped({"a": 5}))
    assert kinds(found.criteria[0]) == ["dead"]
    assert found.criteria[0].together is None


def test_criteria_that_hold_for_the_same_leads_are_redundant() -> None:
    rows = {
        ((0, 16), (1, 16)): Counts(300, 40),
        ((0, 16),): Counts(10, 1),
        ((2, 16),): Counts(400, 30),
        (): Counts(1300, 40),
    }
    rule = ScoreRule.uncapped({"a": 5, "b": 5, "c": 5})
    found = find_insights(Grouped(rule.criteria, rows), rule)
    assert [(pair.one, pair.other, pair.redundant) for pair in found.pairs] == [
        ("a", "b", True),
        ("a", "c", False),
        ("b", "c", False),
    ]
    assert found.pairs[0].correlation == phi(Table(2010, 310, 300, 300))
    assert "redundant" in kinds(by_name(found)["a"])
    assert "redundant" in kinds(by_name(found)["b"])
    assert "redundant" not in kinds(by_name(found)["c"])


def test_a_strength_that_counts_several_times_or_less_is_a_feature_of_its_size() -> None:
    random = Random(8)
    tally = Tally(["visits"])
    for _ in range(20_000):
        times = random.choice([0, 0, 0, 0.5, 1, 2, 4])
        tally.add([(0, times)], converted=random.random() < 1 / (1 + exp(3 - 0.5 * times)))
    (visits,) = find_insights(tally.grouped(), ScoreRule.uncapped({"visits": 10})).criteria
    assert visits.together is not None
    # Where it holds, it counts 1.875 times on average.
    assert visits.together.value == pytest.approx(0.5 * 1.875, abs=0.1)
    assert visits.fair_points is not None
    assert visits.fair_points.value == pytest.approx(10, abs=0.5)
    # Without its only criterion the score would rank nobody.
    assert kinds(visits) == ["leak"]


def test_candidates_are_the_facts_that_surely_go_with_conversion_first() -> None:
    facts = {
        "noise": Counts(200, 10),
        "Invited Team": Counts(300, 60),
        "rare": Counts(4, 4),
        "Exported": Counts(100, 15),
    }
    found = find_candidates(2000, 100, facts)
    assert [(one.name, one.notable) for one in found] == [
        ("Invited Team", True),
        ("Exported", True),
        ("rare", False),
        ("noise", False),
    ]
    assert found[0].association.rate == wilson(60, 300)
    assert found[0].to_dict()["notable"] is True
    assert find_candidates(2000, 100, {}) == []


def test_the_joint_fit_is_scikit_learns_with_the_same_penalty() -> None:
    grouped, _ = history(5, 2000, WORLD)
    rows = [
        Row(tuple((place, strength / 16) for place, strength in pattern), *counts)
        for pattern, counts in grouped.rows.items()
    ]
    features, outcomes, weights = [], [], []
    for row in rows:
        for outcome, leads in ((1, row.conversions), (0, row.leads - row.conversions)):
            if leads:
                features.append([dict(row.features).get(place, 0.0) for place in range(len(WORLD))])
                outcomes.append(outcome)
                weights.append(leads)
    matrix = np.array(features)
    deviations = np.sqrt(np.cov(matrix.T, fweights=weights, ddof=0).diagonal())
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(matrix / deviations, outcomes, weights)
    ours = fit_jointly(rows, len(WORLD))
    assert ours is not None
    assert ours.coefficients == pytest.approx(theirs.coef_[0] / deviations, rel=1e-4)
    assert ours.intercept == pytest.approx(theirs.intercept_[0], rel=1e-4)
    odds = matrix @ np.array(ours.coefficients) + ours.intercept
    chance = 1 / (1 + np.exp(-odds))
    padded = np.hstack([matrix / deviations, np.ones((len(matrix), 1))])
    information = padded.T @ (padded * (chance * (1 - chance) * weights)[:, None]) + np.diag([1.0] * len(WORLD) + [0])
    errors = np.sqrt(np.linalg.inv(information).diagonal())[:-1] / deviations
    assert ours.errors == pytest.approx(errors, rel=1e-6)


def test_two_that_always_hold_together_and_one_that_separates_have_finite_worths() -> None:
    found = fit_jointly([Row(((0, 1.0), (1, 1.0)), 20, 20), Row((), 80, 0)], 2)
    assert found is not None
    assert found.coefficients[0] == pytest.approx(found.coefficients[1])
    assert 0 < found.coefficients[0] < 10
    assert fit_jointly([Row((), 10, 0)], 0) is None


def test_of_very_many_criteria_the_surest_are_fitted_and_the_strongest_pairs_kept() -> None:
    random = Random(6)
    names = [f"c{n}" for n in range(MOST_JOINT + 20)]
    tally = Tally(names)
    for _ in range(400):
        holds = [place for place in range(len(names)) if random.random() < 0.1]
        tally.add([(place, 1.0) for place in holds], converted=random.random() < (0.6 if 3 in holds else 0.2))
    found = find_insights(tally.grouped(), ScoreRule.uncapped(dict.fromkeys(names, 5)))
    assert sum(one.together is not None for one in found.criteria) == MOST_JOINT
    assert found.criteria[3].together is not None
    assert len(found.pairs) == MOST_PAIRS


def test_a_rule_of_other_criteria_is_refused() -> None:
    with pytest.raises(ValueError, match="same criteria"):
        find_insights(planted(fact=(200, 20)), ScoreRule.uncapped({"other": 5}))


def test_insights_are_plain_json() -> None:
    grouped, rule = history(7, 1000, WORLD)
    document = json.loads(json.dumps(find_insights(grouped, rule).to_dict(), allow_nan=False))
    assert document["leads"] == 1000
    assert document["criteria"][0]["log_odds_together"].keys() == {"value", "low", "high", "error"}
    assert document["criteria"][0]["fair_points"].keys() == {"value", "low", "high"}
    assert document["pairs"][0]["correlation"].keys() == {"value", "low", "high"}
    assert log(document["criteria"][0]["lift"]["high"]) > 0
