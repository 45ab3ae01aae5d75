"""The law of identities: whatever is claimed, in whatever order it is told, makes one forest of persons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from leadscore.core.identity import (
    KINDS,
    Identity,
    Ownership,
    claimed_by,
    display_id,
    identities,
    meanings,
    strength,
)
from leadscore.core.instants import format_instant
from leadscore.core.ruleset import IdentityPolicy
from leadscore.normalising import normalise_event

JsonObject = dict[str, Any]
Forest = Mapping[Identity, Ownership]

NOW = 1_800_000_000_000
EVERYTHING = IdentityPolicy(email=True, external=frozenset({"crm", "user"}))

# Few values, so that people meet; some look like another kind, or like an identity.
LOOKALIKES = ["user:a", "anonymous:a", "email:a@x", "email", "a@x"]
values = st.sampled_from(["a", "a", "b"]) | st.sampled_from(LOOKALIKES)
visitors = values | st.sampled_from(["c", "d", "e", "f"])
addresses = st.sampled_from(["a@x", "A@x", "a@x ", "email:a@x", "a"])
policies = st.builds(
    IdentityPolicy, email=st.booleans(), external=st.frozensets(st.sampled_from(["crm", "user"]), max_size=2)
)
entries = st.fixed_dictionaries({"type": st.sampled_from(["crm", "crm", "user", "ad"]), "id": st.just("a") | values})
contexts = st.fixed_dictionaries({"externalIds": st.lists(entries, min_size=1, max_size=2)})
raw_events = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["identify", "identify", "identify", "track", "alias"]),
        "anonymousId": visitors,
        "timestamp": st.integers(NOW - 3, NOW).map(format_instant),
        "event": st.just("x"),
        "userId": st.none() | values,
        "previousId": st.none() | visitors,
        "traits": st.none() | st.fixed_dictionaries({"email": addresses}),
        "context": st.none() | contexts,
    }
)


@st.composite
def histories(draw: st.DrawFn) -> list[JsonObject]:
    """Normalised events with distinct message ids in the order of arrival, which is no order of time."""
    raw = draw(st.integers(0, 12).flatmap(lambda count: st.lists(raw_events, min_size=count, max_size=count)))
    names = draw(st.permutations([f"m{i}" for i in range(len(raw))]))
    return [
        # An alias without a user is none.
        normalise_event({**one, "messageId": name, "type": _possible_type(one)}, received_at=NOW)
        for one, name in zip(raw, names, strict=True)
    ]


def _possible_type(raw: JsonObject) -> object:
    return raw["type"] if raw["userId"] else raw["type"].replace("alias", "identify")


def forest_of(events: Iterable[JsonObject], policy: IdentityPolicy, known: Forest | None = None) -> Forest:
    """Give each identity to the smallest claim on it, one event after the other as they arrive."""
    forest = dict(known or {})
    for event in events:
        for claimed, ownership in claimed_by(event, policy).items():
            forest[claimed] = min(ownership, forest.get(claimed, ownership))
    return forest


def chain(forest: Forest, identity: Identity) -> list[Identity]:
    """The identity, its owner, and so on up to the root."""
    steps = [identity]
    while steps[-1] in forest:
        steps.append(forest[steps[-1]].owner)
        assert len(steps) <= len(KINDS), steps
    return steps


def everyone(events: Iterable[JsonObject], policy: IdentityPolicy) -> set[Identity]:
    return {identity for event in events for identity in identities(event, policy)}


@given(histories(), policies)
def test_claims_make_a_forest_of_short_chains_with_one_user_at_most(
    events: list[JsonObject], policy: IdentityPolicy
) -> None:
    forest = forest_of(events, policy)
    users: dict[Identity, set[Identity]] = {}
    for identity in everyone(events, policy):
        steps = chain(forest, identity)
        strengths = [strength(step) for step in steps]
        assert all(weaker < stronger for weaker, stronger in pairwise(strengths))
        users.setdefault(steps[-1], set()).update(step for step in steps if step.startswith("user:"))
    assert all(found <= {root} for root, found in users.items())


@given(histories(), policies, st.randoms(use_true_random=False), st.integers(0, 12))
def test_order_duplicates_and_batches_make_no_difference(
    events: list[JsonObject], policy: IdentityPolicy, random: Any, cut: int
) -> None:
    again = [*events, *events[:cut]]
    random.shuffle(again)
    in_two = forest_of(again[cut:], policy, known=forest_of(again[:cut], policy))
    assert in_two == forest_of(events, policy)


@given(histories(), policies)
def test_an_identity_belongs_to_the_strongest_of_the_first_event_that_names_it_beside_a_stronger(
    events: list[JsonObject], policy: IdentityPolicy
) -> None:
    in_time = sorted(events, key=lambda event: (event["timestamp"], event["messageId"]))
    first: dict[Identity, Identity] = {}
    for event in in_time:
        named = identities(event, policy)
        for identity in named:
            if identity.split(":")[0] != named[0].split(":")[0]:
                first.setdefault(identity, named[0])
    assert {identity: ownership.owner for identity, ownership in forest_of(events, policy).items()} == first


@given(histories(), policies)
def test_every_event_is_about_somebody_and_names_the_strongest_first(
    events: list[JsonObject], policy: IdentityPolicy
) -> None:
    for event in events:
        named = identities(event, policy)
        strengths = [strength(identity) for identity in named]
        assert strengths == sorted(strengths, reverse=True)
        assert len(set(named)) == len(named) >= 1
        assert set(named) <= set(identities(event, EVERYTHING))


@given(histories())
def test_no_two_identities_look_alike_and_each_is_found_by_how_it_looks(events: list[JsonObject]) -> None:
    found = everyone(events, EVERYTHING)
    shown = {identity: display_id(identity) for identity in found}
    assert len(set(shown.values())) == len(found)
    assert all(meanings(text)[0] == identity for identity, text in shown.items())


@given(st.text(max_size=6), st.text(max_size=6))
def test_any_address_is_found_by_how_it_was_written_and_by_how_it_looks(local: str, domain: str) -> None:
    written = f"{local}@{domain}"
    event: JsonObject = {"type": "identify", "userId": "u", "traits": {"email": written}}
    for identity in identities(event, EVERYTHING)[1:]:
        assert identity in meanings(written)
        assert meanings(display_id(identity))[0] == identity
