"""Whom an event names, which of its ids claim which, and how people write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from leadscore.core.identity import (
    KINDS,
    MAX_EXTERNAL_IDS,
    Identity,
    Ownership,
    claimed_by,
    display_id,
    identities,
    identity_of,
    meanings,
    strength,
)
from leadscore.core.instants import parse_instant
from leadscore.core.ruleset import IdentityPolicy
from leadscore.normalising import normalise_event

NOON = "2026-03-01T12:00:00.000Z"
AT_NOON = parse_instant(NOON)
STRICT = IdentityPolicy()
OPEN = IdentityPolicy(email=True, external=frozenset({"crm", "phone"}))


def normal(kind: str, **fields: object) -> dict[str, Any]:
    """A normalised event with the given fields, as ingest makes it."""
    return normalise_event(
        {"type": kind, "event": "x", "messageId": "m1", "timestamp": NOON, **fields}, received_at=AT_NOON + 1
    )


def external(*entries: Mapping[str, object]) -> dict[str, object]:
    return {"externalIds": list(entries)}


CRM = {"type": "crm", "id": "c1"}
PHONE = {"type": "phone", "id": "+43 1"}


# --- Whom an event names.


@pytest.mark.parametrize("kind", ["track", "page", "screen", "identify", "alias"])
def test_user_and_visitor_identify_whatever_the_ruleset_says(kind: str) -> None:
    event = normal(kind, userId="u1", anonymousId="a1")
    for policy in (STRICT, OPEN):
        assert identities(event, policy) == ("user:u1", "anonymous:a1")


def test_an_account_is_nobody() -> None:
    assert identities(normal("group", anonymousId="a1", groupId="g1"), OPEN) == ("anonymous:a1",)


def test_all_kinds_come_strongest_first_and_each_identity_once() -> None:
    event = normal(
        "identify",
        anonymousId="a1",
        traits={"email": "ada@acme.example"},
        context=external(PHONE, CRM, PHONE, {**PHONE, "type": "crm"}),
        userId="u1",
    )
    assert identities(event, OPEN) == (
        "user:u1",
        "external:phone:+43 1",
        "external:crm:c1",
        "external:crm:+43 1",
        "email:ada@acme.example",
        "anonymous:a1",
    )


def test_the_former_identity_of_an_alias_is_a_visitor() -> None:
    alias = normal("alias", userId="u1", previousId="before")
    assert identities(alias, OPEN) == ("user:u1", "anonymous:before")
    beside = normal("alias", userId="u1", anonymousId="a1", previousId="before")
    assert identities(beside, OPEN) == ("user:u1", "anonymous:a1", "anonymous:before")


def test_a_visitor_that_is_its_own_former_identity_is_named_once() -> None:
    alias = normal("alias", userId="u1", anonymousId="a1")
    assert alias["previousId"] == "a1"
    assert identities(alias, OPEN) == ("user:u1", "anonymous:a1")


def test_one_id_in_two_roles_is_two_identities() -> None:
    event = normal("identify", userId="a@b", anonymousId="a@b", traits={"email": "a@b"})
    assert identities(event, OPEN) == ("user:a@b", "email:a@b", "anonymous:a@b")


# --- E-mail.


def test_an_address_identifies_by_policy_alone() -> None:
    event = normal("identify", anonymousId="a1", traits={"email": "ada@acme.example"})
    assert identities(event, OPEN) == ("email:ada@acme.example", "anonymous:a1")
    assert identities(event, OPEN._replace(email=False)) == ("anonymous:a1",)


@pytest.mark.parametrize("kind", ["track", "page", "screen", "group", "alias"])
def test_an_address_identifies_in_identify_alone(kind: str) -> None:
    event = normal(kind, userId="u1", previousId="a1", groupId="g1", properties={"email": "a@b"})
    event["traits"] = {"email": "office@acme.example"}
    assert not any(identity.startswith("email:") for identity in identities(event, OPEN))


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("ada@acme.example", "ada@acme.example"),
        (" Ada@ACME.example\n", "ada@acme.example"),
        ("ÉLAN@acme.example", "élan@acme.example"),
        ('"a@b"@acme.example', '"a@b"@acme.example'),
        ("a@" + "b" * 254, "a@" + "b" * 254),
    ],
)
def test_an_address_is_the_same_in_any_case(sent: str, kept: str) -> None:
    assert identities(normal("identify", userId="u1", traits={"email": sent}), OPEN) == ("user:u1", f"email:{kept}")


@pytest.mark.parametrize(
    "sent",
    [None, "", "ada", "@", "@acme", "ada@", " @ ", "a@b, c@d", "a b@c", 7, True, ["a@b"], {"a@b": 1}, "a@" + "b" * 255],
)
def test_what_is_no_address_identifies_nobody(sent: object) -> None:
    assert identities(normal("identify", userId="u1", traits={"email": sent}), OPEN) == ("user:u1",)


def test_an_identify_without_traits_names_no_address() -> None:
    assert identities(normal("identify", userId="u1"), OPEN) == ("user:u1",)


# --- External ids.


@pytest.mark.parametrize("kind", ["track", "page", "screen", "identify"])
def test_external_ids_of_the_listed_types_identify_in_every_event(kind: str) -> None:
    event = normal(kind, anonymousId="a1", context=external(CRM, {"type": "ad", "id": "1"}, {"type": "CRM", "id": "2"}))
    assert identities(event, OPEN) == ("external:crm:c1", "anonymous:a1")
    assert identities(event, OPEN._replace(external=frozenset({"ad"}))) == ("external:ad:1", "anonymous:a1")
    assert identities(event, STRICT) == ("anonymous:a1",)


def test_both_names_of_the_list_are_read() -> None:
    event = normal("track", anonymousId="a1", context={"externalId": [CRM], **external(PHONE)})
    assert identities(event, OPEN) == ("external:phone:+43 1", "external:crm:c1", "anonymous:a1")


def test_an_external_id_of_an_account_is_nobodys() -> None:
    of_account, of_person = ({**CRM, "id": name, "collection": name} for name in ("accounts", "users"))
    event = normal("track", userId="u1", context=external(of_account, of_person))
    assert identities(event, OPEN) == ("user:u1", "external:crm:users")


@pytest.mark.parametrize("nobody", ["", "null", "-1", "anonymous", "000", 0, None])
def test_an_external_id_that_stands_for_nobody_does_not_identify(nobody: object) -> None:
    event = normal("track", userId="u1", context=external({"type": "crm", "id": nobody}))
    assert identities(event, OPEN) == ("user:u1",)


@pytest.mark.parametrize(
    "context",
    [
        {"externalIds": "c1"},
        {"externalIds": {"type": "crm", "id": "c1"}},
        {"externalIds": ["c1", None, 7, ["crm", "c1"]]},
        {"externalIds": [{"id": "c1"}, {"type": None, "id": "c1"}]},
        {"externalIds": [{"type": ["crm"], "id": "c1"}, {"type": {}, "id": "c1"}]},
        {"externalIds": None},
    ],
)
def test_what_is_no_external_id_identifies_nobody(context: dict[str, object]) -> None:
    assert identities(normal("track", userId="u1", context=context), OPEN) == ("user:u1",)


def test_what_one_event_names_is_bounded() -> None:
    entries = [{"type": "crm", "id": f"c{i}"} for i in range(MAX_EXTERNAL_IDS + 1)]
    named = identities(normal("track", userId="u1", context=external(*entries)), OPEN)
    assert named == ("user:u1", *(f"external:crm:c{i}" for i in range(MAX_EXTERNAL_IDS)))


# --- Which identity claims which.


def test_each_weaker_identity_is_claimed_for_the_strongest_at_the_time_of_the_event() -> None:
    event = normal("identify", userId="u1", anonymousId="a1", traits={"email": "a@b"}, context=external(CRM))
    ownership = Ownership(AT_NOON, "m1", "user:u1")
    assert claimed_by(event, OPEN) == dict.fromkeys(("external:crm:c1", "email:a@b", "anonymous:a1"), ownership)


def test_an_alias_claims_both_names_of_the_visitor() -> None:
    alias = normal("alias", userId="u1", anonymousId="a1", previousId="before")
    assert set(claimed_by(alias, STRICT)) == {"anonymous:a1", "anonymous:before"}


def test_without_a_user_the_strongest_there_is_claims_the_rest() -> None:
    event = normal("identify", anonymousId="a1", traits={"email": "a@b"})
    assert {claim.owner for claim in claimed_by(event, OPEN).values()} == {"email:a@b"}
    event = normal("identify", anonymousId="a1", traits={"email": "a@b"}, context=external(CRM))
    assert {name: claim.owner for name, claim in claimed_by(event, OPEN).items()} == {
        "email:a@b": "external:crm:c1",
        "anonymous:a1": "external:crm:c1",
    }


def test_claims_of_three_events_make_a_chain_of_four() -> None:
    events = [
        normal("identify", anonymousId="a1", traits={"email": "a@b"}),
        normal("identify", anonymousId="a2", traits={"email": "a@b"}, context=external(CRM)),
        normal("track", userId="u1", context=external(CRM)),
    ]
    owners = {name: claim.owner for event in events for name, claim in claimed_by(event, OPEN).items()}
    chain = ["anonymous:a1"]
    while chain[-1] in owners:
        chain.append(owners[chain[-1]])
    assert chain == ["anonymous:a1", "email:a@b", "external:crm:c1", "user:u1"]


def test_a_lone_identity_claims_nothing() -> None:
    assert claimed_by(normal("track", userId="u1"), OPEN) == {}
    assert claimed_by(normal("track", anonymousId="a1"), OPEN) == {}


def test_identities_of_one_strength_do_not_claim_each_other() -> None:
    event = normal("track", anonymousId="a1", context=external(CRM, PHONE))
    assert claimed_by(event, OPEN) == {"anonymous:a1": Ownership(AT_NOON, "m1", "external:crm:c1")}


def test_no_event_claims_a_user() -> None:
    alias = normal("alias", userId="u2", previousId="u1")
    assert set(claimed_by(alias, OPEN)) == {"anonymous:u1"}


def test_the_earlier_claim_is_the_smaller_and_of_one_instant_the_smaller_message_id() -> None:
    claims = [Ownership(2, "a", "user:a"), Ownership(1, "z", "user:b"), Ownership(1, "m", "user:z")]
    assert min(claims).owner == "user:z"


def test_the_kinds_fall_in_strength() -> None:
    strengths = [strength(identity_of(kind, "a:b")) for kind in KINDS]
    assert strengths == sorted(set(strengths), reverse=True)
    assert KINDS == ("user", "external", "email", "anonymous")


# --- How people write them.


@pytest.mark.parametrize(
    ("identity", "shown"),
    [
        ("user:ada", "ada"),
        ("user:a:b", "a:b"),
        ("user:email", "email"),
        ("user:anonymous:x", "user:anonymous:x"),
        ("user:user:x", "user:user:x"),
        ("anonymous:x", "anonymous:x"),
        ("anonymous:user:x", "anonymous:user:x"),
        ("email:ada@acme.example", "email:ada@acme.example"),
        ("external:crm:c1", "external:crm:c1"),
    ],
)
def test_what_is_shown_is_understood(identity: Identity, shown: str) -> None:
    assert display_id(identity) == shown
    assert meanings(shown)[0] == identity


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("ada", ["user:ada", "anonymous:ada"]),
        ("Ada@Acme.example", ["user:Ada@Acme.example", "email:ada@acme.example", "anonymous:Ada@Acme.example"]),
        ("crm:c1", ["user:crm:c1", "external:crm:c1", "anonymous:crm:c1"]),
        ("anonymous:x", ["anonymous:x", "user:anonymous:x", "anonymous:anonymous:x"]),
        ("email: Ada@B", ["email:ada@b", "user:email: Ada@B", "anonymous:email: Ada@B"]),
        ("email:ada", ["user:email:ada", "anonymous:email:ada"]),
    ],
)
def test_a_text_means_every_identity_that_it_may_be(text: str, meant: list[Identity]) -> None:
    assert meanings(text) == meant
