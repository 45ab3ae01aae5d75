"""A stored calibration, for the functions that tell a chance to convert beside a score."""

from __future__ import annotations

from datetime import datetime

import boto3

from leadscore.adapters.learning_items import DynamoInsights
from leadscore.core.instants import DAY, from_datetime
from leadscore.learning.calibration import Calibration, DatedCalibration
from tests.contract.leads_table import TABLE

FITTED = Calibration(-4.0, 0.05, (0.04, -0.0005, 0.00001), leads=1200, conversions=140)


def store_calibration(ruleset: str, taken_at: datetime) -> None:
    """Put a calibration of that ruleset's scores in force."""
    dated = DatedCalibration(FITTED, from_datetime(taken_at), 30 * DAY, ruleset)
    DynamoInsights(boto3.client("dynamodb"), TABLE).replace(taken_at.isoformat(), from_datetime(taken_at), {}, dated)
