"""The reduction of snapshots to counts: scores are those of the core, splits keep their gap, texts come back."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from leadscore import parse_ruleset, score_events
from leadscore.learning.samples import STEPS, Counts, Grouped, PairCount, ScoreCount, ScoreRule, Tally, TimeSplit

RULES = parse_ruleset(
    {
        "tiers": [{"name": "hot", "from": 20}, {"name": "cold"}],
        "total": {"min": -5, "max": 30},
        "groups": {"fit": {"max": 15}, "engagement": {"max": 40, "half_life": "30d"}},
        "criteria": [
            {"id": "boss", "group": "fit", "traits": {"boss": [True]}, "points": 10},
            {"id": "rival", "disqualify": True, "traits": {"rival": [True]}},
            {"id": "size", "group": "fit", "traits": {"size": [True]}, "points": 8},
            {"id": "visit", "group": "engagement", "event": {"event": ["Visit"]}, "points": 6, "limit": 5, "max": 20},
            {"id": "gone", "group": "engagement", "event": {"event": ["Gone"]}, "points": -40},
        ],
    }
)
RULE = ScoreRule.of(RULES)
AT = datetime(2026, 3, 2, tzinfo=UTC)


def event(id_: str, time: str, **fields: object) -> dict[str, object]:
    return {"messageId": id_, "type": "track", "timestamp": time, "userId": "ada", **fields}


@pytest.mark.parametrize(
    "events",
    [
        [],
        [event("1", "2026-03-01T00:00:00.000Z", type="identify", traits={"boss": True, "size": True})],
        [event(str(n), f"2026-03-0{1 + n % 2}T00:00:00.000Z", event="Visit") for n in range(5)],
        [event("1", "2026-01-31T00:00:00.000Z", event="Visit"), event("2", "2026-03-02T00:00:00.000Z", event="Visit")],
        [event("1", "2026-03-02T00:00:00.000Z", event="Gone")],
    ],
    ids=["nothing", "the group's cap", "the criterion's cap", "half a visit and a whole one", "the total's bound"],
)
def test_a_pattern_scores_as_the_core_scores_its_lead(events: list[dict[str, object]]) -> None:
    score = score_events(RULES, events, AT)
    tally = Tally(RULE.criteria)
    tally.add(
        [(RULE.criteria.index(f.criterion), f.decayed / f.definition.points) for f in score.factors], converted=False
    )
    (pattern,) = tally.grouped().rows
    # The days between leave a little less than a half or a whole of each visit.
    assert RULE.total_of(pattern) == pytest.approx(score.total, abs=6 / 32 * len(events))
    assert (RULE.total_of(pattern) == score.total) or "Visit" in str(events)


def test_points_scale_before_the_caps_and_caps_stay_in_points() -> None:
    pattern = ((0, STEPS), (2, 3 * STEPS))
    assert RULE.criteria == ("boss", "size", "visit", "gone")
    assert RULE.contributions(pattern) == [(0, 10.0), (2, 18.0)]
    more = RULE.with_points({"visit": 9, "boss": 20})
    assert more.contributions(pattern) == [(0, 20.0), (2, 20.0)]
    # Of 20 and 20 the group lets through 15, and the total 30 of 35.
    assert more.total_of(pattern) == 30
    assert RULE.with_points({"visit": 3, "boss": 20}).total_of(pattern) == 15 + 9
    assert RULE.with_points({"visit": -9}).contributions(pattern) == [(0, 10.0), (2, -20.0)]
    assert RULE.with_points({"visit": 0}).total_of(pattern) == 10
    assert RULE.points == (10, 8, 6, -40)


def test_an_uncapped_rule_adds_up() -> None:
    rule = ScoreRule.uncapped({"a": 5, "b": -100})
    assert rule.total_of(((0, 10 * STEPS), (1, STEPS))) == -50


def test_a_tally_counts_leads_by_what_holds_for_them() -> None:
    tally = Tally(["a", "b"])
    tally.add([(1, 0.5), (0, 1.0)], converted=True)
    tally.add([(0, 1.0), (1, 0.51)], converted=False)
    tally.add([(0, 1.0), (1, 1 / 33)], converted=False)
    tally.add([(1, 1 / 31)], converted=True)
    grouped = tally.grouped()
    assert grouped.rows == {((0, 16), (1, 8)): Counts(2, 1), ((0, 16),): Counts(1, 0), ((1, 1),): Counts(1, 1)}
    assert (grouped.leads, grouped.conversions) == (4, 2)
    assert grouped.holding() == [Counts(3, 1), Counts(3, 2)]


def test_histograms_join_equal_scores() -> None:
    grouped = Grouped(("a", "b"), {((0, 16),): Counts(3, 1), ((1, 16),): Counts(2, 2), (): Counts(9, 0)})
    rule, other = ScoreRule.uncapped({"a": 5, "b": 5}), ScoreRule.uncapped({"a": 5, "b": 7})
    assert grouped.scores(rule) == [ScoreCount(0, 9, 0), ScoreCount(5, 5, 3)]
    assert grouped.pairs(rule, other) == [PairCount(0, 0, 9, 0), PairCount(5, 5, 3, 1), PairCount(5, 7, 2, 2)]


def test_only_samples_of_the_same_criteria_merge() -> None:
    with pytest.raises(ValueError, match="same criteria"):
        Grouped(("a",), {}).merge(Grouped(("b",), {}))


def test_a_sample_is_only_scored_under_a_rule_of_its_criteria() -> None:
    grouped, rule = Grouped(("a",), {((0, 16),): Counts(1, 0)}), ScoreRule.uncapped({"a": 1})
    other = ScoreRule.uncapped({"b": 1})
    for scoring in (
        lambda: grouped.scores(other),
        lambda: grouped.pairs(rule, other),
        lambda: grouped.pairs(other, rule),
    ):
        with pytest.raises(ValueError, match="same criteria"):
            scoring()


def test_a_sample_in_other_steps_is_refused() -> None:
    document = json.loads(json.dumps(Grouped(("a",), {((0, 3),): Counts(2, 1)}).to_dict()))
    assert Grouped.from_dict(document) == Grouped(("a",), {((0, 3),): Counts(2, 1)})
    with pytest.raises(ValueError, match="1/16"):
        Grouped.from_dict({**document, "steps": 8})


@pytest.mark.parametrize(
    ("at", "slice_"),
    [(0, "fit"), (90, "fit"), (91, None), (99, None), (100, "gate"), (190, "gate"), (191, None), (200, "report")],
)
def test_no_label_of_a_slice_reaches_into_the_next(at: int, slice_: str | None) -> None:
    assert TimeSplit(gate_from=100, report_from=200, gap=10).slice_of(at) == slice_
