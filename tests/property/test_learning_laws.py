"""Laws of the statistics of learning: segments add up, bounds hold, and what mirrors the leads mirrors the figures."""

from __future__ import annotations

import json
from math import isfinite

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore.core.ruleset import Tier
from leadscore.learning.calibration import brier, calibrate, reliability
from leadscore.learning.insights import find_insights
from leadscore.learning.proportions import Table, g_test, lift, log_odds_ratio, phi, q_values, wilson
from leadscore.learning.ranking_quality import auc, auc_difference, gain_curve, top_leads
from leadscore.learning.samples import Counts, Grouped, PairCount, ScoreCount, ScoreRule, Tally, TimeSplit, joined
from leadscore.learning.tiers import capacity_view, cut_for, tier_cuts, tier_table

CRITERIA = ("a", "b", "c")
STRENGTHS = st.dictionaries(st.integers(0, 2), st.floats(0, 5), max_size=3)
LEADS = st.lists(st.tuples(STRENGTHS, st.booleans()), max_size=30)
RULE = ScoreRule.uncapped({"a": 5, "b": -3, "c": 8})
COUNTS = st.integers(0, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
SCORES = st.lists(
    st.builds(lambda score, counts: ScoreCount(float(score), *counts), st.integers(-5, 15), COUNTS).filter(
        lambda one: one.leads > 0
    ),
    max_size=12,
)
PAIRS = st.lists(
    st.builds(lambda a, b, counts: PairCount(a, b, *counts), st.integers(0, 6), st.integers(0, 6), COUNTS), max_size=12
)
TABLES = st.tuples(*[st.integers(0, 500)] * 4).map(
    lambda cells: Table(sum(cells), cells[0] + cells[2], cells[0] + cells[1], cells[0])
)


def tallied(leads: list[tuple[dict[int, float], bool]]) -> Grouped:
    tally = Tally(CRITERIA)
    for strengths, converted in leads:
        tally.add(strengths.items(), converted=converted)
    return tally.grouped()


@given(LEADS, LEADS, LEADS)
def test_segments_merge_in_any_order_to_what_all_leads_give(
    one: list[tuple[dict[int, float], bool]],
    two: list[tuple[dict[int, float], bool]],
    three: list[tuple[dict[int, float], bool]],
) -> None:
    a, b, c = tallied(one), tallied(two), tallied(three)
    whole = tallied(one + two + three)
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == c.merge(a, b) == whole
    assert json.dumps(c.merge(b, a).to_dict()) == json.dumps(whole.to_dict())
    assert Grouped.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole
    assert whole.merge(Grouped(CRITERIA, {})) == whole
    assert whole.leads == len(one + two + three)
    assert joined([*a.merge(b).scores(RULE), *c.scores(RULE)]) == whole.scores(RULE)


@given(LEADS)
def test_pairs_and_scores_and_holding_count_every_lead(leads: list[tuple[dict[int, float], bool]]) -> None:
    grouped = tallied(leads)
    pairs = grouped.pairs(RULE, RULE)
    assert all(pair.score == pair.other for pair in pairs)
    assert joined(ScoreCount(pair.score, pair.leads, pair.conversions) for pair in pairs) == grouped.scores(RULE)
    assert sum(one.leads for one in pairs) == grouped.leads
    assert all(0 <= one.conversions <= one.leads <= grouped.leads for one in grouped.holding())


@given(st.integers(-50, 350), st.integers(0, 100), st.integers(0, 300), st.integers(0, 100))
def test_no_label_reaches_into_a_later_slice(at: int, gate_from: int, span: int, gap: int) -> None:
    split = TimeSplit(gate_from, gate_from + span, gap)
    slice_ = split.slice_of(at)
    end = {"fit": gate_from, "gate": gate_from + span}.get(str(slice_))
    assert end is None or at + gap <= end


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_bounded_symmetric_and_narrower_with_more(counts: tuple[int, int]) -> None:
    successes, trials = counts
    found, mirrored, more = (
        wilson(successes, trials),
        wilson(trials - successes, trials),
        wilson(2 * successes, 2 * trials),
    )
    assert found is not None
    assert mirrored is not None
    assert more is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - found.high, 1 - found.low), abs=1e-12)
    assert more.high - more.low < found.high - found.low
    if successes < trials:
        better = wilson(successes + 1, trials)
        assert better is not None
        assert better.low > found.low
        assert better.high > found.high or found.high == 1


