"""A believable product-led company over a year, seeded, with the truth about who converts known.

Leads sign up, look around, use the product and, some of them, subscribe. What makes a lead subscribe is written down
here (`TRUTH`, in log-odds), so that whatever is learned from the events can be held against it. The hand-made points
of `sample_ruleset` are wrong in places on purpose.

Invariant: each lead follows from the company's seed and its own number alone, so that the events can be told one by
one, in time order, without keeping them, and the same company always tells the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from math import exp, log, log1p
from operator import itemgetter
from random import Random
from typing import NamedTuple

from leadscore.core.instants import DAY, Millis, format_instant, from_datetime

Event = dict[str, object]

GOAL = "Subscription Started"
HALF_LIFE: Millis = 30 * DAY
WEEKS = 52
# How fast the interest of a new lead fades, and when nothing more is heard of it.
_DAMPING_DAYS = 20.0
_LIFE_DAYS = 60.0
_DAYS_TO_CONVERT = 7.0
_PILOT = 4_000
_ACTIVITY_SHAPE = 2.0
_FEATURES = ("export", "share", "dashboard", "api", "comments", "automation")
_FIRST_NAMES = ("Ada", "Alan", "Barbara", "Edsger", "Frances", "Grace", "Hedy", "Katherine", "Ken", "Radia")
_LAST_NAMES = ("Allen", "Hopper", "Johnson", "Knuth", "Lamarr", "Liskov", "Perlman", "Ritchie", "Turing", "Wing")
_COMPANIES = ("Acme", "Initech", "Globex", "Hooli", "Umbrella", "Stark", "Wayne", "Wonka", "Cyberdyne", "Tyrell")


class Option(NamedTuple):
    """One of several things a lead can be, no two at once: with its share, and the trait values that say so."""

    criterion: str
    share: float
    values: tuple[object, ...]


class Characteristic(NamedTuple):
    """A trait: its options, and the values of all who have none of them."""

    trait: str
    options: tuple[Option, ...]
    others: tuple[object, ...]


class Behaviour(NamedTuple):
    """Something that leads do: `mean` times in all, if of average activity.

    `limit` occurrences count; with `distinct`, it counts once that many different features were used.
    """

    criterion: str
    kind: str
    name: str
    mean: float
    limit: int = 1
    distinct: int = 0


class Weight(NamedTuple):
    """What a criterion is given by hand, in points, and what it is truly worth, in log-odds at full strength."""

    points: int
    log_odds: float


CHARACTERISTICS = (
    Characteristic(
        "title",
        (
            Option("executive", 0.15, ("Chief Executive Officer", "VP Engineering", "VP Sales")),
            Option("student", 0.12, ("Student",)),
        ),
        ("Engineering Manager", "Developer", "Analyst"),
    ),
    Characteristic(
        "employees",
        (Option("company-size", 0.25, (120, 140, 210, 300, 450)), Option("enterprise", 0.15, (1200, 2400, 9000))),
        (5, 18, 35, 60),
    ),
    Characteristic(
        "industry",
        (Option("software", 0.30, ("software",)), Option("agency", 0.20, ("agency",))),
        ("finance", "retail", "education"),
    ),
    Characteristic("country", (Option("united-states", 0.40, ("US",)),), ("DE", "FR", "GB", "IN")),
    Characteristic("mailbox", (Option("free-mailbox", 0.25, ("gmail.com",)),), ("",)),
)
BEHAVIOURS = (
    Behaviour("pricing-page", "page", "/pricing", 0.6),
    Behaviour("docs-page", "page", "/docs", 1.2, limit=3),
    Behaviour("blog-page", "page", "/blog/launch", 0.8),
    Behaviour("free-trial", "track", "Trial Started", 0.4),
    Behaviour("webinar", "track", "Webinar Attended", 0.3, limit=3),
    Behaviour("teammate", "track", "Teammate Invited", 0.35),
    Behaviour("power-user", "track", "Feature Used", 2.5, distinct=3),
    Behaviour("unsubscribed", "track", "Unsubscribed", 0.15),
)
# Country, industry "agency", documentation and blog tell nothing; the hand-made points believe otherwise, and do not
# know what an invited team mate and real usage are worth.
WEIGHTS: dict[str, Weight] = {
    "executive": Weight(10, 0.7),
    "student": Weight(-5, -0.8),
    "company-size": Weight(8, 0.6),
    "enterprise": Weight(12, 0.3),
    "software": Weight(3, 0.5),
    "agency": Weight(3, 0.0),
    "united-states": Weight(5, 0.0),
    "free-mailbox": Weight(-3, -0.5),
    "pricing-page": Weight(15, 0.9),
    "docs-page": Weight(2, 0.0),
    "blog-page": Weight(8, 0.0),
    "free-trial": Weight(20, 1.2),
    "webinar": Weight(5, 0.4),
    "teammate": Weight(3, 1.1),
    "power-user": Weight(5, 1.3),
    "unsubscribed": Weight(-10, -1.0),
}
TRUTH: Mapping[str, float] = {criterion: weight.log_odds for criterion, weight in WEIGHTS.items()}


@dataclass(frozen=True, slots=True)
class SampleLead:
    """One lead: who it is, what it does and when, and what truly becomes of it. Instants are milliseconds since 1970.

    `holds` are the criteria on traits that hold; `seen` are the instants of each behaviour, rising, and `features` the
    feature of each use. `strengths` are what the criteria count for at `scored`, 1 being one fresh occurrence; those
    that count for nothing are missing. `log_odds` are those of converting after `scored`.
    """

    number: int
    created: Millis
    scored: Millis
    holds: tuple[str, ...]
    seen: dict[str, list[Millis]]
    features: tuple[str, ...]
    strengths: dict[str, float]
    log_odds: float
    converted: Millis | None


@dataclass(frozen=True)
class SampleCompany:
    """A company of `leads` leads who sign up evenly over the year that ends at `until`.

    `base_rate` is the share that converts. Over the year the log-odds of all rise by `base_drift`, and what a criterion
    is worth by what `drift` says of it. Nothing is told that would have happened after `until`.
    """

    leads: int
    until: datetime
    seed: int = 7
    base_rate: float = 0.05
    truth: Mapping[str, float] = field(default_factory=lambda: TRUTH)
    base_drift: float = 0.0
    drift: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def intercept(self) -> float:
        """The log-odds of a lead of whom nothing is known, such that the wanted share of the first leads converts."""
        known = [self._simulate(number).log_odds for number in range(min(self.leads, _PILOT))]
        low, high = -40.0, 40.0
        while high - low > 1e-9:
            middle = (low + high) / 2
            expected = sum(_probability(middle + one) for one in known) / len(known)
            low, high = (middle, high) if expected < self.base_rate else (low, middle)
        return (low + high) / 2

    def people(self) -> Iterator[SampleLead]:
        """Yield the leads with their truth, in the order in which they sign up."""
        for number in range(self.leads):
            yield self.lead(number)

    def lead(self, number: int) -> SampleLead:
        """Return one lead with its truth."""
        return self._simulate(number, self.intercept)

    def events_of(self, lead: SampleLead) -> list[Event]:
        """Return what one lead does as normalised events, oldest first."""
        end = from_datetime(self.until)
        told = [(time, str(event["messageId"]), event) for time, event in self._tell(lead) if time <= end]
        return [event for _, _, event in sorted(told, key=itemgetter(0, 1))]

    def events(self) -> Iterator[Event]:
        """Yield what all leads do as normalised events, oldest first."""
        end = from_datetime(self.until)
        waiting: list[tuple[Millis, str, Event]] = []
        for lead in self.people():
            while waiting and waiting[0][0] < lead.created:
                yield heapq.heappop(waiting)[2]
            for time, event in self._tell(lead):
                if time <= end:
                    heapq.heappush(waiting, (time, str(event["messageId"]), event))
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _simulate(self, number: int, intercept: float = 0.0) -> SampleLead:
        chance = Random(self.seed << 32 | number)  # noqa: S311  invented people need no secrets
        start = from_datetime(self.until - timedelta(weeks=WEEKS))
        created = start + int((number + chance.random()) / self.leads * WEEKS * 7 * DAY)
        scored = created + int(chance.uniform(1, 30) * DAY)
        holds = tuple(filter(None, (_choose(one, chance) for one in CHARACTERISTICS)))
        activity = chance.gammavariate(_ACTIVITY_SHAPE, 1 / _ACTIVITY_SHAPE)
        seen = {one.criterion: _occur(one.mean * activity, created, chance) for one in BEHAVIOURS}
        features = tuple(chance.choice(_FEATURES) for _ in seen["power-user"])
        strengths = dict.fromkeys(holds, 1.0) | _strengths(seen, features, scored)
        year = (scored - start) / (WEEKS * 7 * DAY)
        log_odds = intercept + self.base_drift * year
        for criterion, strength in strengths.items():
            log_odds += (self.truth.get(criterion, 0.0) + self.drift.get(criterion, 0.0) * year) * strength
        converts, delay = chance.random() < _probability(log_odds), chance.expovariate(1 / _DAYS_TO_CONVERT)
        converted = scored + 1 + int(delay * DAY) if converts else None
        return SampleLead(number, created, scored, holds, seen, features, strengths, log_odds, converted)

    def _tell(self, lead: SampleLead) -> Iterator[tuple[Millis, Event]]:
        """Yield the lead's events with their instants, in no order."""
        chance = Random(~(self.seed << 32 | lead.number))  # noqa: S311
        traits = {one.trait: _value(one, lead.holds, chance) for one in CHARACTERISTICS}
        company = chance.choice(_COMPANIES)
        account = f"{company.lower()}-{lead.number}"
        person = f"sample-{self.seed}-{lead.number}"
        name = f"{chance.choice(_FIRST_NAMES)} {chance.choice(_LAST_NAMES)}"
        size = {"employees": traits["employees"], "industry": traits["industry"]}
        place = 0

        def tell(time: Millis, kind: str, **content: object) -> tuple[Millis, Event]:
            nonlocal place
            place += 1
            text = format_instant(time)
            ids = {"userId": person, "anonymousId": f"browser-{person}", "messageId": f"{person}-{place}"}
            return time, {"type": kind, "timestamp": text, "receivedAt": text, **ids, **content}

        yield tell(
            lead.created,
            "identify",
            traits={
                "name": name,
                "email": f"{person}@{traits['mailbox'] or f'{account}.example'}",
                "title": traits["title"],
                "country": traits["country"],
                "company": {"name": company, **size},
            },
        )
        yield tell(lead.created, "group", groupId=account, traits={"name": company, **size})
        for behaviour in BEHAVIOURS:
            for time, content in zip(lead.seen[behaviour.criterion], _contents(behaviour, lead), strict=True):
                yield tell(time, behaviour.kind, **content)
        if lead.converted is not None:
            yield tell(lead.converted, "track", event=GOAL, properties={"plan": "team"})


