"""AWS clients as every function uses them: made once at start, patient for less than a function's own timeout.

They are botocore's own. boto3 makes the same ones; what it has beside them nobody here needs, and a cold start pays.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, cast

from botocore.config import Config
from botocore.session import Session, get_session

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sesv2 import SESV2Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient

# botocore waits 60 s by default, longer than a function lives: its error would never be seen.
# The other two are a third of what a request costs the caller's processor: botocore puts its own user agent together
# for each request anew, twice, and looks at every value that the type checker and then the service look at too.
_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    user_agent="leadscore",
    parameter_validation=False,
)


def dynamodb_client() -> DynamoDBClient:
    """Return a client of DynamoDB."""
    return cast("DynamoDBClient", _client("dynamodb"))


def sqs_client() -> SQSClient:
    """Return a client of SQS."""
    return cast("SQSClient", _client("sqs"))


def s3_client() -> S3Client:
    """Return a client of S3."""
    return cast("S3Client", _client("s3"))


def ssm_client() -> SSMClient:
    """Return a client of Parameter Store."""
    return cast("SSMClient", _client("ssm"))


def states_client() -> SFNClient:
    """Return a client of Step Functions."""
    return cast("SFNClient", _client("stepfunctions"))


def sns_client() -> SNSClient:
    """Return a client of SNS."""
    return cast("SNSClient", _client("sns"))


def mail_client() -> SESV2Client:
    """Return a client of SES."""
    return cast("SESV2Client", _client("sesv2"))


def bus_client() -> EventBridgeClient:
    """Return a client of EventBridge."""
    return cast("EventBridgeClient", _client("events"))


@cache
def _session() -> Session:
    return get_session()


def _client(service: str) -> BaseClient:
    return _session().create_client(service, config=_CONFIG)