@given(TABLES)
def test_figures_of_a_table_mirror_and_stay_in_bounds(table: Table) -> None:
    leads, conversions, holding, converted = table
    others = Table(leads, conversions, leads - holding, conversions - converted)
    turned = Table(leads, holding, conversions, converted)
    assert log_odds_ratio(others) == pytest.approx((-log_odds_ratio(table).value, log_odds_ratio(table).error))
    assert log_odds_ratio(turned) == pytest.approx(log_odds_ratio(table))
    assert 0 <= g_test(table) <= 1
    assert g_test(others) == pytest.approx(g_test(table), abs=1e-9)
    found, mirrored = phi(table), phi(others)
    if found is not None and mirrored is not None:
        assert -1 <= found.low <= found.value + 1e-12
        assert found.value - 1e-12 <= found.high <= 1
        assert (mirrored.value, mirrored.low) == pytest.approx((-found.value, -found.high), abs=1e-9)
        assert phi(turned) == pytest.approx(found, abs=1e-9)
    lifted = lift(*table)
    if lifted is not None:
        assert 0 <= lifted.low <= lifted.value <= lifted.high
        assert all(map(isfinite, lifted))


@given(st.lists(st.floats(0, 1), max_size=30))
def test_q_values_keep_the_order_of_p_values_and_are_no_smaller(chances: list[float]) -> None:
    found = q_values(chances)
    assert all(p <= q <= 1 or p == pytest.approx(q) for p, q in zip(chances, found, strict=True))
    ranked = sorted(zip(chances, found, strict=True))
    assert [q for _, q in ranked] == sorted(found)


@given(SCORES)
def test_auc_is_that_of_all_pairs_and_blind_to_the_scale(scores: list[ScoreCount]) -> None:
    found = auc(scores)
    positive = [(one.score, one.conversions) for one in scores if one.conversions]
    negative = [(one.score, one.leads - one.conversions) for one in scores if one.leads > one.conversions]
    if found is None:
        assert not positive or not negative
        return
    won = sum((x > y) * p * n + (x == y) * p * n / 2 for x, p in positive for y, n in negative)
    assert found.value == pytest.approx(won / sum(p for _, p in positive) / sum(n for _, n in negative))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert auc([one._replace(score=one.score**3 + 7) for one in scores]) == pytest.approx(found)
    reverse = auc([one._replace(score=-one.score) for one in scores])
    assert reverse is not None
    assert (reverse.value, reverse.low, reverse.high) == pytest.approx((1 - found.value, 1 - found.high, 1 - found.low))


@given(PAIRS)
def test_the_difference_of_two_aucs_is_their_difference_and_turns_its_sign(pairs: list[PairCount]) -> None:
    found = auc_difference(pairs)
    one = auc([ScoreCount(pair.score, pair.leads, pair.conversions) for pair in pairs])
    other = auc([ScoreCount(pair.other, pair.leads, pair.conversions) for pair in pairs])
    turned = auc_difference([pair._replace(score=pair.other, other=pair.score) for pair in pairs])
    if found is None or one is None or other is None or turned is None:
        assert found is one is other is turned is None
        return
    assert found.value == pytest.approx(one.value - other.value, abs=1e-12)
    assert -1 <= found.low <= found.high <= 1
    assert (turned.value, turned.low) == pytest.approx((-found.value, -found.high), abs=1e-12)


@given(SCORES, st.integers(1, 60))
def test_a_longer_list_has_more_conversions_and_never_more_than_leads(scores: list[ScoreCount], k: int) -> None:
    leads, conversions = sum(one.leads for one in scores), sum(one.conversions for one in scores)
    found, longer = top_leads(scores, k), top_leads(scores, k + 1)
    if found is None or longer is None:
        assert leads == 0
        return
    assert found.conversions <= longer.conversions + 1e-9
    assert found.conversions <= min(found.leads, conversions) + 1e-9
    assert longer.conversions <= found.conversions + 1 + 1e-9
    curve = gain_curve(scores, parts=10)
    assert curve == sorted(curve)
    assert not curve or (curve[0], curve[-1]) == ((0.0, 0.0), (1.0, 1.0))


