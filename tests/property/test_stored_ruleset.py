"""Laws of what is stored: the document comes back to the byte, or not at all; braces never stand together."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from leadscore.stored_ruleset import (
    PARAMETER_BYTES,
    PART_BYTES,
    TornRulesetError,
    join_parts,
    read_switch,
    split_document,
    storable_text,
)

TEXTS = st.text(alphabet=st.sampled_from('{}"\\aé[], \u2028'), max_size=40)
TREES = st.recursive(TEXTS | st.integers() | st.none(), lambda tree: st.lists(tree) | st.dictionaries(TEXTS, tree))
# What no compression makes small.
DOCUMENTS = st.builds(
    lambda seed, size: json.dumps({"criteria": seed.randbytes(size).hex()}),
    st.randoms(use_true_random=False),
    st.integers(PARAMETER_BYTES // 2, PARAMETER_BYTES * 4),
)


@given(TREES, st.booleans())
def test_what_is_stored_means_the_same_and_has_no_two_opening_braces(tree: object, ascii_only: bool) -> None:
    document = json.dumps({"a": tree}, ensure_ascii=ascii_only, separators=(",", ":"))
    stored = storable_text(document)
    assert "{{" not in stored
    assert json.loads(stored) == json.loads(document)
    assert storable_text(stored) == stored


@given(DOCUMENTS, st.data())
def test_parts_give_the_document_back_and_anything_else_gives_nothing(document: str, data: st.DataObject) -> None:
    parts = split_document(document)
    assert parts is not None
    values = list(parts.values)
    switch = read_switch(parts.switch([1] * len(values)))
    assert all(0 < len(value) <= PART_BYTES for value in values)
    assert join_parts(switch, values) == document
    assert split_document(document) == parts

    place = data.draw(st.integers(0, len(values) - 1))
    at = data.draw(st.integers(0, len(values[place]) - 5))
    other = data.draw(st.sampled_from("Ab0+").filter(lambda one: one != values[place][at]))
    values[place] = values[place][:at] + other + values[place][at + 1 :]
    # Base64 has bits that mean nothing: what is changed in those alone is the same document.
    with suppress(TornRulesetError):
        assert join_parts(switch, values) == document
