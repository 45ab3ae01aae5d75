"""`leadscore keys` on the terminal: the key once and alone on standard output, everything else beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from leadscore_cli import keys as keys_command
from leadscore_cli.main import app
from leadscore_cli.write_keys import fingerprint

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

PARAMETER = "/leadscore/test/write-keys"


@dataclass
class FakeTarget:
    """A stage of which only Parameter Store is there."""

    client: SSMClient
    deployment: SimpleNamespace

    @contextmanager
    def ssm(self) -> Iterator[SSMClient]:
        yield self.client


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[SSMClient]:
    with mock_aws(), closing(boto3.client("ssm")) as client:
        client.put_parameter(Name=PARAMETER, Value="[]", Type="String")
        target = FakeTarget(client, SimpleNamespace(write_keys_parameter=PARAMETER))
        monkeypatch.setattr(keys_command, "target_of_project", {"dev": target}.__getitem__)
        yield client


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["keys", *arguments, "--stage", "dev"])
    return result.exit_code, result.stdout, result.stderr


def test_a_key_is_shown_once_and_alone(ssm: SSMClient) -> None:
    status, shown, beside = run("create", "web", "--origin", "https://app.example", "--origin", "https://www.example")

    key = shown.strip()
    [entry] = json.loads(ssm.get_parameter(Name=PARAMETER)["Parameter"]["Value"])
    assert (status, len(key)) == (0, 32)
    assert entry["sha256"] == fingerprint(key)
    assert entry["origins"] == ["https://app.example", "https://www.example"]
    assert "not shown again" in beside
    assert key not in beside


def test_the_list_shows_sources_and_no_key(ssm: SSMClient) -> None:
    made = [run("create", "web", "--origin", "https://app.example")[1].strip()]
    made += [run("create", name, *options)[1].strip() for name, options in (("back", ["--server-only"]), ("old", []))]
    assert run("revoke", "old")[0] == 0

    status, listed, _ = run("list")
    rows = {line.split()[0]: line for line in listed.splitlines()}

    assert status == 0
    assert "https://app.example" in rows["web"]
    assert "servers" in rows["back"]
    assert "anybody" in rows["old"]
    # Created, and for one of them revoked.
    assert [rows[name].count("T") for name in ("web", "back", "old")] == [1, 1, 2]
    assert not any(key in listed or fingerprint(key) in listed for key in made)


def test_the_list_as_json_is_what_is_stored(ssm: SSMClient) -> None:
    run("create", "web")
    stored = json.loads(ssm.get_parameter(Name=PARAMETER)["Parameter"]["Value"])

    assert json.loads(run("list", "--json")[1]) == stored


@pytest.mark.parametrize("arguments", [("revoke", "nobody"), ("create", "UPPER"), ("create", "x", "--origin", "*")])
def test_what_cannot_be_done_is_said_and_changes_nothing(ssm: SSMClient, arguments: tuple[str, ...]) -> None:
    status, shown, said = run(*arguments)

    assert (status, shown) == (1, "")
    assert "leadscore:" in said
    assert ssm.get_parameter(Name=PARAMETER)["Parameter"]["Version"] == 1


def test_what_aws_refuses_is_said_without_a_traceback(ssm: SSMClient) -> None:
    ssm.delete_parameter(Name=PARAMETER)
    status, _, said = run("list")

    assert status == 1
    assert "the write keys cannot be read or changed" in " ".join(said.split())
