"""`leadscore digest`: what a digest would say now, for all and for one owner, with nothing sent or written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import boto3
import pytest
from jsonschema import Draft202012Validator
from moto import mock_aws
from typer.testing import CliRunner, Result

from leadscore_cli import digest_command, main
from tests.contract.leads_table import TABLE, create_leads_table
from tests.functions.test_digest import EIGHT, RULESET, get_hot
from tests.unit.digests import SCHEMA

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ssm import SSMClient


@dataclass
class Deployment:
    table: str = TABLE
    event_retention_days: int = 400
    ruleset_parameter: str = "/ruleset"


@dataclass
class Stage:
    """A deployed stage of its own."""

    deployment: Deployment

    @contextmanager
    def dynamodb(self, connections: int) -> Iterator[DynamoDBClient]:
        assert connections > 1
        yield boto3.client("dynamodb")

    @contextmanager
    def ssm(self) -> Iterator[SSMClient]:
        yield boto3.client("ssm")


@pytest.fixture(autouse=True)
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with mock_aws():
        create_leads_table()
        boto3.client("ssm").put_parameter(Name="/ruleset", Value=RULESET.document, Type="String")
        monkeypatch.setattr(digest_command, "target_of_project", lambda _stage: Stage(Deployment()))
        monkeypatch.setattr(digest_command, "utc_now", lambda: EIGHT)
        get_hot("ada", "kim")
        get_hot("bob", None)
        get_hot("old", "kim", EIGHT - timedelta(days=3))
        yield


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.app, ["digest", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def test_the_digest_for_all_is_shown_and_nothing_is_written() -> None:
    before = boto3.client("dynamodb").scan(TableName=TABLE)["Items"]
    shown = run().output.splitlines()
    assert shown[2:5] == [
        "New hot (2):",
        "  ada: hot, score 60.0 (was 0.0), owner kim",
        "  bob: hot, score 60.0 (was 0.0), owner nobody yet",
    ]
    assert boto3.client("dynamodb").scan(TableName=TABLE)["Items"] == before


def test_an_owners_digest_can_reach_further_back() -> None:
    [section] = json.loads(run("--owner", "kim", "--since", "7d", "--json").output)["sections"]
    assert [lead["person"]["id"] for lead in section["leads"]] == ["ada", "old"]


def test_json_is_what_would_be_published() -> None:
    Draft202012Validator(SCHEMA).validate(json.loads(run("--json").output))


def test_whose_leads_did_nothing_gets_told_so() -> None:
    assert run("--owner", "lee").output == "there is nothing to say\n"
    assert json.loads(run("--owner", "lee", "--json").output) is None


def test_a_length_of_time_that_is_none_is_said() -> None:
    result = run("--since", "soon")
    assert result.exit_code == 1
    assert "soon" in result.output


def test_a_ruleset_that_cannot_be_read_is_said() -> None:
    boto3.client("ssm").put_parameter(Name="/ruleset", Value='{"tiers":[]}', Type="String", Overwrite=True)
    result = run()
    assert result.exit_code == 1
    assert "ruleset" in result.output
