"""The pinned CDK command line is installed when it must be, run as asked, and its failure is shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import boto3
import pytest
from moto import mock_aws

from leadscore_cli import remote_stage
from leadscore_cli.cdk import CdkCommand, ensure_cdk
from leadscore_cli.failures import CommandError
from leadscore_cli.outputs import Deployment
from leadscore_cli.remote_stage import deploy_stage
from leadscore_cli.target import Target
from tests.unit.test_cli_outputs import CDK_OUTPUTS

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


def write_tool(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose cdk writes its arguments and whose npm writes that it ran."""
    write_tool(tmp_path / "node_modules" / ".bin" / "cdk", 'echo "$PWD: $*" | tee -a "$TRACE"; test "$1" != fail')
    write_tool(
        tmp_path / "bin" / "npm", 'echo "npm $*" >> "$TRACE"; test -z "$NPM_FAILS" || { echo no registry; exit 1; }'
    )
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("TRACE", str(tmp_path / "trace"))
    lock, installed = tmp_path / "package-lock.json", tmp_path / "node_modules" / ".package-lock.json"
    lock.touch()
    installed.touch()
    os.utime(lock, (1000, 1000))
    os.utime(installed, (1000, 1000))
    return tmp_path


def environment(project: Path) -> dict[str, str]:
    return {"PATH": os.defpath, "TRACE": str(project / "trace")}


def trace(project: Path) -> list[str]:
    file = project / "trace"
    return file.read_text().splitlines() if file.exists() else []


def test_what_cdk_prints_goes_to_a_log_of_its_own(project: Path) -> None:
    cdk = CdkCommand(project, environment(project), project)

    cdk.run("synth", "--quiet")
    cdk.run("bootstrap", cwd=project / "bin")

    assert (project / "cdk-synth.log").read_text() == f"{project}: synth --quiet --no-notices\n"
    assert (project / "cdk-bootstrap.log").read_text() == f"{project}/bin: bootstrap --no-notices\n"


def test_a_failure_shows_the_end_of_its_log(project: Path) -> None:
    with pytest.raises(CommandError, match="cdk fail failed") as failure:
        CdkCommand(project, environment(project), project).run("fail", "loudly")

    assert "fail loudly" in failure.value.detail


def test_an_installation_as_new_as_its_lock_is_kept(project: Path) -> None:
    ensure_cdk(project)

    assert trace(project) == []


@pytest.mark.parametrize("state", ["missing", "older"])
def test_a_missing_or_older_installation_is_made_once(project: Path, state: str) -> None:
    installed = project / "node_modules" / ".package-lock.json"
    if state == "missing":
        installed.unlink()
    else:
        os.utime(installed, (999, 999))

    ensure_cdk(project)
    ensure_cdk(project)

    assert [line.split()[:2] for line in trace(project)] == [["npm", "ci"]]


def test_a_failed_installation_says_why(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "node_modules" / ".package-lock.json").unlink()
    monkeypatch.setenv("NPM_FAILS", "1")

    with pytest.raises(CommandError, match="npm ci failed") as failure:
        ensure_cdk(project)

    assert failure.value.detail == "no registry"


@dataclass(frozen=True)
class DeployedTarget:
    """A deployed stage whose parameters are moto's."""

    deployment: Deployment
    client: SSMClient

    @contextmanager
    def ssm(self) -> Iterator[SSMClient]:
        yield self.client


@mock_aws
def test_the_first_deployment_of_a_stage_makes_a_write_key_and_no_later_one(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(boto3.client("ssm")) as ssm:
        target = DeployedTarget(Deployment.from_cdk("dev", "us-east-1", CDK_OUTPUTS), ssm)
        ssm.put_parameter(Name=target.deployment.write_keys_parameter, Value="[]", Type="String")
        monkeypatch.setattr(remote_stage, "choose_target", lambda _stage, _state: cast("Target", target))

        _, first = deploy_stage(project, project, "dev", ["alert_email=sales@acme.example"])
        _, second = deploy_stage(project, project, "dev", [])

    assert first is not None
    assert second is None
    contexts = [line.split(": ", 1)[1].split()[3:] for line in trace(project)]
    assert contexts == [
        ["--context=stage=dev", "--context=alert_email=sales@acme.example", "--no-notices"],
        ["--context=stage=dev", "--no-notices"],
    ]


def test_a_deployment_that_fails_makes_no_key(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tool(project / "node_modules" / ".bin" / "cdk", "exit 1")
    monkeypatch.setattr(remote_stage, "choose_target", lambda *_: pytest.fail("the stage is not deployed"))

    with pytest.raises(CommandError, match="cdk deploy failed"):
        deploy_stage(project, project, "dev", [])
