"""Rulesets of any size, for the tests of what large ones meet."""

from __future__ import annotations

import random


def many_criteria(count: int, points: int = 5) -> dict[str, object]:
    """Return a ruleset of so many different criteria, the same each time; of other `points` it is another one."""
    chosen = random.Random(count)
    words = ("pricing", "trial", "webinar", "invite", "export", "docs", "billing", "upgrade", "seat", "report")
    return {
        "goal": {"event": ["Subscription Started"]},
        "tiers": [{"name": "hot", "from": 50}, {"name": "warm", "from": 25}, {"name": "cold"}],
        "criteria": [_criterion(number, chosen.choice(words), chosen.choice(words), points) for number in range(count)],
    }


def _criterion(number: int, one: str, other: str, points: int) -> dict[str, object]:
    common = {"id": f"{one}-{number}", "label": f"{one} {other} {number}", "points": points}
    if number % 3 == 0:
        return {**common, "group": "engagement", "event": {"event": [f"{one.title()} {number}"]}, "half_life": "30d"}
    if number % 3 == 1:
        page = {"type": ["page"], "properties": {"path": [{"prefix": f"/{other}/{number}"}]}}
        return {**common, "group": "engagement", "event": page, "within": "90d"}
    return {**common, "group": "fit", "traits": {"title": [{"wildcard": f"*{other} {number}*"}]}}