def sample_ruleset(points: Mapping[str, int] | None = None) -> dict[str, object]:
    """Return the document of the company's ruleset, with `points` in place of the hand-made ones where given.

    Neither a group nor the total is capped, so that the score is the sum that the truth is written in. A criterion of
    0 points is left out.
    """
    given = {criterion: weight.points for criterion, weight in WEIGHTS.items()} | dict(points or {})
    criteria = [one for one in (*_trait_criteria(), *_event_criteria()) if given[str(one["id"])] != 0]
    return {
        "goal": {"event": [GOAL]},
        "tiers": [{"name": "hot", "from": 40}, {"name": "warm", "from": 20}, {"name": "cold"}],
        "groups": {"engagement": {"half_life": "30d"}, "product": {"half_life": "30d"}},
        "total": {"min": -200, "max": 500},
        "criteria": [one | {"points": given[str(one["id"])]} for one in criteria],
    }


def _trait_criteria() -> Iterator[dict[str, object]]:
    for characteristic in CHARACTERISTICS:
        for option in characteristic.options:
            yield {"id": option.criterion, "group": "fit", "traits": _trait_pattern(characteristic.trait, option)}


def _trait_pattern(trait: str, option: Option) -> dict[str, object]:
    if trait == "mailbox":
        return {"email": [{"suffix": f"@{value}"} for value in option.values]}
    if trait in ("employees", "industry"):
        return {"company": {trait: list(option.values)}}
    return {trait: list(option.values)}


