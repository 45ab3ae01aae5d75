"""Logs of several functions are one story, told once."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, cast

import pytest

from leadscore_cli.log_lines import follow_log, read_log

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

GROUPS = {"ingest": "/logs/ingest", "score": "/logs/score"}


class Logs:
    """The one call of CloudWatch Logs that is used, over lines of (group, time, id, text)."""

    def __init__(self, *lines: tuple[str, int, str, str]) -> None:
        self.lines = list(lines)
        self.starts: list[int] = []

    def get_paginator(self, operation: str) -> Logs:
        assert operation == "filter_log_events"
        return self

    def paginate(self, *, logGroupName: str, startTime: int) -> list[dict[str, object]]:  # noqa: N803
        self.starts.append(startTime)
        found = [
            {"timestamp": at, "eventId": identifier, "message": text, "logStreamName": "stream"}
            for group, at, identifier, text in self.lines
            if group == logGroupName and at >= startTime
        ]
        return [{"events": [event]} for event in found]


def client(logs: Logs) -> CloudWatchLogsClient:
    return cast("CloudWatchLogsClient", logs)


def test_lines_of_all_functions_come_in_the_order_of_time() -> None:
    ingest = [("/logs/ingest", 3, "c", "third"), ("/logs/ingest", 1, "a", "first")]
    logs = Logs(*ingest, ("/logs/score", 2, "b", "second\n"))

    lines = read_log(client(logs), GROUPS, since=0)

    told = [(line.function, line.text) for line in lines]
    assert told == [("ingest", "first"), ("score", "second"), ("ingest", "third")]


def test_a_line_shows_its_time_in_utc() -> None:
    (line,) = read_log(client(Logs(("/logs/score", 1_700_000_000_123, "a", "x"))), GROUPS, since=0)

    assert line.instant == "2023-11-14 22:13:20.123"


def test_following_yields_each_line_once_also_a_late_one(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = Logs(("/logs/ingest", 100_000, "a", "first"))
    arrivals = [("/logs/score", 99_000, "b", "late"), ("/logs/ingest", 200_000, "c", "last")]
    monkeypatch.setattr("time.sleep", lambda _: logs.lines.append(arrivals.pop(0)))

    followed = [line.text for line in islice(follow_log(client(logs), GROUPS, since=0), 3)]

    assert followed == ["first", "late", "last"]
    assert logs.starts[-1] > 0
