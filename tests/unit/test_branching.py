"""Bounds on a total over a span of time: never crossed by what the evaluator gives, and sharp where they must be."""

from __future__ import annotations

import random
from itertools import count

import pytest

from leadscore.core import next_change
from leadscore.core.branching import Span, TotalRange, _least_difference, _outweighs
from leadscore.core.decay import UNITS_PER_POINT
from leadscore.core.ledger import Ledger, Term, Worth, tier_of
from leadscore.core.next_change import _first_negative, find_next_change
from leadscore.core.patterns import parse_pattern
from leadscore.core.ruleset import Criterion, Group, Ruleset, Tier

PATTERN = parse_pattern({"type": ["page"]}, "event", [])
YEARS = 315_360_000_000
# Of one point with these half-lives the first millisecond takes so many units.
EIGHT_A_MILLISECOND = 95_265_423_098
SEVEN_A_MILLISECOND = 108_874_769_255


def worth_of(points: int, *terms: Term, group: str = "fit", cap: int | None = None) -> Worth:
    half_life = terms[0].half_life
    criterion = Criterion(id="c", group=group, points=points, event=PATTERN, half_life=half_life, max=cap)
    return Worth(criterion, (), terms, None if cap is None else cap * UNITS_PER_POINT)


def gain(points: int, time: int = 0, half_life: int | None = None, closes: int | None = None) -> Worth:
    return worth_of(points, Term(points, time, half_life, closes))


def loss(points: int, time: int = 0, half_life: int | None = None, closes: int | None = None) -> Worth:
    return worth_of(-points, Term(points, time, half_life, closes))


def ledger_of(*worths: Worth, fit: Group | None = None, total_min: float = -100) -> Ledger:
    ruleset = Ruleset(
        version="",
        state_digest="",
        document="",
        tiers=(Tier("hot", 20), Tier("warm", 10), Tier("cold", None)),
        groups={"fit": fit or Group("fit"), "engagement": Group("engagement", min=-3, max=12)},
        criteria=tuple(worth.criterion for worth in worths),
        goal=None,
        alerts=None,
        total_min=total_min,
        total_max=None,
    )
    return Ledger(ruleset, worths, ())


def span_of(ledger: Ledger, start: int, end: int) -> Span:
    return Span(start, ledger.units_at(start), end, ledger.units_at(end))


# --- never crossed ----------------------------------------------------------------------------------------------------


def _random_ledger(chance: random.Random) -> Ledger:
    """Return a few amounts that fade or close within some milliseconds, some held by a cap, of few half-lives."""
    half_lives = chance.sample([2, 3, 5, 9, None], 2)
    worths = []
    for _ in range(chance.randint(1, 6)):
        half_life = chance.choice(half_lives)
        points = chance.choice([1, 2, 3, 8, 16])
        closes = chance.choice([None, None, chance.randint(1, 20)])
        terms = [Term(points, -chance.choice([0, 0, 3, 9]), half_life, closes) for _ in range(chance.randint(1, 2))]
        sign, group, cap = chance.choice([1, -1]), chance.choice(["fit", "engagement"]), chance.choice([None, None, 4])
        worths.append(worth_of(sign * points, *terms, group=group, cap=cap))
    return ledger_of(*worths, fit=Group("fit", min=chance.choice([None, -2]), max=chance.choice([None, 9])))


@pytest.mark.parametrize("weigh", [False, True])
@pytest.mark.parametrize("seed", range(150))
def test_no_total_within_a_span_is_beyond_its_bounds(seed: int, weigh: bool) -> None:
    chance = random.Random(seed)
    ledger = _random_ledger(chance)
    totals = [ledger.total(ledger.units_at(instant)) for instant in range(25)]
    bounds = TotalRange(ledger, 0)
    for _ in range(12):
        start, end = sorted(chance.sample(range(25), 2))
        low, high = bounds._total(span_of(ledger, start, end), weigh=weigh)
        assert low <= min(totals[start : end + 1])
        assert high >= max(totals[start : end + 1])


# --- sharp ------------------------------------------------------------------------------------------------------------


def test_amounts_of_one_half_life_are_bounded_by_their_sum_but_for_roundings() -> None:
    ledger = ledger_of(gain(16, half_life=10), loss(8, half_life=10, closes=11), gain(4))
    low, high = TotalRange(ledger, 0)._total(span_of(ledger, 0, 10), weigh=False)
    assert (low, high) == (8 * UNITS_PER_POINT - 4, 12 * UNITS_PER_POINT + 4)


def test_what_closes_or_is_held_by_its_cap_is_bounded_by_its_own_ends() -> None:
    held = worth_of(16, Term(16, 0, 10), cap=12)
    ledger = ledger_of(held, loss(8, half_life=10, closes=5))
    low, high = TotalRange(ledger, 0)._total(span_of(ledger, 0, 10), weigh=False)
    assert (low, high) == ((8 - 8) * UNITS_PER_POINT, 12 * UNITS_PER_POINT)


