"""The chance to convert that is told beside a score, never without the date and the sample of its calibration.

Invariant: `p_convert` is said only while a calibration of the ruleset in force is recent enough (`current`); in every
other case the note says why there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

# `none`: there never was enough to calibrate on. `stale`: too old. `other ruleset`: of scores that mean something else.
CalibrationStatus = Literal["current", "stale", "other ruleset", "none"]
CALIBRATION_STATUSES: tuple[CalibrationStatus, ...] = get_args(CalibrationStatus)
# A calibration is not used for longer: the base rate drifts.
MOST_DAYS = 45


class PConvert(NamedTuple):
    """The chance to convert within the calibration's window, and the interval that holds it 95 times in 100."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return the chance as plain JSON types."""
        return self._asdict()


class CalibrationSample(NamedTuple):
    """What a calibration is from: `leads` at moments before `taken_at`, of whom so many converted within the window.

    Their scores were those of the version `ruleset`.
    """

    taken_at: str
    leads: int
    conversions: int
    window_days: float
    ruleset: str


class CalibrationNote(NamedTuple):
    """Whether there is a calibration to go by; `sample` is of the one there is, used or not."""

    status: CalibrationStatus = "none"
    sample: CalibrationSample | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the note as plain JSON types: the status alone, or with the sample's fields beside it."""
        return {"status": self.status, **({} if self.sample is None else self.sample._asdict())}


NO_CALIBRATION = CalibrationNote()


def read_note(document: Mapping[str, Any] | None) -> CalibrationNote:
    """Return the note that the API says beside chances; that there is none where an older API says nothing of it."""
    if document is None or document["status"] == "none":
        return NO_CALIBRATION
    sample = CalibrationSample(*(document[name] for name in CalibrationSample._fields))
    return CalibrationNote(document["status"], sample)


def tell_p_convert(chance: PConvert) -> str:
    """Return the chance as people read it: `12% (9.1 to 16%)`."""
    return f"{_percent(chance.value)}% ({_percent(chance.low)} to {_percent(chance.high)}%)"


def tell_calibration(note: CalibrationNote) -> str:
    """Return what a chance is of and from, or why there is none, in words."""
    sample = note.sample
    if sample is None:
        return "no conversions have been calibrated on yet"
    day = sample.taken_at[:10]
    if note.status == "stale":
        return f"the calibration of {day} is older than {MOST_DAYS} days"
    if note.status == "other ruleset":
        return f"the calibration of {day} is of another ruleset"
    return (
        f"within {sample.window_days:g} days; calibrated {day} on {sample.leads:,} leads, "
        f"of whom {sample.conversions:,} converted"
    )


def _percent(share: float) -> str:
    """Return a share in percent, with one decimal where whole ones would be too rough."""
    percent = share * 100
    return f"{percent:.0f}" if 9.95 <= percent <= 90.05 else f"{percent:.1f}"
