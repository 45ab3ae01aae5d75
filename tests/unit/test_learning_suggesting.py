"""What the two engines find: the truth where there is enough to see it, and nothing that people have locked."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import exp, log
from random import Random

import pytest

from leadscore.learning.samples import STEPS, Counts, Grouped, ScoreCount, ScoreRule, Tally
from leadscore.learning.suggesting import (
    FALLBACK_PER_POINT,
    LEAST_EXPECTED,
    LEAST_LEADS,
    Change,
    Engine,
    Freedom,
    JointWorth,
    Prior,
    eligible,
    propose,
    score_loss,
    weigh_jointly,
)

# Ten points double the odds; "noise" tells nothing, "missed" is worth far more than it is given.
PER_POINT = log(2) / 10
TRUE_POINTS = {"right": 15, "noise": 0, "missed": 20, "bad": -12}
HAND_MADE = ScoreRule.uncapped({"right": 15, "noise": 12, "missed": 4, "bad": -12})


@cache
def sample(leads: int = 6_000, seed: int = 1, **shares: float) -> Grouped:
    """Independent criteria that hold for 30 % of the leads, who convert by the true points."""
    chance = Random(seed)
    tally = Tally(HAND_MADE.criteria)
    for _ in range(leads):
        holding = [place for place, name in enumerate(TRUE_POINTS) if chance.random() < shares.get(name, 0.3)]
        score = sum(list(TRUE_POINTS.values())[place] for place in holding)
        p = 1 / (1 + exp(3.2 - PER_POINT * score))
        tally.add(((place, 1.0) for place in holding), converted=chance.random() < p)
    return tally.grouped()


def changes(grouped: Grouped, rule: ScoreRule = HAND_MADE, freedom: Freedom | None = None) -> dict[str, int]:
    return {one.criterion: one.after for one in propose(grouped, rule, "changes", freedom).changes}


def test_the_fewest_changes_are_to_the_criteria_that_are_wrong_and_to_no_others() -> None:
    found = changes(sample())
    assert set(found) == {"noise", "missed"}
    assert abs(found["noise"]) <= 4
    assert 15 <= found["missed"] <= 28


def test_points_that_are_right_stay_as_they_are() -> None:
    assert changes(sample(), HAND_MADE.with_points(TRUE_POINTS | {"noise": 1})) == {}


def test_no_sign_is_ever_turned_by_the_fewest_changes() -> None:
    wrong = HAND_MADE.with_points({"bad": 12, "right": -10})
    found = propose(sample(), wrong, "changes")
    assert found.rule.points[HAND_MADE.criteria.index("bad")] >= 0
    assert found.rule.points[HAND_MADE.criteria.index("right")] <= 0
    assert {"bad", "right"} <= {one.criterion for one in found.changes}


def test_starting_over_turns_signs_and_keeps_what_a_point_means() -> None:
    wrong = HAND_MADE.with_points({"bad": 1})
    found = propose(sample(20_000), wrong, "start over")
    worth = weigh_jointly(sample(20_000), wrong, range(4))
    for name, points in zip(wrong.criteria, found.rule.points, strict=True):
        one = worth.log_odds[name]
        assert points == round(one.value / worth.per_point)
        assert one.value == pytest.approx(TRUE_POINTS[name] * PER_POINT, abs=3 * one.error)
    assert found.rule.points[3] < -10


def test_points_that_would_be_too_many_all_give_way_together() -> None:
    free = propose(sample(), HAND_MADE, "start over", Freedom(most=1_000)).rule.points
    bound = propose(sample(), HAND_MADE, "start over", Freedom(most=10)).rule.points
    assert max(bound) == 10
    assert bound == tuple(round(points * 10 / max(free)) for points in free)


def test_the_present_points_draw_the_thin_towards_them() -> None:
    thin = sample(900, seed=3)
    priors: tuple[Prior, Prior] = ("none", "points")
    worths = [weigh_jointly(thin, HAND_MADE, range(4), prior) for prior in priors]

    def distance(worth: JointWorth) -> float:
        points = zip(HAND_MADE.criteria, HAND_MADE.points, strict=True)
        return sum((worth.log_odds[name].value - worth.per_point * p) ** 2 for name, p in points)

    assert distance(worths[1]) < 0.9 * distance(worths[0])


def test_a_score_that_says_nothing_gives_a_point_its_usual_meaning() -> None:
    backwards = ScoreRule.uncapped({name: -points or 1 for name, points in TRUE_POINTS.items()})
    worth = weigh_jointly(sample(), backwards, range(4))
    assert worth.per_point == FALLBACK_PER_POINT
    assert propose(sample(), backwards, "start over").rule.points[2] == pytest.approx(20, abs=5)


@pytest.mark.parametrize("engine", ["changes", "start over"])
def test_locked_criteria_keep_their_points(engine: Engine) -> None:
    freedom = Freedom(locked=frozenset({"missed"}))
    found = propose(sample(), HAND_MADE, engine, freedom)
    assert found.kept == ("missed",)
    assert found.rule.points[HAND_MADE.criteria.index("missed")] == 4
    assert "noise" in {one.criterion for one in found.changes}


@pytest.mark.parametrize("step", [1, 5])
@pytest.mark.parametrize("engine", ["changes", "start over"])
def test_changed_points_are_multiples_of_the_step_within_the_most(engine: Engine, step: int) -> None:
    freedom = Freedom(step=step, most=10)
    found = propose(sample(), HAND_MADE, engine, freedom)
    after = [one.after for one in found.changes]
    assert after
    assert all(points % step == 0 and abs(points) <= 10 for points in after)
    assert Change("missed", 4, 10) in found.changes


@pytest.mark.parametrize(("step", "most"), [(0, None), (5, 4)])
def test_freedom_that_leaves_nothing_is_refused(step: int, most: int | None) -> None:
    with pytest.raises(ValueError, match="step"):
        Freedom(step=step, most=most)


@pytest.mark.parametrize(
    ("holding", "leads", "conversions", "free"),
    [
        (LEAST_LEADS, 180, 30, True),
        (LEAST_LEADS - 1, 170, 170, False),
        (60, 60 + LEAST_LEADS, 30, True),
        (60, 59 + LEAST_LEADS, 30, False),
        (100, 1_000, 50, True),
        (99, 1_000, 50, False),
    ],
)
def test_a_criterion_may_change_only_with_leads_on_both_sides_and_conversions_to_expect(
    holding: int, leads: int, conversions: int, free: bool
) -> None:
    rows = {((0, STEPS),): Counts(holding, 0), (): Counts(leads - holding, conversions)}
    found = eligible(Grouped(("one",), rows), ScoreRule.uncapped({"one": 5}), Freedom())
    assert found == ((0,) if free else ())
    assert LEAST_EXPECTED == 5


@pytest.mark.parametrize("where", ["total", "group"])
def test_a_cap_that_makes_a_change_useless_is_seen(where: str) -> None:
    """The sum is capped at 15, and nearly every lead that has one criterion has the other, which is at 15 already."""
    rule = ScoreRule.uncapped({"first": 15, "second": 2})
    capped = (
        replace(rule, total=rule.total._replace(high=15 * STEPS))
        if where == "total"
        else replace(rule, groups=(rule.total._replace(places=frozenset({0, 1}), high=15 * STEPS),))
    )
    both, first, second = ((0, STEPS), (1, STEPS)), ((0, STEPS),), ((1, STEPS),)
    rows = {both: Counts(200, 60), first: Counts(200, 20), second: Counts(1, 0), (): Counts(800, 20)}
    grouped = Grouped(("first", "second"), rows)
    assert changes(grouped, rule)["second"] > 10
    assert "second" not in changes(grouped, capped)


def test_every_change_pays_its_price() -> None:
    found = [propose(sample(1_500, seed=seed), HAND_MADE.with_points({"missed": 17}), "changes") for seed in range(20)]
    prices = [len(one.changes) * log(sample(1_500, seed=seed).conversions) / 2 for seed, one in enumerate(found)]
    # Half a point of grain in the search is a tenth in the likelihood.
    assert all(one.gain >= price - 0.1 for one, price in zip(found, prices, strict=True))
    assert {len(one.changes) for one in found} >= {0, 1}


def test_what_a_locked_criterion_explains_is_not_given_to_others() -> None:
    chance = Random(5)
    tally = Tally(("cause", "companion"))
    for _ in range(5_000):
        cause = chance.random() < 0.3
        companion = chance.random() < (0.8 if cause else 0.1)
        holding = [place for place, holds in enumerate((cause, companion)) if holds]
        p = 1 / (1 + exp(2.5 - (1.5 if cause else 0.0)))
        tally.add(((place, 1.0) for place in holding), converted=chance.random() < p)
    rule = ScoreRule.uncapped({"cause": 20, "companion": 1})
    found = propose(tally.grouped(), rule, "start over", Freedom(locked=frozenset({"cause"})))
    assert abs(found.rule.points[1]) <= 2


def test_beside_locked_points_each_keeps_within_the_most() -> None:
    found = propose(sample(), HAND_MADE, "start over", Freedom(locked=frozenset({"noise"}), most=10))
    assert [found.rule.points[place] for place in (0, 2, 3)] == [10, 10, -10]


def test_the_gain_is_that_of_the_log_likelihood_on_the_same_leads() -> None:
    found = propose(sample(), HAND_MADE, "changes")
    before, after = (score_loss(sample().scores(rule)) for rule in (HAND_MADE, found.rule))
    assert found.gain == pytest.approx(before - after)
    assert found.gain > len(found.changes) * log(sample().conversions) / 2


def test_a_score_that_falls_where_conversion_rises_says_nothing() -> None:
    falling = [ScoreCount(0, 100, 50), ScoreCount(10, 100, 10)]
    assert score_loss(falling) == pytest.approx(-(60 * log(0.3) + 140 * log(0.7)))
    assert score_loss([ScoreCount(-one.score, *one[1:]) for one in falling]) < score_loss(falling) - 10


@pytest.mark.parametrize("conversions", [0, 100])
@pytest.mark.parametrize("engine", ["changes", "start over"])
def test_nothing_is_told_where_all_or_none_convert(engine: Engine, conversions: int) -> None:
    rows = {((0, STEPS),): Counts(50, conversions // 2), (): Counts(50, conversions // 2)}
    with pytest.raises(ValueError, match=f"{conversions} of 100 leads converted"):
        propose(Grouped(("one",), rows), ScoreRule.uncapped({"one": 5}), engine)


def test_leads_reduced_under_other_criteria_are_refused() -> None:
    with pytest.raises(ValueError, match="other criteria"):
        propose(sample(), ScoreRule.uncapped({"another": 5}), "changes")


def test_a_single_conversion_ends_the_search_too() -> None:
    rows = {((0, STEPS),): Counts(50, 1), (): Counts(50, 0)}
    assert changes(Grouped(("one",), rows), ScoreRule.uncapped({"one": 5})) == {}


@pytest.mark.parametrize("engine", ["changes", "start over"])
@pytest.mark.parametrize("rule", [HAND_MADE, ScoreRule.uncapped({})])
def test_where_nothing_may_change_nothing_does(rule: ScoreRule, engine: Engine) -> None:
    grouped = Grouped(rule.criteria, {(): Counts(500, 100)})
    assert propose(grouped, rule, engine, Freedom(locked=frozenset(HAND_MADE.criteria))).changes == ()
