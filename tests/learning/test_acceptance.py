"""The acceptance test of learning, at a size that every run can bear; `python -m tests.learning` is the whole of it."""

from __future__ import annotations

import pytest

from leadscore.learning.gating import suggest
from leadscore.learning.suggesting import Engine
from leadscore_cli.sample_company import SampleCompany
from tests.learning.acceptance import UNTIL, Gated, Recovery, gate, hand_made, recover, reduce_slices, slices_of


@pytest.fixture(scope="module")
def recovered() -> Recovery:
    return recover(range(2), 6_000)


@pytest.fixture(scope="module")
def gated() -> Gated:
    return gate(range(5), 8_000)


def test_starting_over_finds_the_truth_as_closely_as_any_estimate_could(recovered: Recovery) -> None:
    assert len(recovered.distances) == 32
    assert max(recovered.distances) <= 3


def test_what_tells_nothing_is_found_to_be_worth_nothing(recovered: Recovery) -> None:
    assert len(recovered.noise) == 8
    assert max(recovered.noise) <= 3


def test_the_intervals_hold_the_truth(recovered: Recovery) -> None:
    assert recovered.coverage >= 0.9


def test_learned_points_rank_other_leads_nearly_as_the_truth_does(recovered: Recovery) -> None:
    # 300 conversions, not the 1,000 of the whole test: the loss falls with their number.
    assert max(recovered.auc_losses) < 0.015


@pytest.mark.parametrize("engine", ["changes", "start over"])
@pytest.mark.parametrize("seed", range(3))
def test_of_500_leads_nothing_is_suggested(seed: int, engine: Engine) -> None:
    rule = hand_made()
    found = suggest(reduce_slices(rule, slices_of(SampleCompany(500, UNTIL, seed=seed))), rule, engine)
    assert found.changes == ()


def test_the_gate_shows_nothing_that_makes_the_ranking_worse(gated: Gated) -> None:
    assert min(gated.effects) >= -0.005


def test_the_gate_shows_some_of_what_makes_it_better(gated: Gated) -> None:
    assert len(gated.suggestions) == 5
    assert max(gated.effects) > 0.01