def test_weighing_takes_what_is_held_by_a_cap_as_it_is_at_its_ends() -> None:
    def held(points: int) -> Worth:
        return worth_of(points, Term(abs(points), 0, 10), cap=4)

    ledger = ledger_of(held(16), held(16), held(-16), held(-16), gain(8, half_life=20), loss(6, half_life=10))
    low, high = TotalRange(ledger, 0)._total(span_of(ledger, 0, 30), weigh=True)
    # Held at 4 each, 2 are left of each at the end, and the gain of 8 covers the loss of 6 for good.
    assert low == (2 + 2 - 4 - 4 + 0) * UNITS_PER_POINT
    assert high == (4 + 4 - 2 - 2 + 8) * UNITS_PER_POINT - 6 * UNITS_PER_POINT // 8


def test_groups_are_summed_as_one_only_where_neither_bound_can_hold_them() -> None:
    engaged = worth_of(-8, Term(8, 0, 10), group="engagement")
    ledger = ledger_of(gain(16, half_life=10), engaged)
    # The least of the group is -3, so that the total is from 8 - 3 to 16 - 3.
    low, high = TotalRange(ledger, 0)._total(span_of(ledger, 0, 10), weigh=False)
    assert low <= 5 * UNITS_PER_POINT
    assert high >= 13 * UNITS_PER_POINT
    ledger = ledger_of(gain(16, half_life=10), engaged, fit=Group("fit", max=10))
    low, high = TotalRange(ledger, 0)._total(span_of(ledger, 0, 10), weigh=False)
    assert (low, high) == ((8 - 3) * UNITS_PER_POINT, (10 - 3) * UNITS_PER_POINT)
    small = worth_of(-2, Term(2, 0, 10), group="engagement")
    ledger = ledger_of(gain(16, half_life=10), small)
    low, high = TotalRange(ledger, 0)._total(span_of(ledger, 0, 10), weigh=False)
    assert (low, high) == (7 * UNITS_PER_POINT - 4, 14 * UNITS_PER_POINT + 4)


@pytest.mark.parametrize(
    ("worths", "start", "end"),
    [
        # The whole of time: a gain that is larger and fades slower covers the loss, however much both vary.
        ([gain(20), gain(17, half_life=20), loss(16, half_life=10)], 0, None),
        # A long part in which amounts cancel to the unit, on the bound of the tier.
        ([gain(20), gain(16, half_life=YEARS), loss(16, half_life=YEARS)], 10, 10_000),
    ],
)
def test_a_total_on_the_bound_of_its_tier_stays(worths: list[Worth], start: int, end: int | None) -> None:
    ledger = ledger_of(*worths)
    assert TotalRange(ledger, 0).stays(span_of(ledger, start, ledger.settles if end is None else end), tier=0)


def test_a_total_on_the_bound_of_its_tier_stays_where_its_group_is_held_too() -> None:
    ledger = ledger_of(gain(20), gain(17, half_life=20), loss(16, half_life=10), fit=Group("fit", max=25))
    assert TotalRange(ledger, 0).stays(span_of(ledger, 0, ledger.settles), tier=0)


def test_a_total_that_leaves_its_tier_does_not_stay() -> None:
    ledger = ledger_of(gain(19), gain(2, half_life=10))
    assert TotalRange(ledger, 0).stays(span_of(ledger, 0, 5), tier=0)
    assert not TotalRange(ledger, 0).stays(span_of(ledger, 0, ledger.settles), tier=0)
    assert not TotalRange(ledger, 0).stays(span_of(ledger, 0, ledger.settles), tier=1)


# --- what outweighs what ----------------------------------------------------------------------------------------------

OUTWEIGHING = [
    # gain, loss, since
    (Term(16), Term(16), 0),
    (Term(16, 5, 10), Term(16, 5, 10), 5),
    (Term(8, 10, 10), Term(16, 0, 10), 10),
    (Term(16, 0, 10), Term(8, 10, 10), 10),
    (Term(17, 0, 10), Term(16, 0, 10), 0),
    (Term(16, 0, 20), Term(15, 0, 10), 0),
    (Term(16), Term(15, 0, 10), 0),
    (Term(1), Term(1, 0, EIGHT_A_MILLISECOND), 1),
    (Term(16, 0, 10, 50), Term(16, 0, 10, 50), 0),
    (Term(16, 0, 10, 51), Term(16, 0, 10, 50), 0),
    (Term(16, 0, 10), Term(16, 0, 10, 50), 0),
    (Term(1, 0, 10), Term(16, 0, 10, 5), 10),
    (Term(1, 0, 10), Term(16, 0, 10, 5), 600),
]
NOT_OUTWEIGHING = [
    (Term(16), Term(17), 0),
    (Term(16, 0, 10), Term(16, 1, 10), 1),
    (Term(8, 0, 10), Term(16, 10, 10), 10),
    (Term(16, 10, 10), Term(16, 20, 10), 20),
    (Term(17, 0, 10), Term(16, 0, 20), 0),
    (Term(17, 0, 10), Term(16), 0),
    (Term(16, 0, 10, 50), Term(15, 0, 10, 51), 0),
    (Term(16, 0, 10, 50), Term(15, 0, 10), 0),
    # Too little more for their roundings to keep that order.
    (Term(1), Term(1, 0, SEVEN_A_MILLISECOND), 1),
    (Term(1, 1, SEVEN_A_MILLISECOND), Term(1, 0, SEVEN_A_MILLISECOND), 1),
    (Term(1, 0, 10, 9), Term(1, 0, None, 9), 10),
]


