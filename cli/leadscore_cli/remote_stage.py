"""Deploys a stage into the AWS account of the caller's ordinary credentials."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from leadscore_cli.cdk import CdkCommand, ensure_cdk, tool_path
from leadscore_cli.target import Target, choose_target
from leadscore_cli.write_keys import WriteKeyStore


def deploy_stage(project: Path, state: Path, stage: str, context: list[str]) -> tuple[Target, str | None]:
    """Return the deployed stage, and its first write key when this call made it.

    `context` holds `name=value` pairs for the CDK app. On a terminal, cdk asks before it widens permissions.
    """
    ensure_cdk(project)
    cdk = CdkCommand(project, {**os.environ, "PATH": tool_path(project)}, logs=None)
    approval = "broadening" if sys.stdin.isatty() else "never"
    pairs = [f"--context={pair}" for pair in (f"stage={stage}", *context)]
    cdk.run("deploy", "--all", f"--require-approval={approval}", *pairs)
    target = choose_target(stage, state)
    with target.ssm() as ssm:
        return target, WriteKeyStore(ssm, target.deployment.write_keys_parameter).first()
