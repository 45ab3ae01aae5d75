"""Instants and durations as texts and as whole milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from leadscore.core.instants import format_instant, from_datetime, parse_duration, parse_instant, to_datetime

# 2026-03-01T12:00:00.250Z
INSTANT = 1_772_366_400_250


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:00:00.250Z",
        "2026-03-01T12:00:00.250",
        "2026-03-01T12:00:00.250999Z",
        "2026-03-01T14:00:00.250+02:00",
        "2026-03-01 06:30:00.250-05:30",
    ],
)
def test_an_instant_is_read_in_its_zone_or_in_utc_and_rounded_down(text: str) -> None:
    assert parse_instant(text) == INSTANT


def test_an_instant_is_written_in_one_form() -> None:
    assert format_instant(INSTANT) == "2026-03-01T12:00:00.250Z"
    assert format_instant(-1) == "1969-12-31T23:59:59.999Z"


def test_an_instant_is_a_datetime_of_any_zone() -> None:
    assert to_datetime(INSTANT) == datetime(2026, 3, 1, 12, 0, 0, 250_000, UTC)
    assert from_datetime(datetime(2026, 3, 1, 14, 0, 0, 250_999, timezone(timedelta(hours=2)))) == INSTANT
    with pytest.raises(ValueError, match=r"^an instant needs a time zone: 2026-03-01T00:00:00$"):
        from_datetime(datetime(2026, 3, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "millis"),
    [("1s", 1_000), ("15m", 900_000), ("12h", 43_200_000), ("30d", 2_592_000_000), ("2w", 1_209_600_000)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, millis: int) -> None:
    assert parse_duration(text) == millis


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1.5h", "1y", " 1d", "1d ", "1234567s", "\u0661d"])
def test_any_other_text_is_no_duration(text: str) -> None:
    message = "a duration is a whole number and a unit: 30s, 15m, 12h, 30d, 2w"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_duration(text)
