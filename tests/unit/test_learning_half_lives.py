"""One factor on all half-lives: tried on later leads, shown only where it is surely better than what there is."""

from __future__ import annotations

import json
from collections import Counter
from math import exp
from random import Random

import pytest

from leadscore import parse_ruleset
from leadscore.core.instants import DAY
from leadscore.learning.half_lives import FACTORS, LEAST_CONVERSIONS, Pairs, suggest_half_lives, with_half_lives
from leadscore.learning.ranking_quality import auc_difference
from leadscore.learning.samples import Counts, PairCount

RULESET = parse_ruleset(
    {
        "tiers": [{"name": "hot", "from": 9}, {"name": "cold"}],
        "groups": {"engagement": {"half_life": "30d"}},
        "criteria": [
            {"id": "a", "group": "engagement", "event": {"event": ["A"]}, "points": 10},
            {"id": "b", "group": "engagement", "event": {"event": ["B"]}, "points": 10, "half_life": "1s"},
            {"id": "c", "group": "fit", "traits": {"c": [1]}, "points": 10},
            {"id": "d", "group": "product", "event": {"event": ["D"]}, "points": 10, "half_life": "3000d"},
        ],
    }
)


def pairs(count: int, seed: int, worth: float) -> Pairs:
    """Leads whose score of now says nothing, and whose other score says as much as it is `worth`."""
    chance = Random(seed)
    leads, conversions = Counter[tuple[float, float]](), Counter[tuple[float, float]]()
    for _ in range(count):
        now, other = float(chance.randrange(10)), float(chance.randrange(10))
        leads[now, other] += 1
        conversions[now, other] += chance.random() < 1 / (1 + exp(1.5 - worth * (other - 4.5)))
    return {both: Counts(n, conversions[both]) for both, n in leads.items()}


def tried(seed: int, **worths: float) -> dict[str, list[Pairs]]:
    """Return pairs for all factors, in two parts each; those that are not named are worth nothing."""
    return {
        name: [pairs(500, seed + place, worths.get(name, 0.0)), pairs(500, seed + place + 90, worths.get(name, 0.0))]
        for place, name in enumerate(FACTORS)
    }


def test_the_best_factor_is_shown_with_what_it_is_worth_on_the_last_leads() -> None:
    gate, report = tried(1, **{"4": 0.3, "2": 0.1}), tried(2, **{"4": 0.2})

    found = suggest_half_lives(RULESET, LEAST_CONVERSIONS, gate, report)

    assert (found.reason, found.factor) == ("shown", "4")
    assert found.gate_gain is not None
    assert found.gate_gain.low > 0
    one, other = report["4"]
    together = [PairCount(pair[1], pair[0], *counts) for part in (one, other) for pair, counts in part.items()]
    assert found.report_gain == pytest.approx(auc_difference(together))
    assert found.verdict.startswith("half-lives times 4: AUC +0.")


def test_the_interval_holds_for_all_factors_that_were_tried() -> None:
    gate = tried(1, none=0.3)
    parts = [PairCount(pair[1], pair[0], *counts) for part in gate["none"] for pair, counts in part.items()]
    alone = auc_difference(parts)

    found = suggest_half_lives(RULESET, LEAST_CONVERSIONS, gate, {})

    assert alone is not None
    assert found.gate_gain is not None
    assert found.gate_gain.value == pytest.approx(alone.value)
    assert found.gate_gain.value - found.gate_gain.low == pytest.approx((alone.value - alone.low) * 2.576 / 1.96)
    assert found.gate_gain.high - found.gate_gain.value == pytest.approx((alone.high - alone.value) * 2.576 / 1.96)
    assert found.verdict.startswith("no decay: AUC +0.")
    assert found.verdict.endswith("cannot be told on the last ones")


def test_what_is_no_better_is_hardly_ever_shown_though_some_factor_always_comes_out_best() -> None:
    last = tried(7)
    found = [suggest_half_lives(RULESET, LEAST_CONVERSIONS, tried(seed * 1000), last) for seed in range(60)]

    # One in forty by chance, where one in eight would be if each factor had the interval of one.
    assert sum(one.shown for one in found) <= 3
    for one in found:
        assert one.tried is not None
        assert one.gate_gain is not None
        assert one.gate_gain.value == max(gain.value for gain in one.tried.values())
        assert one.shown is (one.gate_gain.low > 0)
        assert one.shown or one.verdict.startswith("not shown: on later leads the present half-lives were as good (")


def test_of_few_conversions_half_lives_cannot_be_told() -> None:
    found = suggest_half_lives(RULESET, LEAST_CONVERSIONS - 1, tried(1, **{"4": 0.3}), tried(2))

    assert not found.shown
    assert found.verdict == (
        f"not shown: 499 conversions, {found.gate_conversions} to check by; half-lives take 500 and 20"
    )
    assert suggest_half_lives(RULESET, 900, {}, {}).reason == "too few conversions"


@pytest.mark.parametrize(("judging", "reason"), [(19, "too few conversions"), (20, "shown")])
def test_of_few_conversions_to_judge_by_half_lives_cannot_be_told_however_many_there_are_elsewhere(
    judging: int, reason: str
) -> None:
    """All who converted are far ahead with the factor and nowhere without it."""
    perfect: Pairs = {
        **{(float(now), float(now)): Counts(40, 0) for now in range(10)},
        **{(float(nth % 10), 20.0 + nth): Counts(1, 1) for nth in range(judging)},
    }
    found = suggest_half_lives(RULESET, 5000, {"2": [perfect]}, {})

    assert found.reason == reason
    assert found.gate_conversions == found.to_dict()["gate_conversions"] == judging
    if not found.shown:
        assert found.verdict == "not shown: 5000 conversions, 19 to check by; half-lives take 500 and 20"


def test_where_nothing_decays_there_is_nothing_to_find() -> None:
    found = suggest_half_lives(with_half_lives(RULESET, None), 900, tried(1, **{"4": 0.3}), tried(2))

    assert found.verdict == "no criterion has a half-life"


@pytest.mark.parametrize(
    ("factor", "lives"),
    [
        (0.25, [7.5 * DAY, 250, None, 750 * DAY]),
        (4.0, [120 * DAY, 4000, None, 3650 * DAY]),
        (None, [None, None, None, None]),
    ],
)
def test_all_half_lives_are_times_the_factor_and_what_states_keep_is_the_same(
    factor: float | None, lives: list[float | None]
) -> None:
    changed = with_half_lives(RULESET, factor)

    assert [one.half_life for one in changed.criteria] == lives
    assert changed.groups["engagement"].half_life == lives[0]
    assert changed.groups["product"].half_life is None
    assert changed.state_digest == RULESET.state_digest
    assert [one._replace(half_life=None) for one in changed.criteria] == [
        one._replace(half_life=None) for one in RULESET.criteria
    ]


def test_a_suggestion_is_plain_json() -> None:
    found = suggest_half_lives(RULESET, 900, tried(1, **{"4": 0.3}), tried(2))

    document = json.loads(json.dumps(found.to_dict()))
    assert document["factor"] == "4"
    assert document["tried"].keys() == FACTORS.keys()
    assert document["gate_gain"]["low"] == found.gate_gain.low if found.gate_gain else False
