"""The one place that reads the clock; everything else is handed an instant."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the current instant in UTC."""
    return datetime.now(UTC)  # noqa: TID251
