"""A small, seeded week of a product-led company: people who look around, some who try the product, few who buy.

Every person is invented; the same seed and instant give the same week.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

TITLES = (
    "Chief Executive Officer",
    "VP Engineering",
    "VP Sales",
    "Engineering Manager",
    "Developer",
    "Student",
    "Analyst",
)
COMPANIES = (
    ("Acme", 300), ("Initech", 120), ("Globex", 2400), ("Hooli", 9000), ("Umbrella", 450),
    ("Stark", 60), ("Wayne", 210), ("Wonka", 18), ("Cyberdyne", 140), ("Tyrell", 35),
)  # fmt: skip
FIRST_NAMES = (
    "Ada",
    "Alan",
    "Barbara",
    "Donald",
    "Edsger",
    "Frances",
    "Grace",
    "Hedy",
    "John",
    "Katherine",
    "Ken",
    "Radia",
)
LAST_NAMES = (
    "Allen",
    "Dijkstra",
    "Hopper",
    "Johnson",
    "Kernighan",
    "Knuth",
    "Lamarr",
    "Liskov",
    "Perlman",
    "Ritchie",
    "Turing",
)
PAGES = ("/", "/pricing", "/docs", "/blog/launch", "/about", "/customers")
FEATURES = ("export", "share", "dashboard", "api")
WORKED_EXAMPLE = "worked-example"

Way = Literal["sdk", "bus"]
Kind = Literal["identify", "page", "track"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One event to send: `name` is the event of a track, `content` its properties or an identify's traits."""

    lead: str
    kind: Kind
    at: datetime
    content: dict[str, object]
    name: str = ""
    way: Way = "sdk"


@dataclass(frozen=True, slots=True)
class Week:
    """All facts, oldest first, and the leads they are about."""

    facts: list[Fact]
    leads: frozenset[str] = field(repr=False)


def sample_week(people: int, until: datetime, seed: int = 7) -> Week:
    """Return the facts of the seven days before `until` for `people` leads and the worked example."""
    chance = random.Random(seed)  # noqa: S311  invented people need no secrets
    facts = [fact for i in range(people) for fact in _person(f"user-{i:03d}", chance, until)]
    facts += worked_example(until)
    facts.sort(key=lambda fact: fact.at)
    return Week(facts, frozenset(fact.lead for fact in facts))


def worked_example(until: datetime) -> Iterator[Fact]:
    """Yield the design's own example: an executive at a company of 300 who looked at pricing and started a trial."""
    traits: dict[str, object] = {
        "name": "Grace Hopper",
        "email": "grace@acme.example",
        "title": "VP Engineering",
        "company": {"name": "Acme", "employees": 300},
    }
    yield Fact(WORKED_EXAMPLE, "identify", until - timedelta(hours=30), traits)
    yield Fact(WORKED_EXAMPLE, "page", until - timedelta(hours=29), {"path": "/pricing"})
    yield Fact(WORKED_EXAMPLE, "track", until - timedelta(hours=28), {"plan": "team"}, "Trial Started")


def _person(lead: str, chance: random.Random, until: datetime) -> Iterator[Fact]:
    started = until - timedelta(minutes=chance.randrange(60, 7 * 24 * 60))
    interest = chance.random() ** 2
    name = f"{chance.choice(FIRST_NAMES)} {chance.choice(LAST_NAMES)}"
    company, employees = chance.choice(COMPANIES)
    traits: dict[str, object] = {
        "name": name,
        "email": f"{lead}@{company.lower()}.example",
        "title": chance.choice(TITLES),
        "company": {"name": company, "employees": employees},
    }
    yield Fact(lead, "identify", started, traits)
    for _ in range(1 + int(interest * 4)):
        yield Fact(lead, "page", _later(started, until, chance), {"path": chance.choice(PAGES)})
    if chance.random() < interest:
        yield Fact(lead, "track", _later(started, until, chance), {"plan": "team"}, "Trial Started")
    if chance.random() < interest / 2:
        feature: dict[str, object] = {"feature": chance.choice(FEATURES)}
        yield Fact(lead, "track", _later(started, until, chance), feature, "Feature Used")
    if chance.random() < interest / 3:
        yield Fact(lead, "track", _later(started, until, chance), {}, "Webinar Attended", way="bus")


def _later(start: datetime, until: datetime, chance: random.Random) -> datetime:
    return start + (until - start) * chance.random()
