"""The re-score after a publication: an execution of the state machine that rebuilds, of what is outdated alone."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from leadscore.usecases.rebuilding import SEGMENTS, Segment

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


class RebuildMachine:
    """The publisher's Rescore on the state machine with the ARN `machine`."""

    def __init__(self, client: SFNClient, machine: str) -> None:
        self._client = client
        self._machine = machine

    def start(self, name: str, wait: timedelta) -> str:
        """Start an execution, to wait so long first, unless there was one of that name; return its ARN."""
        segments = [Segment(number, SEGMENTS, outdated_only=True).to_dict() for number in range(SEGMENTS)]
        given = json.dumps({"segments": segments, "wait_seconds": int(wait.total_seconds())})
        try:
            return self._client.start_execution(stateMachineArn=self._machine, name=name, input=given)["executionArn"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ExecutionAlreadyExists":
                raise
            return f"{self._machine.replace(':stateMachine:', ':execution:')}:{name}"
