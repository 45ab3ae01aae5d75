"""A rebuild of all leads as its state machine runs it: started, followed, and gone on with where one has stopped.

    the newest execution --runs----> followed
                         --failed--> its history: the last `next` of each segment --> a new execution of what is left
                         --else----> a new execution of all segments

Invariant: the state of a run is in the state machine's own history, so that whoever follows it may leave and come back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from leadscore.usecases.rebuilding import SEGMENTS, Found, Segment
from leadscore_cli.failures import CommandError

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import ExecutionListItemTypeDef, HistoryEventTypeDef

# What happened in a run that stopped longer ago than this is not relied on: the leads may have changed since.
RESUMED_WITHIN = timedelta(days=1)
_NEWEST_EVENTS = 1000

# Whether a run was started as a whole, was under way already, or goes on behind one that stopped.
Origin = Literal["new", "under way", "stopped"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands: every segment as far as it has come."""

    status: str
    segments: tuple[Segment, ...]
    reason: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status != "RUNNING"

    @property
    def is_complete(self) -> bool:
        """Whether all was rebuilt."""
        return self.status == "SUCCEEDED" and all(segment.done for segment in self.segments)

    @property
    def items(self) -> int:
        """How many items of the table were read."""
        return sum(segment.items for segment in self.segments)

    @property
    def leads(self) -> int:
        """How many leads were verified."""
        return sum(segment.leads for segment in self.segments)

    @property
    def written(self) -> int:
        """How many of them differed and were rebuilt."""
        return sum(segment.written for segment in self.segments)

    @property
    def counts(self) -> Counter[str]:
        """How many differences there were of each kind."""
        return sum((Counter(segment.counts) for segment in self.segments), Counter())

    @property
    def rulesets(self) -> set[str]:
        """The versions of the rulesets that leads were brought under."""
        return {segment.ruleset for segment in self.segments if segment.ruleset}


@dataclass(slots=True)
class RebuildRun:
    """One execution, and what its segments were known to have come to."""

    client: SFNClient
    execution: str
    segments: dict[int, Segment] = field(default_factory=dict)
    origin: Origin = "new"

    def look(self) -> Standing:
        """Return how it stands, by its newest events alone."""
        described = self.client.describe_execution(executionArn=self.execution)
        answer = self.client.get_execution_history(
            executionArn=self.execution, reverseOrder=True, maxResults=_NEWEST_EVENTS
        )
        for segment, _ in _calls(reversed(answer["events"])):
            self.segments[segment.segment] = segment
        if described["status"] == "SUCCEEDED":
            done = [Segment.from_dict(values) for values in json.loads(described["output"])]
            self.segments |= {segment.segment: segment for segment in done}
        segments = tuple(self.segments[number] for number in sorted(self.segments))
        return Standing(described["status"], segments, described.get("cause", ""))

    def found(self) -> list[Found]:
        """Return every difference that was told, in the order of time."""
        return [found for _, told in _calls(_history(self.client, self.execution)) for found in told]


def begin_run(client: SFNClient, machine: str, now: datetime, *, outdated_only: bool, anew: bool) -> RebuildRun:
    """Return the run that is under way, or else one that is started now.

    It goes on with the newest one where that has stopped not long ago, unless it is to begin `anew`.
    """
    newest = client.list_executions(stateMachineArn=machine, maxResults=1)["executions"]
    fresh = {number: Segment(number, SEGMENTS, outdated_only=outdated_only) for number in range(SEGMENTS)}
    if newest and newest[0]["status"] == "RUNNING":
        execution = newest[0]["executionArn"]
        run = open_run(client, execution)
        if not outdated_only and any(segment.outdated_only for segment in run.segments.values()):
            raise CommandError("leads are being brought under a new ruleset: run it again once that is over")
        return run
    known = {} if anew or not newest else _left_by(client, newest[0], now)
    goes_on = bool(known) and all(segment.outdated_only == outdated_only for segment in known.values())
    segments = known if goes_on else fresh
    waiting = [segment.to_dict() for segment in segments.values() if not segment.done]
    started = client.start_execution(stateMachineArn=machine, input=json.dumps({"segments": waiting}))
    return RebuildRun(client, started["executionArn"], segments, origin="stopped" if goes_on else "new")


def open_run(client: SFNClient, execution: str) -> RebuildRun:
    """Return the run that an execution is."""
    return RebuildRun(client, execution, _segments_of(client, execution), origin="under way")


def _left_by(client: SFNClient, execution: ExecutionListItemTypeDef, now: datetime) -> dict[int, Segment]:
    """Return how far a run came that stopped, nothing where that no longer counts, or it was done."""
    stopped = execution.get("stopDate")
    if execution["status"] == "SUCCEEDED" or stopped is None or now - stopped > RESUMED_WITHIN:
        return {}
    segments = _segments_of(client, execution["executionArn"])
    for segment, _ in _calls(_history(client, execution["executionArn"])):
        segments[segment.segment] = segment
    return segments if any(not segment.done for segment in segments.values()) else {}


def _segments_of(client: SFNClient, execution: str) -> dict[int, Segment]:
    given = json.loads(client.describe_execution(executionArn=execution).get("input", "{}"))
    segments = [Segment.from_dict(values) for values in given.get("segments", [])]
    return {segment.segment: segment for segment in segments}


def _history(client: SFNClient, execution: str) -> Iterator[HistoryEventTypeDef]:
    for page in client.get_paginator("get_execution_history").paginate(executionArn=execution):
        yield from page["events"]


def _calls(
    events: Iterator[HistoryEventTypeDef] | Sequence[HistoryEventTypeDef],
) -> Iterator[tuple[Segment, list[Found]]]:
    """Yield what each call of the worker came to."""
    for event in events:
        details: Any = event.get("taskSucceededEventDetails")
        if details is not None:
            payload = json.loads(details["output"])["Payload"]
            yield Segment.from_dict(payload["next"]), [Found(**each) for each in payload["found"]]