def _event_criteria() -> Iterator[dict[str, object]]:
    for one in BEHAVIOURS:
        names = {"properties": {"path": [one.name]}} if one.kind == "page" else {"event": [one.name]}
        pattern: dict[str, object] = {"type": [one.kind], **names}
        criterion: dict[str, object] = {"id": one.criterion, "group": "engagement", "event": pattern}
        if one.distinct:
            measure = {"distinct": "properties.feature"}
            yield criterion | {"group": "product", "measure": measure, "at_least": one.distinct}
        else:
            yield criterion | {"limit": one.limit}


def _choose(characteristic: Characteristic, chance: Random) -> str:
    """Return the criterion of the option that the lead has, empty for none."""
    drawn = chance.random()
    for option in characteristic.options:
        drawn -= option.share
        if drawn < 0:
            return option.criterion
    return ""


def _value(characteristic: Characteristic, holds: Sequence[str], chance: Random) -> object:
    for option in characteristic.options:
        if option.criterion in holds:
            return chance.choice(option.values)
    return chance.choice(characteristic.others)


def _occur(mean: float, created: Millis, chance: Random) -> list[Millis]:
    """Return when something happens that fades with age: a Poisson process with rate mean/d e^(-age/d).

    In the time 1 - e^(-age/d) its rate is constant.
    """
    times = []
    end, passed = 1 - exp(-_LIFE_DAYS / _DAMPING_DAYS), 0.0
    while (passed := passed + chance.expovariate(mean)) < end:
        times.append(created + 1 + int(-_DAMPING_DAYS * log1p(-passed) * DAY))
    return times


def _strengths(seen: Mapping[str, list[Millis]], features: Sequence[str], at: Millis) -> dict[str, float]:
    strengths = {}
    for behaviour in BEHAVIOURS:
        past = [time for time in seen[behaviour.criterion] if time <= at]
        if behaviour.distinct:
            enough = len(set(features[: len(past)])) >= behaviour.distinct
            past = past[-1:] if enough else []
        if past:
            recent = past[-behaviour.limit :]
            strengths[behaviour.criterion] = sum(exp((time - at) / HALF_LIFE * log(2)) for time in recent)
    return strengths


def _contents(behaviour: Behaviour, lead: SampleLead) -> list[dict[str, object]]:
    """Return the content of each occurrence of a behaviour but its name."""
    if behaviour.kind == "page":
        return [
            {"name": behaviour.name, "properties": {"path": behaviour.name}} for _ in lead.seen[behaviour.criterion]
        ]
    named: dict[str, object] = {"event": behaviour.name}
    if behaviour.distinct:
        return [{**named, "properties": {"feature": feature}} for feature in lead.features]
    return [named for _ in lead.seen[behaviour.criterion]]


def _probability(log_odds: float) -> float:
    return 1 / (1 + exp(-log_odds))
