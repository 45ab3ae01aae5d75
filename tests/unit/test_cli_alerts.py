"""`leadscore alerts`: what became of each change that an alert could be about, with its reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from leadscore.adapters.desks import DynamoDesks
from leadscore.core.identity import pseudonym
from leadscore.core.instants import parse_instant, to_datetime
from leadscore.usecases.alert_records import AccountChangeRecord, ChangeKey, ChangeRecord, Outcome
from leadscore_cli import alerts, main
from tests.contract.leads_table import TABLE, create_leads_table
from tests.contract.test_desks import ACCOUNT_CHANGE, CHANGE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = "2026-03-10T12:00:00.000Z"


@dataclass
class Deployment:
    table: str = TABLE
    event_retention_days: int = 400


@dataclass
class Stage:
    """A deployed stage of its own."""

    deployment: Deployment

    @contextmanager
    def dynamodb(self, connections: int) -> Iterator[DynamoDBClient]:
        assert connections > 1
        yield boto3.client("dynamodb")


def note(lead: str, day: int, outcome: Outcome, reason: str) -> None:
    change = replace(CHANGE, id=f"{lead}-{day}", at=f"2026-03-{day:02}T12:00:00.000Z")
    change = replace(change, person={**CHANGE.person, "id": lead})
    desks = DynamoDesks(boto3.client("dynamodb"), TABLE, shards=2, retention_days=400)
    desks.note(ChangeRecord(ChangeKey(pseudonym(f"user:{lead}"), change.id), change, outcome, reason))


@pytest.fixture(autouse=True)
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with mock_aws():
        create_leads_table()
        monkeypatch.setattr(alerts, "target_of_project", lambda _stage: Stage(Deployment()))
        monkeypatch.setattr(alerts, "utc_now", lambda: to_datetime(parse_instant(NOW)))
        note("ada", 9, "sent", "entered hot")
        note("bob", 8, "suppressed", "has converted")
        note("eve", 7, "none", "did not enter hot")
        note("kim", 6, "waiting", "entered hot")
        note("old", 1, "suppressed", "is disqualified")
        yield


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.app, ["alerts", "list", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def leads(*arguments: str) -> list[str]:
    return [one["lead"] for one in json.loads(run(*arguments, "--json").output)]


def test_the_newest_come_first_with_what_became_of_them() -> None:
    shown = run().output
    assert [line.split()[1] for line in shown.splitlines()[1:4]] == ["ada", "bob", "kim"]
    assert "has converted" in shown
    assert shown.splitlines()[-1] == "1 sent, 1 waiting, 1 suppressed"


def test_what_is_shown_can_be_narrowed() -> None:
    assert leads() == ["ada", "bob", "kim"]
    assert leads("--outcome", "suppressed") == ["bob"]
    assert leads("--outcome", "suppressed", "--since", "30d") == ["bob", "old"]
    assert leads("--lead", "kim") == ["kim"]
    assert leads("--limit", "1") == ["ada"]
    assert "nothing is on record" in run("--since", "1m").output


def test_more_than_a_page_is_walked_in_order() -> None:
    for number in range(150):
        note(f"lead-{number:03}", 5, "sent", "entered hot")
    found = leads("--limit", "200")
    assert found[:3] == ["ada", "bob", "kim"]
    assert len(found) == 153


@pytest.mark.parametrize("arguments", [("--outcome", "lost"), ("--since", "soon")])
def test_what_cannot_be_asked_for_is_said(arguments: tuple[str, str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert arguments[1] in result.output


def test_accounts_are_listed_among_leads_in_the_order_of_time() -> None:
    desks = DynamoDesks(boto3.client("dynamodb"), TABLE, shards=2, retention_days=400)
    change = replace(ACCOUNT_CHANGE, at="2026-03-08T18:00:00.000Z")
    desks.note(AccountChangeRecord(ChangeKey("account:acme", change.id), change, "suppressed", "told of its people"))
    shown = run().output
    assert [line.split()[1] for line in shown.splitlines()[1:5]] == ["ada", "account", "bob", "kim"]
    assert "account acme" in shown
    assert "warm to hot" in shown
    assert "told of its people" in shown
    [listed] = [one for one in json.loads(run("--json").output) if one["kind"] == "account"]
    assert (listed["account"], listed["lead"], listed["outcome"], listed["score"]) == ("acme", None, "suppressed", 71.0)
    assert leads("--lead", "bob") == ["bob"]
    assert len(json.loads(run("--outcome", "suppressed", "--json").output)) == 2
