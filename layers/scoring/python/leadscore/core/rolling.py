"""What the people of an account come to together: a pure function of their totals, in the ruleset's own way.

    decreasing   53, 37, 20   ->   53 + 37/2 + 20/4    each further person a smaller share of what they have
    sum          53, 37, 20   ->   53 + 37 + 20
    max          53, 37, 20   ->   53
    breadth      53, 37, 20   ->   53 + 5              points for each further person from a tier on

Invariant: whole units are added, so that what the people add comes to the account's total to the last unit, in whatever
order they are named; and no total that rises ever lowers the account's.
"""

from __future__ import annotations

from collections.abc import Sequence

from leadscore.core.decay import UNIT_BITS, to_units
from leadscore.core.ledger import tier_of
from leadscore.core.ruleset import DISQUALIFIED, RollUp, Ruleset
from leadscore.core.scoring import Score

# Of an account's people those with the highest totals count, so many at most.
MOST_COUNTED = 100


def counted_units(score: Score) -> int:
    """Return what a person brings in, in units: nothing while disqualified, and never less than nothing."""
    return 0 if score.tier == DISQUALIFIED else max(0, to_units(score.total))


def possible_units(score: Score) -> int:
    """Return the most units that a person brings in from the score's instant on without a new event."""
    return max(0, to_units(score.ceiling))


def contributions(ruleset: Ruleset, totals: Sequence[int]) -> list[int]:
    """Return what each of `totals`, units from the highest down, adds to the account's; those past the 100th nothing.

    What is over the ruleset's highest total is taken from the last first.
    """
    counted = totals[:MOST_COUNTED]
    added = _roll_up(ruleset.accounts, counted)
    if ruleset.total_max is not None:
        surplus = sum(added) - to_units(ruleset.total_max)
        for place in reversed(range(len(added))):
            if surplus <= 0:
                break
            cut = min(surplus, added[place])
            added[place] -= cut
            surplus -= cut
    return added + [0] * (len(totals) - len(counted))


def account_total(ruleset: Ruleset, totals: Sequence[int]) -> int:
    """Return the total in units of an account whose people have `totals`, in any order."""
    return sum(contributions(ruleset, sorted(totals, reverse=True)))


def account_tier(ruleset: Ruleset, total: int) -> str:
    """Return the name of the tier of an account's total in units."""
    return ruleset.tiers[tier_of(ruleset, total)].name


def _roll_up(policy: RollUp, totals: Sequence[int]) -> list[int]:
    match policy.kind:
        case "sum":
            return list(totals)
        case "max":
            return [*totals[:1], *(0 for _ in totals[1:])]
        case "breadth":
            # An integer and a float compare exactly, and 2^40 times a float is exact.
            least = policy.from_ * (1 << UNIT_BITS)
            return [*totals[:1], *(policy.points << UNIT_BITS if total >= least else 0 for total in totals[1:])]
        case "decreasing":
            return _decrease(totals, *policy.share.as_integer_ratio())


def _decrease(totals: Sequence[int], over: int, under: int) -> list[int]:
    """Return each total times the share `over / under` to the power of its rank, rounded down."""
    added: list[int] = []
    dividend = divisor = 1
    for total in totals:
        part = total * dividend // divisor
        if part == 0:
            break
        added.append(part)
        dividend, divisor = dividend * over, divisor * under
    # Totals fall and so do the shares: behind nothing there is nothing.
    return added + [0] * (len(totals) - len(added))
