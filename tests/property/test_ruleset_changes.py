"""No difference between two rulesets goes untold, and none is told that is none."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import event, given
from hypothesis import strategies as st

from leadscore import InvalidRuleset, Ruleset, parse_ruleset
from leadscore.core.ruleset_changes import find_changes
from tests.property.strategies import JsonObject, documents


def meaning(ruleset: Ruleset) -> Ruleset:
    """Return the ruleset without how its document is written; what states keep follows from the rest."""
    return replace(ruleset, version="", document="", state_digest="")


@st.composite
def edited(draw: st.DrawFn) -> tuple[JsonObject, JsonObject]:
    """A document, and another with one of its criteria left out, or put last, or given other fields."""
    document: JsonObject = draw(documents())
    criteria = list(document["criteria"])
    place = draw(st.integers(0, len(criteria) - 1))
    taken = criteria.pop(place)
    field, value = draw(
        st.sampled_from(
            [("points", 7), ("label", "Other"), ("max", 3), ("within", "3d"), ("half_life", "5d"), ("limit", 2)]
        )
    )
    what = draw(st.sampled_from(["drop", "last", "edit", "edit", "nothing"]))
    if what == "last":
        criteria.append(taken)
    elif what != "drop":
        criteria.insert(place, {**taken, field: value} if what == "edit" else taken)
    return document, {**document, "criteria": criteria}


@given(st.one_of(edited(), st.tuples(documents(), documents())))
def test_nothing_is_told_exactly_where_two_rulesets_mean_the_same(pair: tuple[JsonObject, JsonObject]) -> None:
    try:
        old, new = (parse_ruleset(document) for document in pair)
    except InvalidRuleset:
        event("invalid")
        return
    same = meaning(old) == meaning(new) and list(old.groups) == list(new.groups)
    event(f"same: {same}")

    changes = find_changes(old, new)

    assert (changes == []) == same
    assert len(set(changes)) == len(changes)
    assert all(change.before != change.after for change in changes if change.kind == "changed")
    assert json.loads(json.dumps([change.to_dict() for change in changes])) == [one.to_dict() for one in changes]
    back = find_changes(new, old)
    assert {(one.part, one.field) for one in back} == {(one.part, one.field) for one in changes}
