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
