"""The section `nurture` of a ruleset: which quiet leads machines are told of, how often, and of how many on a day.

Protects "nothing is ever ignored" where a policy could silently find nobody: a fit that no lead can have, a tier with
none above it to be lifted into.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadscore.core.instants import DAY, Millis
from leadscore.core.ruleset import NurturePolicy
from leadscore.core.sections import LARGEST_NUMBER, Section, open_section, suggest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadscore.core.patterns import Problem
    from leadscore.core.ruleset import Tier

DEFAULT_SILENCE = 14 * DAY
DEFAULT_PERIOD = 30 * DAY
DEFAULT_DAILY = 100
MOST_DAILY = 1000


def parse_nurture(
    section: Section, tiers: Sequence[Tier], most_fit: float, problems: list[Problem]
) -> NurturePolicy | None:
    """Return the policy of the ruleset that `section` is, None where it has none.

    `most_fit` is what the group `fit` can give at most. Whatever is wrong is in `problems`.
    """
    if not section.has("nurture"):
        return None
    inner = open_section("nurture", section.get("nurture"), "nurture", problems)
    if inner is None:
        return None
    inner.require("min_fit")
    min_fit = inner.number("min_fit", -LARGEST_NUMBER, LARGEST_NUMBER)
    if min_fit is not None and min_fit > most_fit:
        inner.reject("min_fit", f"can never be reached: the group `fit` gives {most_fit:g} points at most")
    daily = inner.whole("daily", 1, MOST_DAILY)
    return NurturePolicy(
        tier=_parse_tier(inner, tiers),
        min_fit=min_fit or 0,
        silent_for=_parse_duration(inner, "silent_for", DEFAULT_SILENCE),
        every=_parse_period(inner),
        daily=DEFAULT_DAILY if daily is None else daily,
    )


def _parse_tier(section: Section, tiers: Sequence[Tier]) -> str:
    below = [tier.name for tier in tiers[1:]]
    if not section.has("tier"):
        return below[-1] if below else ""
    name = section.get("tier")
    if isinstance(name, str) and name in below:
        return name
    hint = suggest(name, below) if isinstance(name, str) else ""
    section.reject("tier", f"must be a tier below the highest{hint or f': {", ".join(below)}'}")
    return ""


def _parse_period(section: Section) -> Millis:
    length = _parse_duration(section, "every", DEFAULT_PERIOD)
    if length < DAY:
        section.reject("every", "must be a day (1d) or more: leads are looked for once a day")
    return length


def _parse_duration(section: Section, name: str, default: Millis) -> Millis:
    length = section.duration(name)
    return default if length is None else length
