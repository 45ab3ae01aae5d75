"""Decayed points against arithmetic of fifty digits, and their exact bits."""

from __future__ import annotations

import random
from decimal import Decimal, localcontext

import pytest

from leadscore.core.decay import UNITS_PER_POINT, decayed_units, halvings_until_nothing, to_points, to_units
from leadscore.core.instants import parse_duration

DAY = parse_duration("1d")
MONTH = parse_duration("30d")


def exact_units(points: int, age: int, half_life: int) -> Decimal:
    with localcontext() as context:
        context.prec = 50
        return points * UNITS_PER_POINT * Decimal(2) ** (-Decimal(age) / Decimal(half_life))


@pytest.mark.parametrize("half_life", ["1s", "7m", "12h", "30d", "52w", "3650d"])
def test_decay_is_within_two_places_of_a_double_of_the_exact_value(half_life: str) -> None:
    halving = parse_duration(half_life)
    chance = random.Random(half_life)
    for _ in range(200):
        points, age = chance.randint(1, 1000), chance.randint(0, 60 * halving)
        exact = exact_units(points, age, halving)
        error = abs(decayed_units(points, age, halving) - exact)
        assert error <= Decimal("0.5") + exact * Decimal(2) ** -51


def test_points_without_a_half_life_stay() -> None:
    assert decayed_units(15, 10_000 * DAY, None) == 15 * UNITS_PER_POINT


def test_points_halve_exactly_each_half_life() -> None:
    halvings = [decayed_units(20, number * MONTH, MONTH) for number in range(20)]
    assert halvings == [20 * UNITS_PER_POINT >> number for number in range(20)]


@pytest.mark.parametrize(
    ("points", "age", "half_life", "units"),
    [
        (15, 8 * DAY, MONTH, 13709335983856),
        (1000, 1, parse_duration("3650d"), 1099511627773583),
        (1, DAY - 1, DAY, 549755818298),
        (7, 123_456_789, parse_duration("12h"), 1061733539198),
        (999, DAY + 1, parse_duration("3d"), 871810272002777),
        # Late in a step of the table, where the last term of the series decides the last bit.
        (999, 18_497_165, parse_duration("7d"), 1075371772359467),
        (999, 137_533_313_681, parse_duration("3650d"), 811860729963604),
    ],
)
def test_decayed_points_have_these_bits_on_every_machine(points: int, age: int, half_life: int, units: int) -> None:
    assert decayed_units(points, age, half_life) == units


@pytest.mark.parametrize("half_life", [1, 2, 3, 7, 31, 32, 33, 1000])
@pytest.mark.parametrize("points", [1, 3, 1000])
def test_decay_never_rises_and_ends_in_nothing(points: int, half_life: int) -> None:
    end = half_life * halvings_until_nothing(points)
    amounts = [decayed_units(points, age, half_life) for age in range(end + 2)]
    assert amounts == sorted(amounts, reverse=True)
    assert amounts[0] == points * UNITS_PER_POINT
    assert amounts[-2:] == [0, 0]
    assert decayed_units(points, 10**15, half_life) == 0


@pytest.mark.parametrize("points", [1, 2, 3, 1000])
def test_the_halvings_until_nothing_are_the_fewest_that_leave_less_than_half_a_unit(points: int) -> None:
    halvings = halvings_until_nothing(points)
    assert 2 * points * UNITS_PER_POINT < 2**halvings <= 4 * points * UNITS_PER_POINT


def test_decay_falls_from_one_step_of_its_table_to_the_next() -> None:
    half_life = 32 * 1_000_003
    edges = [step * 1_000_003 for step in range(1, 33)]
    for edge in edges:
        before, at, after = (decayed_units(1000, age, half_life) for age in (edge - 1, edge, edge + 1))
        assert before > at > after


def test_units_and_points_convert_both_ways() -> None:
    assert to_units(37.5) == 37 * UNITS_PER_POINT + UNITS_PER_POINT // 2
    assert to_points(to_units(-8191.5)) == -8191.5
    assert to_units(2**-41) == 0
