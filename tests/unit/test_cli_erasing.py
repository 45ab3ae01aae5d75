"""`leadscore export` and `leadscore erase`: whole files or none, nobody erased by mistake, receipts shown."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session
from typer.testing import CliRunner, Result

from leadscore_cli import main
from leadscore_cli.api_client import ApiClient
from leadscore_cli.exports import write_lines
from leadscore_cli.failures import CommandError

BASE = "https://abc123.execute-api.eu-west-1.amazonaws.com/v1"
LINES = ['{"kind":"lead","id":"ada"}', '{"kind":"event","identity":"user:ada","event":{"messageId":"m1"}}']
RECEIPT = {
    "erased_at": "2026-03-01T12:00:00.000Z",
    "identities": 2,
    "events": 7,
    "events_left": 0,
    "pending_changes": 1,
    "memberships": 1,
}
DETAIL = {
    "id": "ada",
    "identities": ["user:ada", "anonymous:phone"],
    "traits": {"name": "Ada [bold]", "company": {"name": "Acme"}},
    "events": [{"timestamp": "2026-02-01T00:00:00.000Z"}],
}
UNKNOWN = (404, {"code": "unknown_lead", "message": "no such lead"})


def page(*lines: str, cursor: str | None = None) -> tuple[int, str]:
    return 200, "\n".join([*lines, json.dumps({"kind": "page", "next_cursor": cursor})]) + "\n"


@dataclass
class Service:
    """Answers each kind of request by the next of its answers, and the last one for good; keeps what it was asked."""

    detail: tuple[int, Any] = (200, DETAIL)
    pages: list[tuple[int, Any]] = field(default_factory=lambda: [page(*LINES)])
    receipt: tuple[int, Any] = (200, RECEIPT)
    asked: list[str] = field(default_factory=list)

    def send(self, request: AWSPreparedRequest) -> Any:
        self.asked.append(f"{request.method} {request.url.removeprefix(BASE)}")
        assert "AWS4-HMAC-SHA256" in str(request.headers["Authorization"])
        status, body = self._answer(request)
        content = body if isinstance(body, str) else json.dumps(body)
        return type("Answer", (), {"status_code": status, "content": content.encode()})

    def _answer(self, request: AWSPreparedRequest) -> tuple[int, Any]:
        if request.method == "DELETE":
            return self.receipt
        if "/export" in request.url:
            return self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
        return self.detail


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    service = Service()
    credentials = Credentials("AKIDEXAMPLE", "secret")
    target = type("Target", (), {"api": lambda _: ApiClient(BASE, "eu-west-1", credentials)})()
    monkeypatch.setattr(main, "_target", lambda _stage: target)
    monkeypatch.setattr(URLLib3Session, "send", lambda _, request: service.send(request))
    return service


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main.app, arguments, input=stdin, env={"COLUMNS": "200", "TERM": "dumb"})


def test_an_export_goes_to_standard_output_and_nothing_else_does(service: Service) -> None:
    result = run("export", "a/b c")

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == LINES
    assert service.asked == ["GET /leads/a%2Fb%20c/export"]


def test_an_export_of_several_pages_is_one(service: Service) -> None:
    service.pages = [page(LINES[0], cursor="go-on_1"), page(LINES[1], cursor="go-on_2"), page()]

    assert run("export", "ada").stdout.splitlines() == LINES
    assert service.asked[1:] == ["GET /leads/ada/export?cursor=go-on_1", "GET /leads/ada/export?cursor=go-on_2"]


def test_an_export_goes_to_a_file_that_only_its_owner_may_read(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "ada.ndjson"
    result = run("export", "ada", "--output", str(file))

    assert result.exit_code == 0, result.output
    assert file.read_text().splitlines() == LINES
    assert file.stat().st_mode & 0o777 == 0o600
    assert "2 lines in" in result.stderr
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("body", ["", LINES[0], '{"kind":"page"}', "[]", "{"])
def test_an_export_without_its_end_is_an_error_and_leaves_no_file(service: Service, tmp_path: Path, body: str) -> None:
    service.pages = [(200, body)]
    result = run("export", "ada", "-o", str(tmp_path / "ada.ndjson"))

    assert result.exit_code == 1
    assert "ended in the middle" in result.output
    assert list(tmp_path.iterdir()) == []


def test_an_export_replaces_no_file(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "ada.ndjson"
    file.write_text("kept")
    result = run("export", "ada", "-o", str(file))

    assert result.exit_code == 1
    assert "is there already" in result.output
    assert file.read_text() == "kept"
    assert service.asked == []


def test_a_file_that_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be written"):
        write_lines(LINES, tmp_path / "no-such-folder" / "ada.ndjson")


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert write_lines([], tmp_path / "empty") == 0
    assert write_lines(iter("abc"), tmp_path / "three") == 3


def test_erasing_shows_who_is_meant_asks_and_shows_the_receipt(service: Service) -> None:
    result = run("erase", "ada", stdin="y\n")

    assert result.exit_code == 0, result.output
    assert service.asked == ["GET /leads/ada", "DELETE /leads/ada"]
    for word in ("user:ada", "anonymous:phone", "Ada [bold]", "Acme", "2026-02-01", "--export FILE"):
        assert word in result.stderr
    for name, value in RECEIPT.items():
        assert [line.split() for line in result.stdout.splitlines()].count([name, str(value)]) == 1


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_nobody_is_erased_without_a_yes(service: Service, answer: str) -> None:
    result = run("erase", "ada", stdin=answer)

    assert result.exit_code == 1
    assert service.asked == ["GET /leads/ada"]


def test_with_yes_nothing_is_asked(service: Service) -> None:
    result = run("erase", "ada", "--yes", "--json")

    assert result.exit_code == 0
    assert service.asked == ["DELETE /leads/ada"]
    assert json.loads(result.stdout) == RECEIPT


def test_the_export_comes_first(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "ada.ndjson"
    result = run("erase", "ada", "--export", str(file), stdin="y\n")

    assert result.exit_code == 0, result.output
    assert service.asked == ["GET /leads/ada/export", "GET /leads/ada", "DELETE /leads/ada"]
    assert file.read_text().splitlines() == LINES
    assert "nothing is exported" not in result.stderr


@pytest.mark.parametrize("pages", [[(200, LINES[0])], [UNKNOWN], [(500, {"code": "internal_error", "message": "no"})]])
def test_without_its_export_nobody_is_erased(service: Service, tmp_path: Path, pages: list[tuple[int, Any]]) -> None:
    service.pages = pages
    result = run("erase", "ada", "--yes", "--export", str(tmp_path / "ada.ndjson"))

    assert result.exit_code == 1
    assert not [asked for asked in service.asked if asked.startswith("DELETE")]


def test_who_was_erased_before_is_not_asked_about_and_told(service: Service) -> None:
    service.detail = UNKNOWN
    service.receipt = (200, RECEIPT | {"identities": 0})
    result = run("erase", "ada")

    assert result.exit_code == 0
    assert "erased before" in result.stderr
    assert str(RECEIPT["erased_at"]) in result.stdout


def test_who_is_unknown_is_an_error_in_words(service: Service) -> None:
    service.detail = service.receipt = UNKNOWN
    result = run("erase", "nobody")

    assert result.exit_code == 1
    assert "404 unknown_lead" in result.output


def test_another_failure_of_the_lookup_erases_nobody(service: Service) -> None:
    service.detail = (403, {"message": "not allowed"})
    result = run("erase", "ada", stdin="y\n")

    assert result.exit_code == 1
    assert service.asked == ["GET /leads/ada"]


def test_events_that_are_left_are_told(service: Service) -> None:
    service.receipt = (200, RECEIPT | {"events": 9000, "events_left": 4000})

    assert "4000 of the events are being removed" in run("erase", "ada", "-y").stderr
