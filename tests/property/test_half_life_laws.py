"""Laws of half-lives on trial: a factor's scores are those that its ruleset gives, of the same leads."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given, settings

from leadscore.learning.half_lives import FACTORS, with_half_lives
from leadscore.learning.sampling import Sample, Sampling
from leadscore.usecases.histories import History
from tests.property.test_sampling_laws import reduced, samplings


@settings(max_examples=30)
@given(samplings())
def test_the_scores_with_a_factor_are_those_of_a_ruleset_with_those_half_lives(
    drawn: tuple[Sampling, list[History]],
) -> None:
    sampling, leads = drawn
    found = reduced(replace(sampling, half_lives=True), leads)

    assert found.paced.keys() == FACTORS.keys()
    for name, factor in FACTORS.items():
        against = reduced(replace(sampling, against=with_half_lives(sampling.ruleset, factor)), leads)
        assert found.paced[name] == against.pairs


@settings(max_examples=30)
@given(samplings())
def test_samples_with_factors_merge_and_come_back_from_their_text(drawn: tuple[Sampling, list[History]]) -> None:
    sampling, leads = replace(drawn[0], half_lives=True), drawn[1]
    whole = reduced(sampling, leads)
    parts = [reduced(sampling, leads[nth::2]) for nth in range(2)]

    assert parts[0].merge(parts[1]).paced == whole.paced
    assert Sample.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole
    assert reduced(replace(sampling, half_lives=False), leads).paced == {}
