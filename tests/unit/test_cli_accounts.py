"""`leadscore accounts` and `account` pass on what they are asked, and print what came in the form wanted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from typer.testing import CliRunner, Result

from leadscore_cli import account_commands
from leadscore_cli.api_client import AccountDetail, AccountPage, AccountPerson
from leadscore_cli.main import app

AT = "2026-01-31T12:00:00.000Z"


def person(lead: str, score: float, contribution: float, name: str = "") -> AccountPerson:
    return {
        "id": lead,
        "name": name,
        "email": "",
        "title": "CEO" if contribution else "",
        "company": "",
        "score": score,
        "tier": "hot",
        "contribution": contribution,
    }


PEOPLE = [person("ada", 53.0, 53.0, "Ada [red]"), person("bob", 37.04, 18.52), person("cyd", 0.0, 0.0)]


@dataclass
class Api:
    """An API, and the target it is on, with one page and one account; it keeps what it was asked."""

    asked: list[dict[str, object]] = field(default_factory=list)
    next_cursor: str | None = None
    truncated: bool = False

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def api(self) -> Api:
        return self

    def accounts(self, **asked: object) -> AccountPage:
        self.asked.append({name: value for name, value in asked.items() if value is not None})
        rows: AccountPage = {
            "accounts": [
                {"id": "a1", "name": "Acme", "score": 71.52, "tier": "hot", "people_total": 12, "people": PEOPLE},
                {"id": "b2", "name": "", "score": 0.0, "tier": "cold", "people_total": 1, "people": []},
            ],
            "next_cursor": self.next_cursor,
            "at": AT,
        }
        return rows

    def account(self, account_id: str) -> AccountDetail:
        self.asked.append({"id": account_id})
        return {
            "id": account_id,
            "name": "Acme",
            "traits": {"name": "Acme", "employees": 300},
            "at": AT,
            "version": "0123456789ab",
            "roll_up": "decreasing",
            "score": 71.52,
            "tier": "hot",
            "people": PEOPLE,
            "people_total": 1000 if self.truncated else 3,
            "truncated": self.truncated,
        }


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    fake = Api()
    monkeypatch.setattr(account_commands, "target_of_project", lambda _stage: fake)
    return fake


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "140"})
    assert result.exit_code == 0, result.output
    return result


def test_the_list_passes_on_what_it_is_asked(api: Api) -> None:
    run("accounts")
    run("accounts", "--tier", "hot", "--min-score", "30", "--limit", "100", "--cursor", "c1")
    assert api.asked == [{"limit": 20}, {"tier": "hot", "min_score": 30.0, "limit": 100, "cursor": "c1"}]


def test_the_list_shows_who_adds_most_and_nobody_who_adds_nothing(api: Api) -> None:
    api.next_cursor = "c2"
    result = run("accounts")
    lines = result.stdout.splitlines()
    assert lines[1].split() == ["1", "Acme", "71.5", "hot", "12", "+53.0", "Ada", "[red],", "+18.5", "bob"]
    assert lines[2].split() == ["2", "b2", "0.0", "cold", "1"]
    assert "more with --cursor c2" in result.stderr


def test_the_list_as_json_is_what_the_api_said(api: Api) -> None:
    assert json.loads(run("accounts", "--json").stdout) == api.accounts()


def test_an_account_shows_what_each_person_adds(api: Api) -> None:
    shown = run("account", "a1").stdout
    assert api.asked == [{"id": "a1"}]
    rows = [line.split() for line in shown.splitlines()]
    assert ["employees", "300"] in rows
    assert ["score", "71.5", "hot"] in rows
    assert ["people", "3,", "rolled", "up", "by", "decreasing"] in rows
    assert ["+18.5", "37.0", "hot", "bob", "CEO"] in rows
    assert ["+0.0", "0.0", "hot", "cyd"] in rows


def test_an_account_says_where_it_has_more_people_than_count(api: Api) -> None:
    api.truncated = True
    assert "1000, of whom 3 count, rolled up by decreasing" in run("account", "a1").stdout


def test_an_account_as_json_is_what_the_api_said(api: Api) -> None:
    assert json.loads(run("account", "a1", "--json").stdout) == api.account("a1")
