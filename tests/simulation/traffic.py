"""Small, tangled traffic: few people with many ids, times that tie, traits that come and go, deliveries twice."""

from __future__ import annotations

import random
from datetime import timedelta

from leadscore import parse_ruleset
from leadscore.core.instants import format_instant, from_datetime
from tests.simulation.world import START

RULES = parse_ruleset(
    {
        "goal": {"event": ["Subscription Started"]},
        "tiers": [{"name": "hot", "from": 50}, {"name": "warm", "from": 25}, {"name": "cold"}],
        "groups": {"engagement": {"max": 100, "half_life": "6h"}},
        "identity": {"email": True, "external": ["crm"]},
        "criteria": [
            {"id": "executive", "group": "fit", "traits": {"title": ["CEO"]}, "points": 20},
            {
                "id": "large",
                "group": "fit",
                "traits": {"account": {"size": [{"numeric": [">", 99]}]}},
                "points": 15,
            },
            {"id": "trial", "group": "engagement", "event": {"event": ["Trial Started"]}, "points": 40, "limit": 2},
            {
                "id": "active",
                "group": "product",
                "event": {"event": ["Used"]},
                "at_least": 3,
                "measure": {"distinct": "properties.feature"},
                "points": 15,
                "within": "2d",
            },
            {"id": "left", "group": "engagement", "event": {"event": ["Unsubscribed"]}, "points": -20},
            {"id": "rival", "disqualify": True, "traits": {"title": ["Rival"]}},
        ],
        "alerts": {"tier": "hot", "rearm_below": 40, "cooldown": "1d"},
    }
)
_USERS, _VISITORS, _ADDRESSES, _CUSTOMERS = ("ada", "bob", "cyd"), ("v1", "v2", "v3", "v4"), ("a@x", "b@x"), ("c1",)
_TITLES = ("CEO", "CEO", "VP", "Rival", None)
_NAMES = ("Trial Started", "Used", "Used", "Unsubscribed", "Subscription Started", "Nothing", "Nothing")


def make_traffic(seed: int, length: int) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return the distinct events, and what arrives: the same in another order, some of them several times."""
    chance = random.Random(f"traffic {seed}")
    # Now and then one person says who they are again and again, three take turns on one device, or they are of one
    # account and do what counts: races for one trait, one identity or one rating are rare otherwise.
    make = chance.choices((_event, _claim_of_one, _shared_device, _colleagues), (6, 2, 2, 1))[0]
    events = [make(chance, number) for number in range(length)]
    share = chance.choice((0, 0, 0.1, 0.7))
    repeats = [event for event in events for _ in range(2) if chance.random() < share]
    arriving = events + repeats
    chance.shuffle(arriving)
    return events, arriving


def _claim_of_one(chance: random.Random, number: int) -> dict[str, object]:
    visitor = {"anonymousId": "v1"} if chance.random() < 0.2 else {}
    who = visitor if visitor and chance.random() < 0.5 else {"userId": "ada", **visitor}
    return _stamp(chance, number) | who | {"type": "identify", "traits": {"title": chance.choice(("CEO", "VP"))}}


def _shared_device(chance: random.Random, number: int) -> dict[str, object]:
    who = {"anonymousId": "v1"} | ({"userId": chance.choice(_USERS)} if chance.random() < 0.3 else {})
    return _stamp(chance, number) | who | _content(chance)


def _colleagues(chance: random.Random, number: int) -> dict[str, object]:
    who = _stamp(chance, number) | {"userId": chance.choice(_USERS)}
    if chance.random() < 0.3:
        return who | {"type": "group", "groupId": chance.choice(("acme", "acme", "acme", "beta"))}
    name = chance.choice(("Trial Started", "Used", "Used", "Unsubscribed"))
    return who | {"type": "track", "event": name, "properties": {"feature": chance.choice("abcd")}}


def _stamp(chance: random.Random, number: int) -> dict[str, object]:
    # Few instants, so that times tie and message ids decide.
    at = START - timedelta(minutes=20 * chance.randrange(30))
    event: dict[str, object] = {"messageId": f"m{chance.randrange(100):02d}-{number}"}
    event["timestamp"] = event["receivedAt"] = format_instant(from_datetime(at))
    return event


def _event(chance: random.Random, number: int) -> dict[str, object]:
    event = _stamp(chance, number)
    user = chance.choice(_USERS) if chance.random() < 0.5 else None
    visitor = chance.choice(_VISITORS) if user is None or chance.random() < 0.4 else None
    event |= {key: value for key, value in (("userId", user), ("anonymousId", visitor)) if value}
    if chance.random() < 0.1:
        event["context"] = {"externalIds": [{"type": "crm", "id": chance.choice(_CUSTOMERS)}]}
    return event | _content(chance)


def _content(chance: random.Random) -> dict[str, object]:
    roll = chance.random()
    if roll < 0.35:
        traits: dict[str, object] = {"title": chance.choice(_TITLES)}
        if chance.random() < 0.3:
            traits["email"] = chance.choice(_ADDRESSES)
        return {"type": "identify", "traits": traits}
    if roll < 0.5:
        size = chance.choice((50, 150, 150))
        return {"type": "group", "groupId": chance.choice(("acme", "beta")), "traits": {"size": size}}
    if roll < 0.55:
        return {"type": "alias", "previousId": chance.choice(_VISITORS)}
    return {"type": "track", "event": chance.choice(_NAMES), "properties": {"feature": chance.choice("abcd")}}
