"""What points are worth after a time, as whole numbers of units, the same on every machine.

Invariant: only integer arithmetic and the four correctly rounded float operations are used, so that x86 and arm64
give equal bits. No value of C's `exp` or `pow` ever reaches a score.
"""

from __future__ import annotations

from math import isqrt, ldexp

from leadscore.core.instants import Millis

# Points are counted in units of 2^-40 point: fine enough that a sum of thousands of rounded values is off by less
# than a millionth of a point, coarse enough that 1000 points fit the 53 bits of a float.
UNIT_BITS = 40
UNITS_PER_POINT = 1 << UNIT_BITS

_STEPS = 32
_LN2 = 0.6931471805599453


def _fractional_powers() -> tuple[float, ...]:
    """Return 2^(-i/32) for i in 0..31, each correctly rounded, from integer square roots of 192 fractional bits."""
    bits = 192
    root = 1 << (bits - 1)
    for _ in range(_STEPS.bit_length() - 1):
        root = isqrt(root << bits)
    powers = [1 << bits]
    while len(powers) < _STEPS:
        powers.append(powers[-1] * root >> bits)
    return tuple(power / (1 << bits) for power in powers)


_FRACTIONAL_POWERS = _fractional_powers()


def decayed_units(points: int, age: Millis, half_life: Millis | None) -> int:
    """Return `points * 2^(-age / half_life)` in units, rounded half to even; `points` and `age` are not negative.

    Without a half-life points stay what they are. Never rises with age. The error before rounding is below two units
    in the last place of a double: 2^-x is 2^(-i/32) from a table times e^-y by its Taylor series to the seventh
    power, where y < ln 2 / 32 makes the rest smaller than 2^-59.
    """
    if half_life is None:
        return points << UNIT_BITS
    halvings, rest = divmod(age, half_life)
    if halvings > UNIT_BITS + points.bit_length():
        return 0
    exponent = rest / half_life
    step = int(exponent * _STEPS)
    y = (exponent - step / _STEPS) * _LN2
    lost = y * (1 - y / 2 * (1 - y / 3 * (1 - y / 4 * (1 - y / 5 * (1 - y / 6 * (1 - y / 7))))))
    power = _FRACTIONAL_POWERS[step]
    return round(ldexp((points << UNIT_BITS) * (power - power * lost), -halvings))


def halvings_until_nothing(points: int) -> int:
    """Return after how many whole half-lives `points` are less than half a unit, that is nothing."""
    return points.bit_length() + UNIT_BITS + 1


def to_units(points: float) -> int:
    """Return `points` in units, rounded half to even; whole points are exact."""
    return round(points * UNITS_PER_POINT)


def to_points(units: int) -> float:
    """Return `units` in points, exact while they fit 53 bits, that is below 8192 points."""
    return units / UNITS_PER_POINT
