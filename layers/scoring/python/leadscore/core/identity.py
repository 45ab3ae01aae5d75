"""Who an event is about: its identities, and which of them stand for which.

An identity is written `kind:value`. Kinds have a strength: user over external over email over anonymous. An event is
about its strongest identity, and each weaker one in it is *claimed* by that one: from then on what is known of the
weaker counts for the stronger.

    anonymous:8f2e --claimed by--> email:ada@acme.example --claimed by--> user:ada

Invariant: an identity belongs to whoever claimed it first by (event time, message id), so the forest of claims is a
function of the set of events and of nothing else. Claims go to a stronger kind alone: there are no cycles, a chain
is at most four long, and two users are never joined by anything that they share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from leadscore.core.instants import Millis, parse_instant

if TYPE_CHECKING:
    from leadscore.core.ruleset import IdentityPolicy

Identity = str
Event = Mapping[str, object]

USER, EXTERNAL, EMAIL, ANONYMOUS = "user", "external", "email", "anonymous"
KINDS = (USER, EXTERNAL, EMAIL, ANONYMOUS)
# Where Segment and RudderStack put the ids that other systems have for the person.
EXTERNAL_ID_LISTS = ("externalIds", "externalId")
# What one event can claim is bounded: each claim is a write.
MAX_EXTERNAL_IDS = 20
MAX_EMAIL_BYTES = 256


class Ownership(NamedTuple):
    """Whose an identity is, and by which event; of several the smallest holds."""

    time: Millis
    event: str
    owner: Identity


def identity_of(kind: str, value: str) -> Identity:
    """Return the identity that one id is."""
    return f"{kind}:{value}"


def pseudonym(identity: Identity) -> str:
    """Return what stands for an identity where its own text must not: 32 hex digits, always the same ones."""
    return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def strength(identity: Identity) -> int:
    """Return how strongly an identity stands for a person: the larger the stronger."""
    return -KINDS.index(identity.partition(":")[0])


def identities(event: Event, policy: IdentityPolicy) -> tuple[Identity, ...]:
    """Return the identities that an event names, strongest first, each once; at least one for a normalised event."""
    return tuple(dict.fromkeys(_named(event, email=policy.email, external=policy.external)))


def possible_identities(event: Event) -> frozenset[Identity]:
    """Return the identities that an event names under one policy or another."""
    return frozenset(_named(event, email=True, external=None))


def claimed_by(event: Event, policy: IdentityPolicy) -> dict[Identity, Ownership]:
    """Return what the event claims: each weaker identity that it names, for its strongest."""
    strongest, *others = identities(event, policy)
    if not others:
        return {}
    ownership = Ownership(parse_instant(str(event["timestamp"])), str(event["messageId"]), strongest)
    return {identity: ownership for identity in others if strength(identity) < strength(strongest)}


def display_id(identity: Identity) -> str:
    """Return the id that people see, one for each identity: a user's own id, and any other identity as it is.

    A user's id that looks like an identity is shown with its kind as well.
    """
    kind, _, value = identity.partition(":")
    return value if kind == USER and not _names_kind(value) else identity


def meanings(text: str) -> list[Identity]:
    """Return the identities that a person may mean by `text`, likeliest first.

    The first one for a `display_id` is the identity that it shows.
    """
    kind, _, value = text.partition(":")
    if _names_kind(text):
        typed = _emails(value) if kind == EMAIL else [text]
        return [*typed, identity_of(USER, text), identity_of(ANONYMOUS, text)]
    external = [identity_of(EXTERNAL, text)] if ":" in text else []
    return [identity_of(USER, text), *external, *_emails(text), identity_of(ANONYMOUS, text)]


def _names_kind(text: str) -> bool:
    kind, colon, _ = text.partition(":")
    return bool(colon) and kind in KINDS


def _named(event: Event, *, email: bool, external: frozenset[str] | None) -> Iterator[Identity]:
    """Yield what the event names, strongest first; `external` None accepts every type."""
    if event.get("userId"):
        yield identity_of(USER, str(event["userId"]))
    yield from _external(event, external)
    if email and event["type"] == "identify":
        traits = event.get("traits")
        yield from _emails(traits.get("email") if isinstance(traits, Mapping) else None)
    # `previousId` is what the person was called before it had a user id.
    yield from (identity_of(ANONYMOUS, str(event[key])) for key in ("anonymousId", "previousId") if event.get(key))


def _external(event: Event, accepted: frozenset[str] | None) -> Iterator[Identity]:
    context = event.get("context")
    if accepted == frozenset() or not isinstance(context, Mapping):
        return
    lists = [context.get(name) for name in EXTERNAL_ID_LISTS]
    entries = [entry for listed in lists if isinstance(listed, list) for entry in listed]
    for entry in entries[:MAX_EXTERNAL_IDS]:
        # Segment knows ids of accounts too; those would join everybody in one.
        if isinstance(entry, Mapping) and entry.get("collection", "users") == "users":
            kind, value = entry.get("type"), entry.get("id")
            if isinstance(kind, str) and (accepted is None or kind in accepted) and isinstance(value, str):
                yield identity_of(EXTERNAL, f"{kind}:{value}")


def _emails(text: object) -> list[Identity]:
    """Return the identity that an e-mail address is in whatever case it is written, nothing for what is no address."""
    address = text.strip().lower() if isinstance(text, str) else ""
    local, _, domain = address.rpartition("@")
    is_one = (
        local
        and domain
        and len(address.split()) == 1
        and len(address.encode("utf-8", "surrogatepass")) <= MAX_EMAIL_BYTES
    )
    return [identity_of(EMAIL, address)] if is_one else []
