"""Which deployment a command talks to: the checkout's local stage, or a stage in an AWS account."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_ssm import SSMClient


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
        return ApiClient(self.deployment.api, self.deployment.region, self.session.get_credentials())

    @contextmanager
    def logs(self) -> Iterator[CloudWatchLogsClient]:
        """Give a CloudWatch Logs client."""
        client = self.session.client("logs", endpoint_url=self.endpoint_url, config=self._config)
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

    @property
    def _config(self) -> Config | None:
        return Config(proxies={}) if self.endpoint_url else None


def choose_target(stage: str, state: Path) -> Target:
    """Return the local stage that lives in the directory `state`, or the deployed stage of that name."""
    return _local_target(state) if stage == LOCAL_STAGE else _deployed_target(stage)


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