@pytest.mark.parametrize(("gained", "lost", "since"), OUTWEIGHING)
def test_a_term_outweighs_what_it_never_falls_below(gained: Term, lost: Term, since: int) -> None:
    assert _outweighs(gained, lost, since)
    assert all(gained.units_at(instant) >= lost.units_at(instant) for instant in range(since, 600))


@pytest.mark.parametrize(("gained", "lost", "since"), NOT_OUTWEIGHING)
def test_a_term_does_not_outweigh_what_may_exceed_it(gained: Term, lost: Term, since: int) -> None:
    assert not _outweighs(gained, lost, since)


@pytest.mark.parametrize(
    ("gains", "losses", "points"),
    [
        ([Term(16)], [], 16),
        ([], [Term(16), Term(3)], -19),
        ([Term(16), Term(8)], [Term(8)], 16),
        ([Term(16)], [Term(20), Term(3)], -7),
        # What has faded to 5 is spent on the loss, and the 10 that last are left.
        ([Term(10), Term(40, -30, 10)], [Term(4, 0, 5)], 10),
        # The largest loss chooses first: only the lasting 5 cover the lasting 4.
        ([Term(5), Term(6, 0, 10)], [Term(3, 0, 5), Term(4)], 1),
    ],
)
def test_a_loss_takes_the_least_gain_that_outweighs_it(gains: list[Term], losses: list[Term], points: int) -> None:
    ends = 10 * 60
    assert _least_difference(gains, losses, Span(0, (), ends, ())) == points * UNITS_PER_POINT


# --- where to divide, and the search ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("closings", "start", "end", "instant"),
    [
        ([], 0, 100, 50),
        ([40], 0, 100, 39),
        ([40], 40, 100, 70),
        ([41], 40, 100, 41),
        ([42], 40, 100, 41),
        ([100], 0, 100, 99),
        ([101], 0, 100, 50),
        ([10, 20], 0, 100, 19),
        ([10, 20, 30], 0, 100, 19),
        ([1], 0, 2, 1),
    ],
)
def test_a_span_is_divided_beside_a_closing_window(closings: list[int], start: int, end: int, instant: int) -> None:
    ledger = ledger_of(gain(1, closes=500), *(gain(1, closes=closing) for closing in closings))
    assert TotalRange(ledger, 0).dividing_instant(span_of(ledger, start, end)) == instant


def test_a_change_of_one_millisecond_right_away_is_found() -> None:
    assert find_next_change(ledger_of(gain(20), gain(10, closes=1), loss(10, closes=2)), 0) == 1


def test_the_search_is_bounded_for_many_terms_too() -> None:
    many = [Term(1, 0, 10, closing) for closing in range(30, 50)]
    ledger = ledger_of(gain(20), worth_of(1, *many), worth_of(-1, *many[:15]))
    assert find_next_change(ledger, 0) is None


def test_a_search_out_of_patience_answers_when_to_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # The lead is hot, dips below 20 while the loss outlasts the gain, and ends at 20.
    ledger = ledger_of(gain(20), gain(16, half_life=200), loss(12, half_life=900))
    tiers = (tier_of(ledger.ruleset, ledger.total(ledger.units_at(instant))) for instant in count())
    first = next(instant for instant, tier in enumerate(tiers) if tier != 0)
    answers = []
    for patience in range(1, 40):
        monkeypatch.setattr(next_change, "_MOST_SPANS", patience)
        answers.append(find_next_change(ledger, 0))
    assert answers[0] == 1
    assert answers[-1] == first
    assert all(answer is not None and 0 < answer <= first for answer in answers)


def test_a_crossing_of_what_decays_takes_few_evaluations() -> None:
    asked = []

    def room(instant: int) -> int:
        asked.append(instant)
        return Term(1000, 0, YEARS).units_at(instant) - 300 * UNITS_PER_POINT

    crossing = _first_negative(room, 0, 40 * YEARS)
    assert crossing is not None
    assert room(crossing - 1) >= 0 > room(crossing)
    assert len(asked) < 30
