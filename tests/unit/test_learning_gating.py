"""What is shown of what was found: only what later leads confirm, with figures from leads that had no part in it."""

from __future__ import annotations

import json
from math import exp, log
from random import Random

import pytest

from leadscore.learning.gating import LEAST_CONVERSIONS, LEAST_LATER_CONVERSIONS, Slices, suggest
from leadscore.learning.ranking_quality import auc, auc_difference
from leadscore.learning.samples import STEPS, Counts, Grouped, ScoreRule, Tally
from leadscore.learning.suggesting import Change, Engine, Freedom

PER_POINT = log(2) / 10
HAND_MADE = ScoreRule.uncapped({"right": 15, "noise": 15, "missed": 3})
TRUE_POINTS = (15, 0, 20)
MOVED_POINTS = (15, 20, 0)


def leads(count: int, seed: int, points: tuple[int, ...] = TRUE_POINTS) -> Grouped:
    """Independent criteria that hold for 30 % of the leads, who convert by `points`."""
    chance = Random(seed)
    tally = Tally(HAND_MADE.criteria)
    for _ in range(count):
        holding = [place for place in range(3) if chance.random() < 0.3]
        p = 1 / (1 + exp(2.7 - PER_POINT * sum(points[place] for place in holding)))
        tally.add(((place, 1.0) for place in holding), converted=chance.random() < p)
    return tally.grouped()


FIT, GATE, REPORT = leads(4_000, 1), leads(2_000, 2), leads(2_000, 3)
MOVED_GATE = leads(2_000, 4, MOVED_POINTS)


def counted(conversions: int) -> Grouped:
    return Grouped(HAND_MADE.criteria, {(): Counts(1_000, conversions), ((0, STEPS),): Counts(500, 0)})


@pytest.mark.parametrize("engine", ["changes", "start over"])
def test_what_later_leads_confirm_is_shown_with_what_it_is_worth_on_the_last(engine: Engine) -> None:
    found = suggest(Slices(FIT, GATE, REPORT), HAND_MADE, engine, trusted=HAND_MADE.criteria)
    assert found.shown
    assert {"noise", "missed"} <= found.points.keys()
    assert found.gate_gain == auc_difference(GATE.pairs(found.rule, HAND_MADE))
    assert found.report_gain == auc_difference(REPORT.pairs(found.rule, HAND_MADE))
    assert (found.present, found.changed) == (auc(REPORT.scores(HAND_MADE)), auc(REPORT.scores(found.rule)))
    assert found.gate_gain is not None
    assert found.gate_gain.low > 0
    assert found.verdict.startswith(f"{len(found.changes)} changes: AUC +0.")


def test_each_change_says_what_it_alone_is_worth() -> None:
    found = suggest(Slices(FIT, GATE, REPORT), HAND_MADE)
    for worth in found.changes:
        alone = HAND_MADE.with_points({worth.change.criterion: worth.change.after})
        assert worth.alone == auc_difference(REPORT.pairs(alone, HAND_MADE))
        assert (
            worth.change.before == dict(zip(HAND_MADE.criteria, HAND_MADE.points, strict=True))[worth.change.criterion]
        )


def test_where_the_world_moved_nothing_is_shown_but_what_was_found_is_told() -> None:
    found = suggest(Slices(FIT, MOVED_GATE, REPORT), HAND_MADE)
    assert not found.shown
    assert found.points == {}
    assert found.changes
    assert found.gate_gain is not None
    assert found.gate_gain.low <= 0
    figures = f"AUC {found.gate_gain.value:+.3f} ({found.gate_gain.low:+.3f} to {found.gate_gain.high:+.3f})"
    assert found.verdict == f"not shown: on later leads the present points were as good ({figures})"


def test_the_last_leads_have_no_part_in_what_is_shown() -> None:
    one, other = (
        suggest(Slices(FIT, GATE, REPORT), HAND_MADE),
        suggest(Slices(FIT, GATE, leads(2_000, 9, MOVED_POINTS)), HAND_MADE),
    )
    assert one.points == other.points
    assert one.gate_gain == other.gate_gain
    assert other.shown
    assert other.report_gain is not None
    assert other.report_gain.value < 0


def test_later_leads_have_no_part_in_what_is_found() -> None:
    changes = [
        tuple(worth.change for worth in suggest(Slices(FIT, gate, REPORT), HAND_MADE).changes)
        for gate in (GATE, MOVED_GATE)
    ]
    assert changes[0] == changes[1]


