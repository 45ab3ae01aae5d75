"""The people of an account, as many as an answer depends on, and what they come to at one instant.

    bound    98    97    60    40    12 ...     the index: what each score cannot pass without a new event
    score    90    97    41    35               with a share of a half: 97 + 90/2 + 41/4 + 35/8, capped at 100
                                                whoever is left could only lift what is at its cap already

Invariant: what is left out cannot change what was asked for. A total that rises never lowers the account's, so that
the people who were read give the least, and as many as count at the bound of the next one the most, that all come to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from leadscore.core.decay import UNITS_PER_POINT, to_points, to_units
from leadscore.core.identity import Identity
from leadscore.core.instants import Millis, to_datetime
from leadscore.core.rolling import (
    MOST_COUNTED,
    account_tier,
    account_total,
    contributions,
    counted_units,
    possible_units,
)
from leadscore.core.ruleset import Ruleset
from leadscore.core.scoring import Score
from leadscore.core.state import State
from leadscore.usecases.deciding import highest_score
from leadscore.usecases.records import Reader
from leadscore.usecases.standing import score_leads

# What one answer reads at most; the bounds would have to be loose beyond all measure for that not to be enough.
MOST_READ = 500
# People are counted up to here.
MOST_TOLD = 1000
# Accounts have few people, mostly, and of many only the first matter.
_FIRST_CHUNK, _LARGEST_CHUNK = 10, 100
# How far the total and its bound may be out in a rating: less than what a key may be loose by.
_RATING_SLACK = UNITS_PER_POINT

# Who adds most, as far as it is told beside a total.
PEOPLE_SHOWN = 3

# Enough for a rating, for the exact total and the first of the people, or for everyone who counts.
Need = Literal["rating", "total", "people"]


class AccountPerson(NamedTuple):
    """One lead of an account with its score; `units` is what it brings in, `possible` what it may without an event."""

    identity: Identity
    state: State
    score: Score
    units: int
    possible: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands, in units; `ceiling` is what its total does not pass until one of its people changes.

    `people` are those who were read, the highest first. `people_total` counts all, up to 1000; it is as low as
    what was read where only the total was asked for.
    """

    people: tuple[AccountPerson, ...]
    contributions: tuple[int, ...]
    ceiling: int
    people_total: int
    tier: str

    @property
    def total(self) -> int:
        """What the people come to."""
        return sum(self.contributions)

    @property
    def score(self) -> float:
        """The total in points."""
        return to_points(self.total)


def read_standing(
    reader: Reader, ruleset: Ruleset, account: str, at: Millis, need: Need, *, margin: float = 0.0
) -> Standing:
    """Return how an account stands at `at`; `margin` is by how many points keys may have sunk since then."""
    entries = reader.walk_people(account)
    people: list[AccountPerson] = []
    seen, size = 0, _FIRST_CHUNK
    following = next(entries, None)
    while following is not None and seen < MOST_READ:
        if _is_enough(ruleset, people, _bound(following, margin), need):
            break
        chunk = [following, *islice(entries, size - 1)]
        people += _read_people(reader, ruleset, account, [identity for _, identity in chunk], at)
        people.sort(key=lambda person: (-person.units, person.identity))
        seen, size = seen + len(chunk), min(2 * size, _LARGEST_CHUNK)
        following = next(entries, None)
    left: list[int] = [] if following is None else [_bound(following, margin)] * MOST_COUNTED
    added = contributions(ruleset, [person.units for person in people])
    return Standing(
        people=tuple(people),
        contributions=tuple(added),
        ceiling=account_total(ruleset, [*(person.possible for person in people), *left]),
        people_total=len(people) + (0 if need == "total" else _count_left(following, entries, len(people))),
        tier=account_tier(ruleset, sum(added)),
    )


def _read_people(
    reader: Reader, ruleset: Ruleset, account: str, leads: Sequence[Identity], at: Millis
) -> Iterator[AccountPerson]:
    for root, state, score in score_leads(reader, ruleset, leads, to_datetime(at)):
        # The index lags behind: by now the lead may belong elsewhere.
        if root.body is not None and root.body.account == account:
            yield AccountPerson(root.identity, state, score, counted_units(score), possible_units(score))


def _is_enough(ruleset: Ruleset, people: Sequence[AccountPerson], bound: int, need: Need) -> bool:
    """Return whether nobody whose score is at most `bound` can change what is needed."""
    units = [person.units for person in people]
    if need == "people":
        return len(units) >= MOST_COUNTED and units[MOST_COUNTED - 1] >= bound
    least, most = _span(ruleset, units, bound)
    if need == "total":
        return least == most and (not bound or (len(units) >= PEOPLE_SHOWN and units[PEOPLE_SHOWN - 1] >= bound))
    lowest, highest = _span(ruleset, [person.possible for person in people], bound)
    if max(most - least, highest - lowest) > _RATING_SLACK:
        return False
    return account_tier(ruleset, least) == account_tier(ruleset, most)


def _span(ruleset: Ruleset, totals: Iterable[int], bound: int) -> tuple[int, int]:
    """Return the least and the most that people come to of whom `totals` are known, and all others below `bound`."""
    known = list(totals)
    return account_total(ruleset, known), account_total(ruleset, known + [bound] * MOST_COUNTED)


def _bound(entry: tuple[int, Identity], margin: float) -> int:
    return max(0, to_units(highest_score(entry[0]) + margin))


def _count_left(following: object, entries: Iterable[object], counted: int) -> int:
    if following is None:
        return 0
    return 1 + sum(1 for _ in islice(entries, max(0, MOST_TOLD - counted - 1)))
