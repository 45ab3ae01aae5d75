"""A pace holds work to so many things a second, and starts at once after a rest."""

from __future__ import annotations

import pytest

from leadscore.adapters import clock
from leadscore.adapters.clock import Pace


class Time:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    stopped = Time()
    monkeypatch.setattr(clock, "time", stopped)
    return stopped


def test_each_lot_waits_for_what_the_lot_before_may_take(time: Time) -> None:
    pace = Pace(200)
    for lot in (100, 50, 10):
        pace.wait(lot)
    assert time.waits == [0.0, 0.5, 0.25]


def test_after_a_rest_nothing_is_caught_up_on(time: Time) -> None:
    pace = Pace(10)
    pace.wait(10)
    time.now += 60
    pace.wait(10)
    pace.wait(10)
    assert time.waits == [0.0, 0.0, 1.0]
