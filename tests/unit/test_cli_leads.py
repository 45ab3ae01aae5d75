"""`leadscore leads` passes on what it is asked, goes through the pages, and prints what came in the form wanted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from typer.testing import CliRunner, Result

from leadscore.usecases.spreadsheet import COLUMNS
from leadscore_cli import list_command
from leadscore_cli.api_client import CalibrationFields, LeadPage, LeadRow
from leadscore_cli.main import app

AT = "2026-01-31T12:00:00.000Z"
NOTE: CalibrationFields = {
    "status": "other ruleset",
    "taken_at": "2026-01-02T03:04:05.000Z",
    "leads": 1200,
    "conversions": 140,
    "window_days": 30.0,
    "ruleset": "abc",
}


def row(lead: str) -> LeadRow:
    return {
        "id": lead,
        "name": "",
        "email": "",
        "title": "",
        "company": "",
        "score": 53.04,
        "fit": 18.0,
        "engagement": 35.04,
        "tier": "hot",
        "reasons": [],
    }


@dataclass
class Api:
    """An API, and the target it is on, that has the pages a test says and keeps what it was asked."""

    pages: list[LeadPage] = field(default_factory=list)
    asked: list[dict[str, object]] = field(default_factory=list)

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def api(self) -> Api:
        return self

    def leads(self, **asked: object) -> LeadPage:
        self.asked.append({name: value for name, value in asked.items() if value is not None})
        return self.pages.pop(0)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    fake = Api()
    monkeypatch.setattr(list_command, "target_of_project", lambda _stage: fake)
    return fake


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["leads", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def test_what_is_asked_is_passed_on_and_where_more_is_is_told(api: Api) -> None:
    following = "next-page" * 30
    api.pages = [{"leads": [row("ada")], "next_cursor": following, "at": AT}]

    filters = ["--tier", "hot", "--account", "acme", "--owner", "Eve", "--min-score", "12.5"]
    result = run(*filters, "--limit", "3", "--cursor", "here")

    wanted = {"tier": "hot", "account": "acme", "owner": "Eve", "min_score": 12.5, "limit": 3, "cursor": "here"}
    assert api.asked == [wanted]
    assert "ada" in result.stdout
    assert f"--cursor {following}\n" in result.stderr


def test_json_is_the_apis_answer(api: Api) -> None:
    page: LeadPage = {"leads": [row("ada")], "next_cursor": "more", "at": AT}
    api.pages = [page]

    assert json.loads(run("--json").stdout) == page
    assert api.asked == [{"limit": 20}]


def test_all_pages_become_one_list_with_each_lead_once(api: Api) -> None:
    told = "the calibration of 2026-01-02 is of another ruleset"
    api.pages = [
        {"leads": [row("ada"), row("bob")], "next_cursor": "second", "at": AT, "calibration": NOTE},
        {"leads": [row("ada"), row("cleo")], "next_cursor": None, "at": AT, "calibration": NOTE},
    ]

    result = run("--all", "--csv", "--tier", "hot")

    assert api.asked == [{"tier": "hot", "limit": 1000}, {"tier": "hot", "limit": 1000, "cursor": "second"}]
    assert result.stdout.splitlines() == [
        ",".join(COLUMNS),
        *(f"{lead},,,,,53.0,18.0,35.0,hot,,,,,{told}" for lead in ("ada", "bob", "cleo")),
    ]
    assert result.stderr == ""


@pytest.mark.parametrize("options", [("--csv", "--json"), ("--all", "--limit", "3")])
def test_options_that_contradict_each_other_are_refused(api: Api, options: tuple[str, ...]) -> None:
    result = run(*options)

    assert (result.exit_code, api.asked) == (1, [])
    assert "not both" in result.output


@pytest.mark.parametrize("limit", ["0", "1001"])
def test_a_limit_that_the_api_would_refuse_is_not_asked(api: Api, limit: str) -> None:
    assert run("--limit", limit).exit_code == 2
    assert api.asked == []
