"""Which deployment a command talks to: the checkout's local stage, or a stage in an AWS account."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from leadscore_cli.api_client import ApiClient
from leadscore_cli.aws import local_session
from leadscore_cli.emulator import Emulator
from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.outputs import Deployment, LocalOutputs
from leadscore_cli.project import find_project, local_state

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient


_STACKS = ("stateful", "stateless")


@dataclass(frozen=True, slots=True)
class Target:
    """One deployment and the means to reach it; `write_key` is known for the local stage alone."""

    deployment: Deployment
    session: boto3.Session
    endpoint_url: str | None
    write_key: str | None

    def api(self) -> ApiClient:
        """Return a client of the API, which is to be closed."""
        deployed, api_key = self.deployment, os.environ.get("LEADSCORE_API_KEY")
        return ApiClient(deployed.api, deployed.region, self.session.get_credentials(), api_key)

    @contextmanager
    def logs(self) -> Iterator[CloudWatchLogsClient]:
        """Give a CloudWatch Logs client."""
        client = self.session.client("logs", endpoint_url=self.endpoint_url, config=self._config)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def dynamodb(self, connections: int) -> Iterator[DynamoDBClient]:
        """Give a DynamoDB client that so many threads may share."""
        client = self.session.client("dynamodb", endpoint_url=self.endpoint_url, config=self._patient(connections))
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def states(self) -> Iterator[SFNClient]:
        """Give a Step Functions client."""
        client = self.session.client("stepfunctions", endpoint_url=self.endpoint_url, config=self._config)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def lambdas(self, wait_seconds: int) -> Iterator[LambdaClient]:
        """Give a Lambda client that waits so long for an answer, once."""
        once = Config(read_timeout=wait_seconds, retries={"total_max_attempts": 1})
        config = once if self._config is None else once.merge(self._config)
        client = self.session.client("lambda", endpoint_url=self.endpoint_url, config=config)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def s3(self) -> Iterator[S3Client]:
        """Give an S3 client."""
        # The emulator has one host name for all buckets.
        config = None if self._config is None else self._config.merge(Config(s3={"addressing_style": "path"}))
        client = self.session.client("s3", endpoint_url=self.endpoint_url, config=config)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def ssm(self) -> Iterator[SSMClient]:
        """Give a Parameter Store client."""
        client = self.session.client("ssm", endpoint_url=self.endpoint_url, config=self._config)
        try:
            yield client
        finally:
            client.close()

    @contextmanager
    def sqs(self) -> Iterator[SQSClient]:
        """Give an SQS client."""
        client = self.session.client("sqs", endpoint_url=self.endpoint_url, config=self._config)
        try:
            yield client
        finally:
            client.close()

    def _patient(self, connections: int) -> Config:
        config = Config(max_pool_connections=connections, retries={"mode": "standard", "total_max_attempts": 8})
        return config if self._config is None else config.merge(self._config)

    @property
    def _config(self) -> Config | None:
        return Config(proxies={}) if self.endpoint_url else None


def choose_target(stage: str, state: Path) -> Target:
    """Return the local stage that lives in the directory `state`, or the deployed stage of that name."""
    return _local_target(state) if stage == LOCAL_STAGE else _deployed_target(stage)


def target_of_project(stage: str) -> Target:
    """Return the target of that stage, the local one being that of the checkout around the working directory."""
    return choose_target(stage, local_state(find_project()))


def _local_target(state: Path) -> Target:
    outputs = LocalOutputs.load(state)
    if outputs is None or Emulator.of(state) is None:
        raise CommandError("the local stage is not up: start it with `make up`")
    return Target(outputs.deployment, local_session(), outputs.endpoint_url, outputs.write_key)


def _deployed_target(stage: str) -> Target:
    session = boto3.Session()
    if session.region_name is None:
        raise CommandError("no AWS region: set AWS_REGION, or choose a profile that has one")
    try:
        client = session.client("cloudformation")
        try:
            outputs = _stack_outputs(client, stage)
        finally:
            client.close()
    except BotoCoreError as problem:
        raise CommandError(f"AWS cannot be asked: {problem}") from problem
    deployment = Deployment.from_cdk(stage, session.region_name, outputs)
    return Target(deployment, session, endpoint_url=None, write_key=None)


def _stack_outputs(client: CloudFormationClient, stage: str) -> dict[str, str]:
    outputs: dict[str, str] = {}
    for part in _STACKS:
        name = f"leadscore-{stage}-{part}"
        try:
            found = client.describe_stacks(StackName=name)["Stacks"][0].get("Outputs", [])
        except ClientError as problem:
            raise CommandError(f"the stack {name} cannot be read: {problem}") from problem
        outputs.update({output["OutputKey"]: output["OutputValue"] for output in found})
    return outputs
