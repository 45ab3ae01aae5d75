"""From the calibration that was stored last to the chance to convert of each lead that is told of.

Invariant: no chance is given by a calibration of another ruleset's scores or by one that is too old, and none of a lead
that has converted or is disqualified, of which the calibration knows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from leadscore.core.instants import DAY, format_instant, to_datetime
from leadscore.core.p_convert import (
    MOST_DAYS,
    NO_CALIBRATION,
    CalibrationNote,
    CalibrationSample,
    CalibrationStatus,
    PConvert,
)
from leadscore.core.ruleset import DISQUALIFIED

if TYPE_CHECKING:
    from leadscore.core.scoring import Score
    from leadscore.learning.calibration import Calibration, DatedCalibration


@dataclass(frozen=True, slots=True)
class Chances:
    """What scores under one ruleset come to; the calibration is None where the note says that it is not to be used."""

    note: CalibrationNote = NO_CALIBRATION
    calibration: Calibration | None = None

    def of(self, score: Score) -> PConvert | None:
        """Return the chance to convert of a lead with that score, None where there is none to give."""
        if self.calibration is None or score.tier == DISQUALIFIED or score.converted_at is not None:
            return None
        return PConvert(*self.calibration.estimate(score.total))


NO_CHANCES = Chances()


def judge_calibration(held: DatedCalibration | None, ruleset: str, now: datetime) -> Chances:
    """Return the chances by the calibration that is `held`, as of `now`, for scores under the version `ruleset`."""
    if held is None:
        return NO_CHANCES
    calibration = held.calibration
    sample = CalibrationSample(
        taken_at=format_instant(held.taken_at),
        leads=calibration.leads,
        conversions=calibration.conversions,
        window_days=held.window / DAY,
        ruleset=held.ruleset,
    )
    status: CalibrationStatus = "current"
    if held.ruleset != ruleset:
        status = "other ruleset"
    elif now - to_datetime(held.taken_at) > timedelta(days=MOST_DAYS):
        status = "stale"
    return Chances(CalibrationNote(status, sample), calibration if status == "current" else None)
