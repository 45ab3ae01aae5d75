"""The section `accounts` of a ruleset: how what people score becomes what their account scores.

Protects "nothing is ever ignored": a field that means nothing in the way that was chosen is a problem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadscore.core.ruleset import RollUp, RollUpKind
from leadscore.core.sections import open_section, suggest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leadscore.core.patterns import Problem
    from leadscore.core.ruleset import Tier
    from leadscore.core.sections import Section

# Each way of rolling up, with the fields that mean something in it.
ROLL_UPS: dict[RollUpKind, tuple[str, ...]] = {
    "decreasing": ("share",),
    "sum": (),
    "max": (),
    "breadth": ("tier", "points"),
}
DEFAULT_BREADTH_POINTS = 5


def parse_accounts(section: Section, tiers: Sequence[Tier], problems: list[Problem]) -> RollUp:
    """Return how accounts are scored; where the section is missing, by shares that decrease by half."""
    if not section.has("accounts"):
        return RollUp()
    inner = open_section("accounts", section.get("accounts"), "accounts", problems)
    if inner is None:
        return RollUp()
    kind = _parse_roll_up(inner)
    for name in ("share", "tier", "points"):
        if inner.has(name) and name not in ROLL_UPS[kind]:
            inner.refuse(name, f"means nothing where `roll_up` is {kind}")
    if kind != "breadth":
        share = inner.number("share", 0, 1, open_low=True)
        return RollUp(kind) if share is None else RollUp(kind, share=float(share))
    points = inner.whole("points", 1, 1000)
    return RollUp(
        kind,
        points=DEFAULT_BREADTH_POINTS if points is None else points,
        from_=_parse_breadth_tier(inner, tiers),
    )


def _parse_roll_up(section: Section) -> RollUpKind:
    if not section.has("roll_up"):
        return "decreasing"
    value = section.get("roll_up")
    for kind in ROLL_UPS:
        if value == kind:
            return kind
    hint = suggest(value, ROLL_UPS) if isinstance(value, str) else ""
    section.reject("roll_up", f"must be one of {', '.join(ROLL_UPS)}{hint}")
    return "decreasing"


def _parse_breadth_tier(section: Section, tiers: Sequence[Tier]) -> float:
    """Return from which total on a further person counts: by default from where the lowest tier ends."""
    # Whoever scores nothing adds nothing, so that a tier which begins no higher tells nobody apart.
    begins = {tier.name: tier.from_ for tier in tiers if tier.from_ is not None and tier.from_ > 0}
    if not section.has("tier"):
        if not begins:
            section.reject("tier", "is required where no tier begins above 0")
        return min(begins.values(), default=0)
    name = section.get("tier")
    if isinstance(name, str) and name in begins:
        return begins[name]
    hint = suggest(name, begins) if isinstance(name, str) else ""
    section.reject("tier", f"must be a tier whose `from` is above 0{hint or f': {", ".join(begins)}'}")
    return 0
