"""Reads the functions' CloudWatch logs, oldest line first, and follows them as they grow."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from leadscore_cli.failures import CommandError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import FilteredLogEventTypeDef

_POLL_SECONDS = 1.0
# CloudWatch shows a line some seconds after its own time; each poll looks back this far for such lines.
_LATE_MILLISECONDS = 30_000


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of one function's log; `at` is in milliseconds since 1970."""

    at: int
    function: str
    event_id: str
    text: str

    @property
    def instant(self) -> str:
        """The time of the line, in UTC, to the millisecond."""
        moment = datetime.fromtimestamp(self.at / 1000, UTC)
        return moment.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


def read_log(client: CloudWatchLogsClient, groups: Mapping[str, str], since: int) -> list[LogLine]:
    """Return the lines of all `groups` (function name to log group) since an instant in milliseconds."""
    lines: list[LogLine] = []
    for function, group in groups.items():
        try:
            for page in client.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since):
                lines += [_read_line(function, event) for event in page["events"]]
        except ClientError as problem:
            raise CommandError(f"the log group {group} cannot be read: {problem}") from problem
    return sorted(lines, key=lambda line: line.at)


def _read_line(function: str, event: FilteredLogEventTypeDef) -> LogLine:
    at, text = event["timestamp"], event["message"].rstrip()
    # The emulator gives no event ids; there, equal text at the same millisecond of one stream is one line.
    return LogLine(at, function, event.get("eventId", f"{event['logStreamName']} {at} {text}"), text)


def follow_log(client: CloudWatchLogsClient, groups: Mapping[str, str], since: int) -> Iterator[LogLine]:
    """Yield every line since an instant once, and wait for more until the caller stops."""
    seen: set[str] = set()
    while True:
        lines = read_log(client, groups, since)
        yield from (line for line in lines if line.event_id not in seen)
        if lines:
            since = max(since, lines[-1].at - _LATE_MILLISECONDS)
            seen = {line.event_id for line in lines if line.at >= since}
        time.sleep(_POLL_SECONDS)
