"""Seeded Segment-shaped events and criteria patterns: the one input that every engine of the benchmark gets.

Names and paths are skewed as in real traffic: few are frequent and most are rare. Patterns draw from the same pools, so
that some match often and most match rarely. Equal seeds give equal workloads.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

Document = dict[str, object]

SECTIONS = ("docs", "blog", "product", "customers", "solutions", "help", "guides", "legal", "events", "about")
WORDS = (
    "pricing", "security", "sso", "api", "start", "import", "export", "teams", "billing", "audit", "webhooks",
    "migration", "limits", "roles", "alerts", "reports", "mobile", "desktop", "partners", "roadmap", "status",
)  # fmt: skip
VERBS = ("Viewed", "Created", "Updated", "Deleted", "Shared", "Invited", "Exported", "Started", "Upgraded", "Attended")
NOUNS = (
    "Project", "Report", "Dashboard", "Trial", "Plan", "Team", "User", "Webinar", "Invoice", "Workflow", "Template",
    "Integration", "Comment", "File", "Segment", "Campaign", "Key", "Filter",
)  # fmt: skip
PLANS = ("free", "starter", "team", "business", "enterprise")
TITLES = (
    "VP Engineering", "CEO", "CTO", "Software Engineer", "Head of Growth", "Product Manager", "Student", "Designer",
    "VP Sales", "Data Scientist", "Founder", "Marketing Manager", "Support Agent", "IT Director",
)  # fmt: skip
INDUSTRIES = ("software", "finance", "retail", "health", "education", "media", "energy", "logistics", "public")
COUNTRIES = ("US", "DE", "GB", "FR", "NL", "IN", "BR", "JP", "CA", "AU", "SE", "ES")
SOURCES = ("google", "newsletter", "linkedin", "partner", "twitter", "g2", "bing", "podcast")
MEDIA = ("cpc", "email", "social", "organic", "referral")
LOCALES = ("en-US", "en-GB", "de-DE", "fr-FR", "nl-NL", "ja-JP", "pt-BR")
FEATURES = tuple(f"{word}-{i}" for word in WORDS for i in range(6))
AGENTS = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5",
)
COMPANIES = tuple(f"{word}{i}" for i in range(12) for word in ("acme", "globex", "initech", "umbrella", "hooli"))


def skewed[T](random: Random, pool: tuple[T, ...]) -> T:
    """Return one of `pool`; the first ones are much more frequent than the last."""
    return pool[int(len(pool) * random.random() ** 3)]


class EventSource:
    """Makes events of 0.5 to 1 KB as JSON: 55% page, 37% track, 8% identify."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def take(self, count: int) -> list[bytes]:
        return [json.dumps(self._make_event(), separators=(",", ":")).encode() for _ in range(count)]

    def _make_event(self) -> Document:
        random = self._random
        make = random.choices((self._make_page, self._make_track, self._make_identify), (55, 37, 8))[0]
        path = make_path(random)
        day, minute, milli = random.randint(10, 28), random.randint(10, 59), random.randint(100, 999)
        stamp = f"2026-0{random.randint(1, 9)}-{day}T12:{minute}:07.{milli}Z"
        event: Document = {
            "messageId": f"ajs-next-{random.getrandbits(128):032x}",
            "timestamp": stamp,
            "receivedAt": stamp,
        }
        event["anonymousId"] = f"{random.getrandbits(128):032x}"
        if random.random() < 0.4:
            event["userId"] = f"usr_{random.randint(1, 90_000)}"
        event.update(make(path))
        event["context"] = self._make_context(path)
        return event

    def _make_context(self, path: str) -> Document:
        random = self._random
        context: Document = {
            "ip": f"{random.randint(1, 223)}.{random.randint(0, 255)}.17.{random.randint(1, 254)}",
            "locale": skewed(random, LOCALES),
            "userAgent": skewed(random, AGENTS),
            "library": {"name": "analytics.js", "version": "npm:next-1.70.0"},
            "page": {"path": path, "url": f"https://app.example.com{path}", "referrer": "https://www.example.com/"},
        }
        if random.random() < 0.3:
            context["campaign"] = {"source": skewed(random, SOURCES), "medium": skewed(random, MEDIA)}
        return context

    def _make_page(self, path: str) -> Document:
        random = self._random
        words = path.strip("/").replace("/", " ").replace("-", " ").title()
        properties: Document = {"path": path, "title": f"{words} | Example", "url": f"https://app.example.com{path}"}
        properties["search"] = f"?ref={skewed(random, SOURCES)}" if random.random() < 0.2 else ""
        return {"type": "page", "name": words, "properties": properties}

    def _make_track(self, _: str) -> Document:
        random = self._random
        properties: Document = {
            "plan": skewed(random, PLANS),
            "feature": skewed(random, FEATURES),
            "seats": random.randint(1, 200),
            "minutes": round(random.expovariate(0.1), 2),
            "value": random.randint(0, 5000),
            "paid": random.random() < 0.3,
        }
        if random.random() < 0.1:
            properties["coupon"] = None
        return {"type": "track", "event": make_event_name(random), "properties": properties}

    def _make_identify(self, _: str) -> Document:
        random = self._random
        company = skewed(random, COMPANIES)
        traits: Document = {
            "email": f"user{random.randint(1, 90_000)}@{company}.example",
            "title": skewed(random, TITLES),
            "plan": skewed(random, PLANS),
            "country": skewed(random, COUNTRIES),
            "company": {"name": company, "industry": skewed(random, INDUSTRIES), "employees": random.randint(1, 5000)},
        }
        return {"type": "identify", "traits": traits}


