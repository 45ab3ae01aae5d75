"""Tier cuts are found on the earlier leads and shown where the last ones can be told apart by them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import exp
from random import Random

import pytest

from leadscore.core.ruleset import Tier
from leadscore.learning.calibration import Calibration, calibrate
from leadscore.learning.gating import Slices
from leadscore.learning.samples import Counts, Grouped, ScoreCount, ScoreRule, Tally
from leadscore.learning.suggested_tiers import SuggestedTiers, suggest_tiers
from leadscore.learning.tiers import judge_cuts, tier_cuts, tier_table

RULE = ScoreRule.uncapped({"a": 30, "b": 20, "c": 10})
THREE = (Tier("hot", 55), Tier("warm", 50), Tier("cold", None))


def leads(count: int, seed: int, worth: float = 0.08) -> Grouped:
    """Leads who convert by their points, each of which is worth so much."""
    chance = Random(seed)
    tally = Tally(RULE.criteria)
    for _ in range(count):
        holding = [place for place in range(3) if chance.random() < 0.4]
        score = sum(RULE.points[place] for place in holding)
        tally.add(((place, 1.0) for place in holding), converted=chance.random() < 1 / (1 + exp(4 - worth * score)))
    return tally.grouped()


SLICES = Slices(leads(3_000, 1), leads(1_000, 2), leads(1_000, 3))


def fitted(scores: Sequence[ScoreCount]) -> Calibration:
    curve = calibrate(scores)
    assert curve is not None
    return curve


def suggested(
    slices: Slices = SLICES, tiers: tuple[Tier, ...] = THREE, per_week: float | None = None
) -> SuggestedTiers:
    return suggest_tiers(slices, RULE, tiers, gate_weeks=10, report_weeks=8, per_week=per_week)


def test_cuts_are_those_of_the_earlier_leads_with_the_rates_of_the_last() -> None:
    found = suggested()

    earlier = SLICES.fit.merge(SLICES.gate).scores(RULE)
    cuts = tier_cuts(earlier, fitted(earlier))
    assert found.reason == "shown"
    assert found.cuts == {"hot": cuts.hot, "warm": cuts.warm}
    last = SLICES.report.scores(RULE)
    begins = (Tier("hot", cuts.hot), Tier("warm", cuts.warm), Tier("cold", None))
    assert list(found.suggested) == tier_table(last, begins)
    assert list(found.present) == tier_table(last, THREE)
    assert found.verdict.startswith("tiers: hot ")
    assert found.verdict.endswith(" on the last leads")
    assert found.weeks == 8


def test_the_last_leads_have_no_part_in_the_cuts() -> None:
    other = suggested(SLICES._replace(report=leads(1_000, 9, 0.2)))

    assert other.cuts == suggested().cuts
    assert other.suggested != suggested().suggested


def test_where_the_last_leads_cannot_be_told_apart_nothing_is_shown_but_their_rates_are() -> None:
    found = suggested(SLICES._replace(report=leads(1_000, 3, worth=0.0)))

    assert (found.reason, found.cuts) == ("not apart", {})
    assert found.verdict.startswith("tiers not shown: the tiers cannot be told apart on the last leads (hot ")
    assert not found.shown


def test_a_score_that_says_nothing_has_no_cut() -> None:
    slices = Slices(*(Grouped(RULE.criteria, {(): Counts(1_000, 200)}) for _ in range(3)))

    assert suggested(slices).verdict == "tiers not shown: the tiers cannot be told apart on the last leads (no cut)"


def test_the_highest_tier_begins_where_the_capacity_ends_by_the_leads_that_come_now() -> None:
    """The gate slice has 100 leads a week."""
    free, bound = suggested(), suggested(per_week=8)

    assert not free.by_capacity
    assert bound.by_capacity
    earlier = SLICES.fit.merge(SLICES.gate).scores(RULE)
    reached = sum(one.leads for one in earlier if one.score >= bound.cuts["hot"]) / 4_000
    missed = sum(one.leads for one in earlier if one.score >= bound.cuts["hot"] - 10) / 4_000
    assert reached * 100 <= 8 < missed * 100
    assert bound.cuts["hot"] > free.cuts["hot"]


def test_of_two_tiers_the_higher_one_gets_a_cut() -> None:
    found = suggested(tiers=(Tier("good", 55), Tier("rest", None)))

    assert found.cuts == {"good": suggested().cuts["hot"]}
    assert [row.name for row in found.suggested] == ["good", "rest"]


def test_a_middle_that_is_as_good_as_the_top_matters_where_there_is_one() -> None:
    cuts = suggested().cuts
    middle, top = [
        next(pattern for pattern in SLICES.fit.rows if low <= RULE.total_of(pattern) < below)
        for low, below in ((cuts["warm"], cuts["hot"]), (cuts["hot"], 999))
    ]
    rows = {(): Counts(2_000, 20), middle: Counts(200, 60), top: Counts(400, 120)}
    slices = SLICES._replace(report=Grouped(RULE.criteria, rows))

    assert suggested(slices).reason == "not apart"
    assert suggested(slices, tiers=(Tier("good", 55), Tier("rest", None))).reason == "shown"


def test_tiers_that_begin_where_they_should_are_left() -> None:
    cuts = suggested().cuts
    found = suggested(tiers=(Tier("hot", cuts["hot"]), Tier("warm", cuts["warm"]), Tier("cold", None)))

    assert (found.reason, found.cuts) == ("as they are", {})
    assert found.verdict.startswith("the tiers begin where they should (hot ")


@pytest.mark.parametrize("tiers", [(Tier("all", None),), (*THREE[:2], Tier("mild", 3), Tier("cold", None))])
def test_other_numbers_of_tiers_are_left(tiers: tuple[Tier, ...]) -> None:
    assert suggested(tiers=tiers).verdict == "tiers not shown: they are looked for where there are two or three"


@pytest.mark.parametrize(("conversions", "reason"), [(49, "too few conversions"), (50, "not apart")])
def test_it_takes_a_hundred_conversions(conversions: int, reason: str) -> None:
    fit, gate = (Grouped(RULE.criteria, {(): Counts(900, k)}) for k in (50, conversions))

    assert suggested(Slices(fit, gate, gate)).reason == reason


def test_a_tier_between_that_no_cut_divides_stays_below_the_highest() -> None:
    """Leads with 40 points or 10: those with 10 convert at more than half the base rate, so that none is cold."""
    rows = {((2, 16),): Counts(1_000, 100), ((0, 16), (2, 16)): Counts(300, 120)}
    slices = Slices(*(Grouped(RULE.criteria, rows) for _ in range(3)))

    found = suggested(slices)

    assert found.shown
    assert 10 < found.cuts["hot"] <= 40
    assert found.cuts["warm"] == found.cuts["hot"] - 1


def test_judged_cuts_are_the_same_cuts_with_the_rates_of_other_leads() -> None:
    earlier, last = SLICES.fit.scores(RULE), SLICES.report.scores(RULE)
    cuts = tier_cuts(earlier, fitted(earlier))

    judged = judge_cuts(last, cuts)

    assert (judged.hot, judged.warm) == (cuts.hot, cuts.warm)
    hot, warm, cold = tier_table(last, (Tier("h", cuts.hot), Tier("w", cuts.warm), Tier("c", None)))
    assert (judged.hot_rate, judged.warm_rate, judged.cold_rate) == (hot.rate, warm.rate, cold.rate)
    assert judge_cuts(earlier, cuts) == cuts


def test_a_suggestion_is_plain_json() -> None:
    document = json.loads(json.dumps(suggested().to_dict()))

    assert document["shown"] is True
    assert document["cuts"] == suggested().cuts
    assert [row["tier"] for row in document["suggested"]] == ["hot", "warm", "cold"]
