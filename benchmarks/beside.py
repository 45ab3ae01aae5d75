"""What a benchmark puts beside the app on the same emulator: bare functions, with a role and an API of their own."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.config import Config

from leadscore_cli.aws import LOCAL_ACCOUNT, LOCAL_REGION, local_session

ACCOUNT = f"{LOCAL_REGION}:{LOCAL_ACCOUNT}"


def open_clients(opened: ExitStack, endpoint: str, names: Sequence[str]) -> dict[str, Any]:
    """Return a client of each service, with the emulator's root key."""
    session: Any = local_session()
    return {
        name: opened.enter_context(closing(session.client(name, endpoint_url=endpoint, config=Config(proxies={}))))
        for name in names
    }


@dataclass(frozen=True, slots=True)
class Beside:
    """Makes bare functions from one file, all under one role, and an API before one of them."""

    clients: Mapping[str, Any]
    endpoint: str
    name: str
    source: Path

    def make_role(self, *allowed: Mapping[str, Any]) -> str:
        """Create the role with those statements, beside the right to write logs, and return its ARN."""
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        log = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}
        iam = self.clients["iam"]
        role = iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
        iam.put_role_policy(RoleName=self.name, PolicyName="bare", PolicyDocument=_policy(*allowed, log))
        return str(role)

    def make_function(self, name: str, handler: str, role: str, variables: Mapping[str, str]) -> str:
        """Create a function and return its ARN."""
        made = self.clients["lambda"].create_function(
            FunctionName=name,
            Runtime="python3.13",
            Handler=f"handler.{handler}",
            Role=role,
            Code={"ZipFile": _zipped(self.source)},
            MemorySize=512,
            Timeout=10,
            Environment={"Variables": dict(variables)},
        )
        return str(made["FunctionArn"])

    def make_api(self, function: str, paths: Sequence[str]) -> str:
        """Let a function, by its ARN, answer POST on those paths, and return the address that they are under."""
        gateway = self.clients["apigateway"]
        api = gateway.create_rest_api(name=self.name, binaryMediaTypes=["*/*"])["id"]
        root = gateway.get_resources(restApiId=api)["items"][0]["id"]
        for path in paths:
            resource = gateway.create_resource(restApiId=api, parentId=root, pathPart=path)["id"]
            target = {"restApiId": api, "resourceId": resource, "httpMethod": "POST"}
            gateway.put_method(**target, authorizationType="NONE")
            uri = f"arn:aws:apigateway:{LOCAL_REGION}:lambda:path/2015-03-31/functions/{function}/invocations"
            gateway.put_integration(**target, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
        gateway.create_deployment(restApiId=api, stageName="v1")
        self.clients["lambda"].add_permission(
            FunctionName=function.rpartition(":")[2],
            StatementId="api",
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
        )
        return f"{self.endpoint}/_aws/execute-api/{api}/v1"


def _policy(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _zipped(path: Path) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(path, path.name)
    return archive.getvalue()
