"""The one place that reads the clock and waits; everything else is handed an instant, or a way to wait."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime

_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 1.0


def utc_now() -> datetime:
    """Return the current instant in UTC."""
    return datetime.now(UTC)  # noqa: TID251


def pause(attempt: int) -> None:
    """Wait before the `attempt`-th retry: up to a bound that doubles each time, at random, so that rivals part.

    "Full jitter" of the AWS Architecture Blog, Exponential Backoff And Jitter.
    """
    bound = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**attempt)
    time.sleep(random.uniform(0, bound))  # noqa: S311


def wait(seconds: float) -> None:
    """Return after so many seconds."""
    time.sleep(seconds)


class Pace:
    """Holds work to so many things a second, on the average since it last stood still."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._free_at = 0.0

    def wait(self, number: int) -> None:
        """Return when so many more may be done."""
        begin = max(time.monotonic(), self._free_at)
        self._free_at = begin + number / self._per_second
        time.sleep(max(0.0, begin - time.monotonic()))