@pytest.mark.parametrize(
    ("fit", "gate", "few"),
    [
        (LEAST_CONVERSIONS - 1, 500, True),
        (LEAST_CONVERSIONS, 500, False),
        (500, LEAST_LATER_CONVERSIONS - 1, True),
        (500, LEAST_LATER_CONVERSIONS, False),
    ],
)
def test_of_few_conversions_nothing_is_looked_for(fit: int, gate: int, few: bool) -> None:
    found = suggest(Slices(counted(fit), counted(gate), counted(0)), HAND_MADE)
    assert (found.reason == "too few conversions") is few
    if few:
        assert found.changes == ()
        assert found.verdict == (
            f"not shown: {fit} conversions to learn from and {gate} to check by; it takes 100 and 20"
        )


def test_points_that_need_no_change_are_left_alone() -> None:
    right = HAND_MADE.with_points({"noise": 1, "missed": 20})
    found = suggest(Slices(FIT, GATE, REPORT), right)
    assert (found.reason, found.changes, found.gate_gain) == ("nothing pays", (), None)
    assert found.verdict == f"no change pays for itself on 4000 leads with {FIT.conversions} conversions"


def test_locked_criteria_are_named_and_keep_their_points() -> None:
    freedom = Freedom(locked=frozenset({"noise"}), step=5)
    found = suggest(Slices(FIT, GATE, REPORT), HAND_MADE, freedom=freedom, trusted=HAND_MADE.criteria)
    assert found.kept == ("noise",)
    assert Change("missed", 3, found.points["missed"]) in [worth.change for worth in found.changes]
    assert "noise" not in found.points
    assert all(points % 5 == 0 for points in found.points.values())


LEAKING = ScoreRule.uncapped({"right": 15, "noise": 15, "leak": 2})


def leaking(count: int, seed: int, rate: float) -> Grouped:
    """Leads of whom those who convert, and few others, have what follows from a conversion."""
    chance = Random(seed)
    tally = Tally(LEAKING.criteria)
    for _ in range(count):
        holding = [place for place in range(2) if chance.random() < 0.3]
        converted = chance.random() < 1 / (1 + exp(2.7 - PER_POINT * (15 if 0 in holding else 0)))
        if chance.random() < (rate if converted else 0.01):
            holding.append(2)
        tally.add(((place, 1.0) for place in holding), converted=converted)
    return tally.grouped()


@pytest.mark.parametrize("engine", ["changes", "start over"])
@pytest.mark.parametrize("rate", [0.5, 0.9])
def test_what_only_a_conversion_brings_about_is_flagged_and_keeps_its_points(engine: Engine, rate: float) -> None:
    slices = Slices(leaking(4_000, 1, rate), leaking(2_000, 2, rate), leaking(2_000, 3, rate))
    found = suggest(slices, LEAKING, engine)

    assert "is it known in time?" in found.suspects["leak"]
    assert "leak" in found.kept
    assert "leak" not in [worth.change.criterion for worth in found.changes]
    assert dict(zip(found.rule.criteria, found.rule.points, strict=True))["leak"] == 2
    assert json.loads(json.dumps(found.to_dict()))["suspects"] == found.suspects
    trusting = suggest(slices, LEAKING, engine, trusted={"leak"})
    assert trusting.suspects == {}
    assert trusting.points["leak"] > 2


def test_what_was_written_after_a_lead_was_scored_keeps_its_points() -> None:
    slices = Slices(FIT, GATE, REPORT)
    found = suggest(slices, HAND_MADE, late={"noise"})

    assert found.suspects["noise"] == "reads a trait that was written after the lead was scored"
    assert "noise" not in found.points
    assert "noise" in suggest(slices, HAND_MADE, late={"noise"}, trusted={"noise"}).points


def test_a_suggestion_is_plain_json() -> None:
    found = suggest(Slices(FIT, GATE, REPORT), HAND_MADE)
    document = json.loads(json.dumps(found.to_dict()))
    assert document["shown"] is True
    assert document["slices"]["gate"] == {"leads": 2_000, "conversions": GATE.conversions}
    assert document["gate_gain"]["low"] == found.gate_gain.low if found.gate_gain else False
    assert [one["criterion"] for one in document["changes"]] == list(found.points)


def test_slices_of_other_criteria_are_refused() -> None:
    other = Grouped(("another",), {(): Counts(10, 5)})
    with pytest.raises(ValueError, match="other criteria"):
        suggest(Slices(FIT, GATE, other), HAND_MADE)