def make_path(random: Random) -> str:
    """Return a page path: one in five names a single item, so that some texts are never seen twice."""
    if random.random() < 0.2:
        return random.choice(("/pricing", "/pricing/enterprise", "/signup", "/"))
    path = f"/{skewed(random, SECTIONS)}/{skewed(random, WORDS)}"
    if random.random() < 0.5:
        path += f"/{skewed(random, WORDS)}"
    if random.random() < 0.25:
        path += f"-{random.randint(1, 50_000)}"
    return path + random.choices(("", ".html", ".pdf"), (80, 15, 5))[0]


def make_event_name(random: Random) -> str:
    return f"{skewed(random, NOUNS)} {skewed(random, VERBS)}"


def make_patterns(count: int, seed: int) -> list[Document]:
    """Return `count` event patterns with 2.9 clauses on average."""
    random = Random(seed)
    shapes: tuple[Callable[[Random], Document], ...] = (_page_pattern, _track_pattern, _identify_pattern)
    return [_maybe_or(random, random.choices(shapes, (42, 43, 15))[0]) for _ in range(count)]


def _maybe_or(random: Random, make: Callable[[Random], Document]) -> Document:
    pattern = make(random)
    if random.random() < 0.05:
        pattern["$or"] = [
            {"context": {"campaign": {"source": [skewed(random, SOURCES)]}}},
            {"context": {"locale": [skewed(random, LOCALES), skewed(random, LOCALES)]}},
        ]
    return pattern


def _page_pattern(random: Random) -> Document:
    path = make_path(random)
    word = skewed(random, WORDS)
    choices: tuple[list[object], ...] = (
        [path, make_path(random)],
        [{"prefix": path[: random.randint(4, 24)]}],
        [{"suffix": f"{word}.html"}],
        [{"wildcard": f"/{skewed(random, SECTIONS)}/*{word}*"}],
        [{"wildcard": f"*{word}-{random.randint(1, 99)}*"}],
    )
    properties: Document = {"path": random.choices(choices, (55, 25, 6, 9, 5))[0]}
    pattern: Document = {"type": ["page"], "properties": properties}
    if random.random() < 0.15:
        properties["search"] = [{"anything-but": [""]}]
    if random.random() < 0.12:
        properties["title"] = [{"equals-ignore-case": f"{word} | example"}, {"prefix": word.title()}]
    _add_context(random, pattern)
    return pattern


def _track_pattern(random: Random) -> Document:
    pattern: Document = {"type": ["track"], "event": [make_event_name(random)]}
    if random.random() < 0.15:
        pattern["event"] = [{"prefix": f"{skewed(random, NOUNS)} "}]
    low = random.randint(0, 40) * 5
    choices: tuple[tuple[str, list[object]], ...] = (
        ("plan", [skewed(random, PLANS), skewed(random, PLANS)]),
        ("plan", [{"anything-but": [skewed(random, PLANS)]}]),
        ("feature", [skewed(random, FEATURES)]),
        ("feature", [{"prefix": f"{skewed(random, WORDS)}-"}]),
        ("seats", [{"numeric": [">=", low, "<", low + random.randint(1, 20) * 5]}]),
        ("minutes", [{"numeric": [">", random.randint(1, 30)]}]),
        ("value", [{"numeric": [">=", random.randint(0, 50) * 100]}]),
        ("paid", [True]),
        ("coupon", [{"exists": random.random() < 0.5}]),
    )
    picks = random.choices(choices, (20, 8, 30, 6, 12, 6, 6, 6, 6), k=random.choice((0, 1, 1, 2)))
    if picks:
        pattern["properties"] = dict(picks)
    _add_context(random, pattern)
    return pattern


def _identify_pattern(random: Random) -> Document:
    low = random.randint(1, 40) * 50
    choices: tuple[tuple[str, object], ...] = (
        ("title", [{"equals-ignore-case": skewed(random, TITLES)}, {"wildcard": f"*{skewed(random, TITLES)[:2]}*"}]),
        ("title", [skewed(random, TITLES), skewed(random, TITLES)]),
        ("country", [skewed(random, COUNTRIES), skewed(random, COUNTRIES)]),
        ("country", [{"anything-but": [skewed(random, COUNTRIES)]}]),
        ("plan", [skewed(random, PLANS)]),
        ("email", [{"suffix": f"@{skewed(random, COMPANIES)}.example"}]),
        ("company", {"employees": [{"numeric": [">=", low, "<=", low * 3]}]}),
        ("company", {"industry": [skewed(random, INDUSTRIES)]}),
    )
    picks = random.choices(choices, (10, 15, 15, 5, 15, 10, 20, 10), k=random.choice((1, 2, 2, 3)))
    return {"type": ["identify"], "traits": dict(picks)}


def _add_context(random: Random, pattern: Document) -> None:
    chance = random.random()
    if chance < 0.08:
        pattern["context"] = {"campaign": {"source": [skewed(random, SOURCES)], "medium": [skewed(random, MEDIA)]}}
    elif chance < 0.15:
        pattern["context"] = {"campaign": {"source": [{"exists": True}]}}
    elif chance < 0.25:
        pattern["context"] = {"locale": [skewed(random, LOCALES), skewed(random, LOCALES)]}
