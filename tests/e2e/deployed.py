"""The stack that the end-to-end tests share, and how they wait for what happens in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3

from leadscore_cli.api_client import ApiClient
from leadscore_cli.local_stage import LocalStage
from leadscore_cli.outputs import Deployment, LocalOutputs

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

# What the stack imports archives from; a test that uses it makes it.
ARCHIVE_BUCKET = "leadscore-archive"
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Clients:
    """One client of each service that tests look into, all with the emulator's root key."""

    dynamodb: DynamoDBClient
    events: EventBridgeClient
    iam: IAMClient
    lambdas: LambdaClient
    logs: CloudWatchLogsClient
    sns: SNSClient
    sqs: SQSClient
    ssm: SSMClient
    sts: STSClient


@dataclass(frozen=True, slots=True)
class Stack:
    """The deployed app: its stage, its names, clients of its AWS and of its API (signed by the root key)."""

    stage: LocalStage
    outputs: LocalOutputs
    session: boto3.Session
    clients: Clients
    api: ApiClient

    @property
    def names(self) -> Deployment:
        """The names of what is deployed."""
        return self.outputs.deployment


def eventually[T](check: Callable[[], T | None], timeout_seconds: float = 30.0) -> T:
    """Return the first result of `check` that is not None, False or empty.

    An AssertionError of `check` counts as not yet. At the deadline it is raised as it is, or else one that says what
    the last result was.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        failure: AssertionError | None = None
        result = None
        try:
            result = check()
        except AssertionError as not_yet:
            failure = not_yet
        if result:
            return result
        if time.monotonic() > deadline:
            raise failure or AssertionError(f"still {result!r} after {timeout_seconds:.0f} s")
        time.sleep(_POLL_SECONDS)


def logged(stack: Stack, function: str, text: str) -> bool:
    """Return whether a line of a function's log has the text in it."""
    # The emulator answers the oldest 10,000 lines and names no next page: time is what leads on.
    since, newest = -1, 0
    while newest > since:
        since = newest
        found = stack.clients.logs.filter_log_events(logGroupName=stack.names.log_groups[function], startTime=since)
        if any(text in str(event["message"]) for event in found["events"]):
            return True
        newest = max((event["timestamp"] for event in found["events"]), default=since)
    return False
