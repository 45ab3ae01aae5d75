"""A run of the insights as its state machine makes it: started, or followed where one is under way.

Invariant: the state of a run is in the state machine's own history, so that whoever follows it may leave and come back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from leadscore.usecases.learning import SampledSegment

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_NEWEST_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class RunStanding:
    """How a run stands: what its segments have read so far, and why it stopped where it has."""

    status: str
    items: int
    leads: int
    reason: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status != "RUNNING"

    @property
    def is_complete(self) -> bool:
        """Whether readers get what the run came to."""
        return self.status == "SUCCEEDED"


@dataclass(slots=True)
class InsightsRun:
    """One execution, and how far its segments were known to have come."""

    client: SFNClient
    execution: str
    origin: Literal["new", "under way"]
    segments: dict[int, SampledSegment] = field(default_factory=dict)

    def look(self) -> RunStanding:
        """Return how it stands, by its newest events alone."""
        described = self.client.describe_execution(executionArn=self.execution)
        answer = self.client.get_execution_history(
            executionArn=self.execution, reverseOrder=True, maxResults=_NEWEST_EVENTS
        )
        for event in reversed(answer["events"]):
            details: Any = event.get("taskSucceededEventDetails")
            payload = {} if details is None else json.loads(details["output"])["Payload"]
            if "next" in payload:
                segment = SampledSegment.from_dict(payload["next"])
                self.segments[segment.segment] = segment
        known = self.segments.values()
        return RunStanding(
            described["status"],
            sum(segment.items for segment in known),
            sum(segment.leads for segment in known),
            described.get("cause", ""),
        )


def begin_insights(client: SFNClient, machine: str) -> InsightsRun:
    """Return the run that is under way, or else one that is started now."""
    newest = client.list_executions(stateMachineArn=machine, maxResults=1)["executions"]
    if newest and newest[0]["status"] == "RUNNING":
        return InsightsRun(client, newest[0]["executionArn"], "under way")
    started = client.start_execution(stateMachineArn=machine, input="{}")
    return InsightsRun(client, started["executionArn"], "new")
