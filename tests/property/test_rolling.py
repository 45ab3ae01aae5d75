"""The roll-up of accounts: equal to a naive one in exact fractions, blind to order, and never lowered by a rise."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor

from hypothesis import given
from hypothesis import strategies as st

from leadscore import parse_ruleset
from leadscore.core.decay import UNITS_PER_POINT, to_units
from leadscore.core.rolling import MOST_COUNTED, account_tier, account_total, contributions
from leadscore.core.ruleset import RollUp, Ruleset

RULES = parse_ruleset(
    {
        "tiers": [{"name": "hot", "from": 50}, {"name": "warm", "from": 24.9}, {"name": "cold"}],
        "criteria": [{"id": "a", "group": "fit", "traits": {"x": [1]}, "points": 100}],
    }
)
SHARES = st.one_of(st.sampled_from((0.5, 0.25, 0.9, 1.0, 0.1)), st.floats(0, 1, exclude_min=True))
POLICIES = st.one_of(
    SHARES.map(lambda share: RollUp("decreasing", share=share)),
    st.just(RollUp("sum")),
    st.just(RollUp("max")),
    st.builds(
        lambda points, from_: RollUp("breadth", points=points, from_=from_), st.integers(1, 30), st.floats(0.5, 60)
    ),
)
BOUNDS = st.one_of(st.none(), st.floats(0.5, 300).map(lambda points: round(points, 2)))
RULESETS = st.builds(lambda accounts, high: replace(RULES, accounts=accounts, total_max=high), POLICIES, BOUNDS)
# Whole points, so that totals tie, and any units; now and then of a few people, now and then of more than count.
TOTALS = st.one_of(st.integers(0, 100).map(lambda p: p << 40), st.integers(0, 100 << 40), st.just(0))
ACCOUNTS = st.one_of(
    st.lists(TOTALS, max_size=8), st.lists(TOTALS, min_size=MOST_COUNTED - 2, max_size=MOST_COUNTED + 5)
)


def roll_up_naively(ruleset: Ruleset, totals: list[int]) -> int:
    """As RULESET.md says it; each share is rounded down to a whole unit."""
    policy = ruleset.accounts
    counted = [Fraction(total) for total in sorted(totals, reverse=True)[:100]]
    if policy.kind == "decreasing":
        shares = [Fraction(policy.share) ** rank for rank in range(len(counted))]
        rolled = sum(floor(total * share) for total, share in zip(counted, shares, strict=True))
    elif policy.kind == "sum":
        rolled = int(sum(counted))
    else:
        rolled = int(max(counted, default=0))
    if policy.kind == "breadth":
        further = [total for total in counted[1:] if total / UNITS_PER_POINT >= Fraction(policy.from_)]
        rolled += policy.points * UNITS_PER_POINT * len(further)
    return rolled if ruleset.total_max is None else min(rolled, to_units(ruleset.total_max))


@given(RULESETS, ACCOUNTS)
def test_a_naive_roll_up_in_exact_fractions_agrees(ruleset: Ruleset, totals: list[int]) -> None:
    assert account_total(ruleset, totals) == roll_up_naively(ruleset, totals)


@given(RULESETS, ACCOUNTS.flatmap(lambda totals: st.tuples(st.just(totals), st.permutations(totals))))
def test_the_order_of_people_is_irrelevant(ruleset: Ruleset, orders: tuple[list[int], list[int]]) -> None:
    assert account_total(ruleset, orders[0]) == account_total(ruleset, orders[1])


@given(RULESETS, ACCOUNTS, st.data())
def test_no_total_that_rises_lowers_the_accounts(ruleset: Ruleset, totals: list[int], data: st.DataObject) -> None:
    before = account_total(ruleset, totals)
    place = data.draw(st.integers(0, len(totals)))
    # Beyond the end somebody joins.
    risen = [*totals, 0] if place == len(totals) else list(totals)
    risen[place] += data.draw(TOTALS)
    assert account_total(ruleset, risen) >= before


@given(RULESETS, ACCOUNTS)
def test_contributions_come_to_the_total_and_none_is_beyond_what_the_person_has(
    ruleset: Ruleset, totals: list[int]
) -> None:
    ordered = sorted(totals, reverse=True)
    added = contributions(ruleset, ordered)
    assert sum(added) == account_total(ruleset, totals)
    assert len(added) == len(ordered)
    assert min(added, default=0) >= 0
    if ruleset.accounts.kind != "breadth":
        assert all(part <= total for part, total in zip(added, ordered, strict=True))
    # In points, as they are shown, they come to it too.
    assert sum(part / UNITS_PER_POINT for part in added) == sum(added) / UNITS_PER_POINT


@given(RULESETS, ACCOUNTS)
def test_the_tier_is_the_first_that_the_total_reaches(ruleset: Ruleset, totals: list[int]) -> None:
    total = account_total(ruleset, totals)
    points = Fraction(total, UNITS_PER_POINT)
    reached = [tier.name for tier in ruleset.tiers if tier.from_ is None or points >= Fraction(tier.from_)]
    assert account_tier(ruleset, total) == reached[0]
