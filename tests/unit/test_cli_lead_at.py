"""`leadscore lead ID --at`: what is asked of the API, and what is shown of the answer."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from leadscore_cli import main
from leadscore_cli.api_client import ApiClient, LeadAsOf, LeadDetail
from leadscore_cli.tables import lead_view


def detail(**as_of: str | None) -> LeadDetail:
    lead: LeadDetail = {
        "id": "ada",
        "traits": {},
        "account": None,
        "score": {"total": 53.0, "tier": "hot", "groups": {}, "coverage": 0.5, "next_change_at": None},
        "explanation": [],
        "events": [],
    }
    usual = LeadAsOf(at="2026-01-31T12:00:00.000Z", log_begins=None, account_traits="exact")
    return {**lead, "as_of": {**usual, **as_of}} if as_of else lead  # type: ignore[typeddict-item]


@dataclass
class Api:
    """An API that keeps what it was asked."""

    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    def api(self) -> Api:
        return self

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def lead(self, lead_id: str, *, at: str | None, ruleset: str | None) -> LeadDetail:
        self.asked.append((lead_id, at, ruleset))
        return detail()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    fake = Api()
    monkeypatch.setattr(main, "_target", lambda _stage: fake)
    return fake


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.app, ["lead", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def shown(lead: LeadDetail) -> str:
    console = Console(width=200, no_color=True)
    with console.capture() as capture:
        console.print(lead_view(lead))
    return capture.get()


def test_the_instant_is_asked_for_in_utc(api: Api) -> None:
    assert run("ada", "--at", "2026-01-31T13:00:00+01:00", "--ruleset", "abc123").exit_code == 0
    assert run("ada").exit_code == 0
    assert api.asked == [("ada", "2026-01-31T12:00:00.000Z", "abc123"), ("ada", None, None)]


def test_an_instant_that_is_none_is_not_asked_for(api: Api) -> None:
    result = run("ada", "--at", "yesterday")
    assert result.exit_code == 1
    assert "--at 'yesterday' is no ISO 8601 instant" in result.output
    assert api.asked == []


def test_the_query_is_in_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, object]] = []
    client = ApiClient("https://api.example/v1", "eu-west-1", None)
    monkeypatch.setattr(client, "_get", lambda path, query: asked.append((path, query)))
    client.lead("a/b", at="2026-01-31T12:00:00.000Z")
    client.lead("ada", ruleset="abc")
    client.lead("ada")
    assert asked == [
        ("/leads/a%2Fb", {"at": "2026-01-31T12:00:00.000Z"}),
        ("/leads/ada", {"ruleset": "abc"}),
        ("/leads/ada", {}),
    ]


def test_it_is_shown_as_of_when_and_what_is_not_known() -> None:
    assert "as of" not in shown(detail())
    [line] = [line for line in shown(detail(log_begins=None)).splitlines() if line.startswith("as of")]
    assert line.split() == ["as", "of", "2026-01-31T12:00:00.000Z"]
    text = shown(detail(log_begins="2026-02-01T00:00:00.000Z", account_traits="newest known"))
    assert (
        "before the log, which begins 2026-02-01T00:00:00.000Z; without the account's traits that changed since" in text
    )
