"""What a ruleset can amount to at most: the points a lead can reach and the bytes its state can need.

Protects two promises made before any event arrives: every tier can be reached, and the state of every lead fits its
item however many events there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadscore.core.criteria import Span
from leadscore.core.patterns import Problem
from leadscore.core.ruleset import Group
from leadscore.core.state import LONGEST_OTHER_NAME, MOST_OTHER_TRAITS
from leadscore.core.traits import LONGEST_VALUE_BYTES, PROFILE_TRAITS, canonical_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from leadscore.core.criteria import Draft
    from leadscore.core.ruleset import Criterion, Ruleset

# A DynamoDB item is at most 400 KB; the rest of it is left to identities, ranking and pending announcements.
MAX_STATE_BYTES = 300 * 1024

_FIXED = 512
_ENTRY = 16
# A time, a messageId of 100 characters, punctuation.
_OCCURRENCE = 128
# A distinct value has up to 64 bytes, each of which may need an escape inside JSON.
_MEASURED = {"count": 0, "days": 0, "distinct": 136, "sum": 26}
_TRAIT = LONGEST_VALUE_BYTES + _OCCURRENCE


def total_span(drafts: Iterable[Draft], groups: Mapping[str, Group], total: Span) -> Span:
    """Return the least and the most points a lead can have, after the caps of groups and of the total."""
    sums: dict[str, Span] = {}
    for draft in drafts:
        before = sums.get(draft.criterion.group, Span(0, 0))
        sums[draft.criterion.group] = Span(before.low + draft.span.low, before.high + draft.span.high)
    low = high = 0.0
    for name, span in sums.items():
        bounds = groups.get(name, Group(name))
        low += span.low if bounds.min is None else max(span.low, bounds.min)
        high += span.high if bounds.max is None else min(span.high, bounds.max)
    return Span(max(low, total.low), min(high, total.high))


def state_problem(ruleset: Ruleset, limit: int) -> Problem | None:
    """Return the problem of a state that can become larger than `limit` bytes, with what takes most of them."""
    lead = _traits_part(ruleset.lead_traits | PROFILE_TRAITS, 0)
    lead |= _raise_part(ruleset)
    lead |= {f"criterion `{c.id}`": _occurrence_bytes(c) for c in ruleset.behaviour}
    account = _traits_part(ruleset.account_traits, MOST_OTHER_TRAITS)
    for whose, parts in (("lead", lead), ("account", account)):
        size = _FIXED + sum(parts.values())
        if size > limit:
            largest = sorted(parts.items(), key=lambda part: -part[1])[:3]
            named = ", ".join(f"{name} {bytes_:,} bytes" for name, bytes_ in largest)
            message = f"the state of one {whose} could need {size:,} bytes, and {limit:,} fit; largest: {named}"
            return Problem("criteria", message, size)
    return None


def _traits_part(names: Collection[str], others: int) -> dict[str, int]:
    """Return the bytes of the named traits, and of `others` that no criterion reads."""
    size = sum(_TRAIT + len(name.encode(errors="replace")) for name in names) + others * (_TRAIT + LONGEST_OTHER_NAME)
    return {f"its {len(names) + others} traits": size}


def _raise_part(ruleset: Ruleset) -> dict[str, int]:
    names = () if ruleset.alerts is None else ruleset.alerts.always
    sizes = [len(canonical_json(name).encode(errors="replace")) for name in names]
    return {"its last hand-raise": _OCCURRENCE + max(sizes)} if sizes else {}


def _occurrence_bytes(criterion: Criterion) -> int:
    kind = "count" if criterion.measure is None else criterion.measure.kind
    return _ENTRY + len(criterion.id) + criterion.limit * (_OCCURRENCE + _MEASURED[kind])
