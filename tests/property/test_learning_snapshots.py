"""The law of learning from the past: nothing after its moment is in a snapshot but the label."""

from __future__ import annotations

from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from leadscore import parse_ruleset, score_events
from leadscore.core.instants import from_datetime, parse_instant
from leadscore.learning.snapshots import LeadSnapshot, choose_split, find_qualified, take_snapshot
from tests.property.strategies import Case, JsonObject, cases, to_datetime

GOAL: JsonObject = {"event": ["Converted"]}
FAR = 10**15


def later(case: Case) -> list[JsonObject]:
    return [event for event in case.events if parse_instant(event["timestamp"]) > from_datetime(case.at)]


def snap(case: Case, events: list[JsonObject], window: int = 1) -> object:
    ruleset = parse_ruleset(case.document | {"goal": GOAL})
    return take_snapshot(ruleset, events, from_datetime(case.at), window=window, now=FAR)


@given(cases(), st.randoms(use_true_random=False))
def test_a_snapshot_is_the_same_whatever_happens_after_it(case: Case, chance: Random) -> None:
    after = later(case)
    before = [event for event in case.events if event not in after]
    shuffled = chance.sample(case.events, len(case.events))
    assert snap(case, shuffled) == snap(case, before)


@given(cases())
def test_a_snapshot_has_the_score_of_its_moment(case: Case) -> None:
    found = snap(case, case.events)
    assume(isinstance(found, LeadSnapshot))
    assert isinstance(found, LeadSnapshot)
    ruleset = parse_ruleset(case.document | {"goal": GOAL})
    score = score_events(ruleset, case.events, case.at)
    scored = [criterion for criterion in ruleset.criteria if not criterion.disqualify]
    assert found.total == score.total
    assert {scored[place].id: strength * scored[place].points for place, strength in found.strengths} == {
        factor.criterion: factor.decayed for factor in score.factors
    }


@given(cases(past=True))
def test_the_moment_is_chosen_without_what_comes_after_it(case: Case) -> None:
    ruleset = parse_ruleset(case.document | {"goal": GOAL})
    qualified = find_qualified(ruleset, case.events)
    if qualified is not None:
        known = [event for event in case.events if parse_instant(event["timestamp"]) <= qualified]
        assert find_qualified(ruleset, known) == qualified
        assert score_events(ruleset, known, to_datetime(qualified)).total >= (ruleset.tiers[-2].from_ or 0)


@given(st.lists(st.integers(0, 10_000), min_size=1), st.integers(1, 3_000))
def test_no_label_of_one_slice_reaches_into_the_next(moments: list[int], gap: int) -> None:
    split = choose_split(moments, gap)
    slices = {name: [m for m in moments if split.slice_of(m) == name] for name in ("fit", "gate", "report")}
    ends = {name: max((m + gap for m in found), default=-1) for name, found in slices.items()}
    assert ends["fit"] <= min(slices["gate"], default=FAR)
    assert ends["gate"] <= min(slices["report"], default=FAR)
    assert slices["report"]
