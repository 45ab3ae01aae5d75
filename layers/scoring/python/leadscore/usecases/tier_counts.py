"""How many leads stand in each tier, as the ranking index has it.

The index is walked from the highest bound down and no further than one request has time for. No lead that comes after
an entry can be in a tier that begins above that entry's bound: so the higher tiers are counted to the end where the
lowest is not.

Invariant: a count that is called exact is that of all leads whose last write put them into the tier.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime

from leadscore.core.instants import Millis, format_instant, from_datetime
from leadscore.core.ruleset import DISQUALIFIED, Ruleset
from leadscore.usecases.deciding import highest_score
from leadscore.usecases.records import Ranked, Reader

# In entries of the index: some 500 read units, and less than the time that a gateway waits.
MOST_COUNTED = 20_000


@dataclass(frozen=True, slots=True)
class TierCount:
    """A tier, the score from which on leads are in it, and how many are: at least so many where it is not `exact`."""

    name: str
    from_: float | None
    leads: int
    exact: bool


@dataclass(frozen=True, slots=True)
class TierCounts:
    """All tiers as of `at`, the highest first and the disqualified last.

    `unsettled` of the leads that were met are counted where their last write put them, although time or another
    ruleset may have moved them since; `score` is yet to write them.
    """

    tiers: list[TierCount]
    unsettled: int
    at: str
    version: str

    def to_dict(self) -> dict[str, object]:
        """Return the counts as plain JSON types."""
        tiers = [
            {"from" if name == "from_" else name: value for name, value in asdict(tier).items()} for tier in self.tiers
        ]
        return {"tiers": tiers, "unsettled": self.unsettled, "at": self.at, "version": self.version}


def count_tiers(reader: Reader, ruleset: Ruleset, now: datetime, *, most: int = MOST_COUNTED) -> TierCounts:
    """Return how many leads stand in each tier, having met at most `most` of them."""
    at = from_datetime(now)
    found: Counter[str] = Counter()
    unsettled = 0
    reached: float | None = None
    for met, entry in enumerate(reader.walk_ranking()):
        if met == most:
            reached = highest_score(entry.rank_key)
            break
        found[entry.tier] += 1
        unsettled += _is_unsettled(entry, ruleset, at)
    tiers = [*ruleset.tiers, None]
    counts = [
        TierCount(
            name=DISQUALIFIED if tier is None else tier.name,
            from_=None if tier is None else tier.from_,
            leads=found[DISQUALIFIED if tier is None else tier.name],
            exact=reached is None or (tier is not None and tier.from_ is not None and reached < tier.from_),
        )
        for tier in tiers
    ]
    return TierCounts(counts, unsettled, format_instant(at), ruleset.version)


def _is_unsettled(entry: Ranked, ruleset: Ruleset, at: Millis) -> bool:
    return entry.ruleset != ruleset.version or (entry.due is not None and entry.due <= at)