@given(SCORES, st.integers(1, 9), st.integers(-30, 30))
def test_a_curve_is_monotonic_and_blind_to_the_scale_of_scores(
    scores: list[ScoreCount], factor: int, shift: int
) -> None:
    found = calibrate(scores)
    if found is None:
        assert not scores
        return
    values = [found.probability(score) for score in range(-5, 16)]
    assert values == sorted(values, reverse=found.slope < 0)
    assert all(0 < value < 1 for value in values)
    moved = calibrate([one._replace(score=one.score * factor + shift) for one in scores])
    assert moved is not None
    for one in scores:
        # The inner estimate too: its interval is one of the same leads.
        assert moved.estimate(one.score * factor + shift) == pytest.approx(
            found.estimate(one.score), rel=1e-4, abs=1e-6
        )
    # The probabilities come, over all leads, to Platt's targets.
    leads, conversions = sum(one.leads for one in scores), sum(one.conversions for one in scores)
    targets = conversions * (conversions + 1) / (conversions + 2) + (leads - conversions) / (leads - conversions + 2)
    assert sum(found.probability(one.score) * one.leads for one in scores) == pytest.approx(targets, rel=1e-4)


@given(SCORES, st.integers(1, 12))
def test_bins_hold_every_lead_once_and_split_no_tie(scores: list[ScoreCount], bins: int) -> None:
    curve = calibrate(scores)
    if curve is None:
        return
    found, losses = reliability(scores, curve, bins), brier(scores, curve)
    assert found is not None
    assert losses is not None
    assert 1 <= len(found.bins) <= bins
    assert sum(one.leads for one in found.bins) == sum(one.leads for one in scores)
    edges = [edge for one in found.bins for edge in (one.low, one.high)]
    assert edges == sorted(edges)
    assert all(one.high < later.low for one, later in zip(found.bins, found.bins[1:], strict=False))
    assert 0 <= found.error <= 1
    assert 0 <= losses.score.low <= losses.score.value <= losses.score.high <= 1


@given(SCORES, st.integers(-4, 14), st.integers(1, 5), st.integers(0, 300))
def test_tiers_hold_every_lead_once_and_a_cut_lets_through_no_more_than_asked(
    scores: list[ScoreCount], warm: int, step: int, most: int
) -> None:
    table = tier_table(scores, (Tier("hot", warm + step), Tier("warm", warm), Tier("cold", None)))
    assert sum(row.leads for row in table) == sum(one.leads for one in scores)
    assert sum(row.conversions for row in table) == sum(one.conversions for one in scores)
    cut = cut_for(scores, most)
    if cut is not None:
        assert 0 < sum(one.leads for one in scores if one.score >= cut) <= most
        assert sum(one.leads for one in scores if one.score >= cut - 1) > most or cut <= min(scores).score
    assert capacity_view(scores, 4.0, most / 4).cut == cut
    curve = calibrate(scores)
    if curve is not None:
        cuts = tier_cuts(scores, curve, weeks=4.0, per_week=most / 4)
        assert cuts.hot is None or cuts.warm is None or cuts.hot > cuts.warm
        assert cuts.hot is None or sum(one.leads for one in scores if one.score >= cuts.hot) <= most


@settings(deadline=None)
@given(st.dictionaries(st.frozensets(st.tuples(st.integers(0, 2), st.integers(1, 40)), max_size=3), COUNTS, max_size=8))
def test_of_any_history_the_insights_are_finite_and_blind_to_the_order_of_leads(
    rows: dict[frozenset[tuple[int, int]], tuple[int, int]],
) -> None:
    patterns = {tuple(sorted(dict(holds).items())): Counts(*counts) for holds, counts in rows.items() if counts[0]}
    found = find_insights(Grouped(CRITERIA, patterns), RULE)
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(text)["leads"] == sum(counts.leads for counts in patterns.values())
    backwards = find_insights(Grouped(CRITERIA, dict(reversed(patterns.items()))), RULE)
    assert [one.association for one in backwards.criteria] == [one.association for one in found.criteria]
    assert [[finding.kind for finding in one.findings] for one in backwards.criteria] == [
        [finding.kind for finding in one.findings] for one in found.criteria
    ]
