"""The chance to convert: by a calibration of this ruleset that is recent, or not at all and with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import exp
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.core.instants import DAY, from_datetime
from leadscore.core.p_convert import (
    MOST_DAYS,
    NO_CALIBRATION,
    CalibrationNote,
    CalibrationSample,
    CalibrationStatus,
    PConvert,
    read_note,
    tell_calibration,
    tell_p_convert,
)
from leadscore.core.scoring import Score
from leadscore.learning.calibration import Calibration, DatedCalibration
from leadscore.usecases.chances import judge_calibration

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CALIBRATION = Calibration(-4.0, 0.05, (0.04, -0.0005, 0.00001), leads=1200, conversions=140)
LONGEST = timedelta(days=MOST_DAYS)


@dataclass
class Scored:
    """The parts of a score that a chance is of."""

    total: float = 40.0
    tier: str = "warm"
    converted_at: datetime | None = None

    def score(self) -> Score:
        return cast(Score, self)


def taken(age: timedelta = timedelta(), ruleset: str = "v1") -> DatedCalibration:
    return DatedCalibration(CALIBRATION, from_datetime(NOW - age), 30 * DAY, ruleset)


def test_a_chance_is_that_of_the_score_with_its_interval() -> None:
    chance = judge_calibration(taken(), "v1", NOW).of(Scored(40.0).score())

    assert chance is not None
    assert chance.value == pytest.approx(1 / (1 + exp(2.0)))
    assert chance.low < chance.value < chance.high


@given(st.floats(-1000, 1000), st.floats(-1000, 1000))
def test_a_higher_score_has_no_lower_chance_and_every_interval_holds_its_chance(one: float, other: float) -> None:
    chances = judge_calibration(taken(), "v1", NOW)
    low, high = (chances.of(Scored(total).score()) for total in sorted((one, other)))
    assert low is not None
    assert high is not None
    assert low.value <= high.value
    assert all(0 <= chance.low <= chance.value <= chance.high <= 1 for chance in (low, high))


@pytest.mark.parametrize("scored", [Scored(tier="disqualified"), Scored(converted_at=NOW - timedelta(days=3))])
def test_who_has_converted_or_is_disqualified_has_no_chance(scored: Scored) -> None:
    chances = judge_calibration(taken(), "v1", NOW)
    assert chances.note.status == "current"
    assert chances.of(scored.score()) is None


@pytest.mark.parametrize(
    ("held", "status"),
    [
        (None, "none"),
        (taken(), "current"),
        (taken(LONGEST), "current"),
        (taken(LONGEST + timedelta(milliseconds=1)), "stale"),
        (taken(ruleset="v2"), "other ruleset"),
        (taken(LONGEST * 2, ruleset="v2"), "other ruleset"),
    ],
)
def test_only_a_recent_calibration_of_the_same_ruleset_gives_chances(
    held: DatedCalibration | None, status: CalibrationStatus
) -> None:
    chances = judge_calibration(held, "v1", NOW)

    assert chances.note.status == status
    assert (chances.of(Scored().score()) is not None) == (status == "current")
    assert (chances.note.sample is None) == (status == "none")


def test_the_note_has_the_date_and_the_sample() -> None:
    note = judge_calibration(taken(LONGEST * 2, ruleset="v2"), "v1", NOW).note

    assert note.to_dict() == {
        "status": "other ruleset",
        "taken_at": "2025-12-01T12:00:00.000Z",
        "leads": 1200,
        "conversions": 140,
        "window_days": 30.0,
        "ruleset": "v2",
    }
    assert NO_CALIBRATION.to_dict() == {"status": "none"}


@pytest.mark.parametrize("held", [None, taken(), taken(LONGEST * 2), taken(ruleset="v2")])
def test_a_note_is_read_back_as_it_was_written(held: DatedCalibration | None) -> None:
    note = judge_calibration(held, "v1", NOW).note
    assert read_note(note.to_dict()) == note


def test_an_api_that_says_nothing_of_it_has_no_calibration() -> None:
    assert read_note(None) == NO_CALIBRATION


@pytest.mark.parametrize(
    ("chance", "told"),
    [
        (PConvert(0.123, 0.0911, 0.164), "12% (9.1 to 16%)"),
        (PConvert(0.0004, 0.0, 0.9951), "0.0% (0.0 to 99.5%)"),
        (PConvert(0.0996, 0.09949, 0.9004), "10% (9.9 to 90%)"),
    ],
)
def test_a_chance_in_percent_is_as_exact_as_it_is_small(chance: PConvert, told: str) -> None:
    assert tell_p_convert(chance) == told


def test_a_calibration_is_told_with_what_it_is_from_or_why_it_is_not_used() -> None:
    sample = CalibrationSample("2026-01-02T03:04:05.000Z", 1200, 140, 30.0, "v1")

    told = {status: tell_calibration(CalibrationNote(status, sample)) for status in ("current", "stale")}

    assert told["current"] == "within 30 days; calibrated 2026-01-02 on 1,200 leads, of whom 140 converted"
    assert told["stale"] == "the calibration of 2026-01-02 is older than 45 days"
    assert tell_calibration(CalibrationNote("other ruleset", sample)).endswith("2026-01-02 is of another ruleset")
    assert tell_calibration(NO_CALIBRATION) == "no conversions have been calibrated on yet"
