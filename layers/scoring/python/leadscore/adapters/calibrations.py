"""The calibration in force, read at most once per time to live: a newer one reaches every warm function by then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from leadscore.learning.calibration import DatedCalibration


class CachedCalibration:
    """The stored calibration, None where there is none, which is remembered as well.

    One that cannot be read is reported, and what was held before goes on being held: nobody goes without an alert or a
    list because a chance is missing.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        ttl_seconds: int,
        clock: Callable[[], datetime],
        report: Callable[[str], object],
    ) -> None:
        self._client = client
        self._table = table
        self._ttl = timedelta(seconds=ttl_seconds)
        self._clock = clock
        self._report = report
        self._held: DatedCalibration | None = None
        self._fresh_until: datetime | None = None

    def value(self) -> DatedCalibration | None:
        """Return the calibration as it was at most `ttl_seconds` ago."""
        # Imported where it is needed: most calls tell nobody of anything, and a cold start pays for every import.
        from leadscore.adapters.learning_items import load_calibration

        now = self._clock()
        if self._fresh_until is None or now >= self._fresh_until:
            try:
                self._held = load_calibration(self._client, self._table)
            except Exception:  # noqa: BLE001  whatever is wrong with it
                self._report("the calibration cannot be read")
            self._fresh_until = now + self._ttl
        return self._held
