"""The law of candidate facts: bounded as they are, segments in any split and order give what one pass gives."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from leadscore.learning import facts
from leadscore.learning.facts import Facts, FactTally

NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
VALUES = st.one_of(st.sampled_from(["x", "y", "true", "1", ""]), st.booleans(), st.integers(0, 2), st.none())
TRAITS = st.dictionaries(NAMES, st.one_of(VALUES, VALUES, st.dictionaries(NAMES, VALUES, max_size=2)), max_size=3)
EVENTS = st.one_of(
    NAMES.map(lambda name: {"type": "track", "event": name}),
    NAMES.map(lambda name: {"type": "screen", "name": name}),
    st.tuples(NAMES, NAMES).map(lambda path: {"type": "page", "properties": {"path": f"/{path[0]}/{path[1]}"}}),
    st.just({"type": "page"}),
)
LEADS = st.lists(st.tuples(st.lists(EVENTS, max_size=3), TRAITS, TRAITS, st.booleans()), max_size=8)

type Lead = tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any], bool]


def counted(leads: Iterable[Lead]) -> Facts:
    tally = FactTally(frozenset({("a",), ("b", "c"), ("account", "d")}))
    for events, traits, account, converted in leads:
        tally.add(events, traits, account, converted=converted)
    return tally.facts()


@given(LEADS, st.lists(st.integers(0, 2), min_size=8, max_size=8), st.integers(1, 4), st.integers(1, 4))
def test_bounded_facts_of_segments_add_up_to_those_of_one_pass(
    leads: list[Lead], placed: list[int], values: int, traits: int
) -> None:
    with (
        patch.object(facts, "MOST_VALUES", values),
        patch.object(facts, "MOST_NAMES", values),
        patch.object(facts, "MOST_TRAITS", traits),
    ):
        whole = counted(leads)
        one, two, three = (
            counted([lead for lead, place in zip(leads, placed, strict=False) if place == part]) for part in range(3)
        )
        assert one.merge(two, three) == three.merge(one.merge(two)) == two.merge(three).merge(one) == whole
    assert Facts.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole
    assert all(len(found) <= values for found in whole.found.values())
    assert len([kind for kind in whole.found if kind.startswith("trait: ")]) <= traits
    assert not {"trait: a", "trait: b.c", "trait: account.d"} & whole.found.keys()


@given(LEADS)
def test_every_fact_that_is_kept_counts_all_leads_that_have_it(leads: list[Lead]) -> None:
    whole = counted(leads)
    for name, counts in whole.named(1).items():
        having = [lead for lead in leads if name in counted([lead]).named(1)]
        assert counts == (len(having), sum(converted for *_, converted in having))
    assert whole.cut == frozenset()
