"""AWS clients as every function uses them: made once at start, patient for less than a function's own timeout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

# botocore waits 60 s by default, longer than a function lives: its error would never be seen.
_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


def dynamodb_client() -> DynamoDBClient:
    """Return a client of DynamoDB."""
    return boto3.client("dynamodb", config=_CONFIG)


def sqs_client() -> SQSClient:
    """Return a client of SQS."""
    return boto3.client("sqs", config=_CONFIG)


def ssm_client() -> SSMClient:
    """Return a client of Parameter Store."""
    return boto3.client("ssm", config=_CONFIG)


def sns_client() -> SNSClient:
    """Return a client of SNS."""
    return boto3.client("sns", config=_CONFIG)


def bus_client() -> EventBridgeClient:
    """Return a client of EventBridge."""
    return boto3.client("events", config=_CONFIG)
