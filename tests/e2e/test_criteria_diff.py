"""A dry run on the deployed stack: what it says of a changed ruleset is what the re-score under it then gives."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from typer.testing import CliRunner, Result

from leadscore_cli import diff_command, list_command, main, truth_commands
from leadscore_cli.api_client import ApiError
from leadscore_cli.target import choose_target
from tests.e2e.contract.signing import Signed
from tests.e2e.deployed import Stack, eventually

PEOPLE = [f"draft-{number}" for number in range(18)]


@pytest.fixture(autouse=True)
def this_stack(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands find the stack of the tests."""
    target = choose_target("local", stack.stage.directory)
    monkeypatch.setattr(main, "_target", lambda _stage: target)
    for module in (diff_command, list_command, truth_commands):
        monkeypatch.setattr(module, "target_of_project", lambda _stage: target)


@pytest.fixture(scope="module")
def people(stack: Stack) -> list[str]:
    """Eighteen people of two accounts: some executives, some on trial, some who only looked, each with a device."""
    now = datetime.now(UTC)  # noqa: TID251
    for number, name in enumerate(PEOPLE):
        device = {"anonymousId": f"{name}-device"}
        events: list[dict[str, object]] = [
            {"type": "page", **device, "properties": {"path": "/pricing"}},
            {"type": "identify", "userId": name, **device, "traits": {"title": "CEO" if number % 2 else "Clerk"}},
            {
                "type": "group",
                "userId": name,
                "groupId": f"draft-{number % 3}",
                "traits": {"employees": 300 if number % 3 else 7},
            },
        ]
        events += [{"type": "track", "userId": name, "event": "Trial Started"}] * (number % 3 == 0)
        events += [{"type": "track", "userId": name, "event": "Webinar Attended"}] * (number % 5 == 0)
        stamped = [
            {**event, "messageId": f"{name}-{place}", "timestamp": (now - timedelta(hours=9 - place)).isoformat()}
            for place, event in enumerate(events)
        ]
        stack.api.send(stack.outputs.write_key, stamped)
    for number, name in enumerate(PEOPLE):
        expected = 15 + 10 * (number % 2) + 8 * (number % 3 > 0) + 20 * (number % 3 == 0) + 5 * (number % 5 == 0)
        eventually(lambda name=name, expected=expected: total(stack, name) == expected)  # type: ignore[misc]
    return PEOPLE


def total(stack: Stack, name: str) -> float | None:
    try:
        return stack.api.lead(name)["score"]["total"]
    except ApiError:
        return None


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})


def answer(*arguments: str) -> Any:
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def draft(stack: Stack, tmp_path: Path) -> Path:
    """The active ruleset with other points, another window and tiers that begin elsewhere."""
    document = json.loads(stack.clients.ssm.get_parameter(Name=stack.names.ruleset_parameter)["Parameter"]["Value"])
    for criterion in document["criteria"]:
        if criterion["id"] == "executive":
            criterion["points"] = 25
        if criterion["id"] == "pricing-page":
            criterion["within"] = "2h"
    document["tiers"] = [{"name": "hot", "from": 45}, {"name": "warm", "from": 20}, {"name": "cold"}]
    file = tmp_path / "draft.yaml"
    file.write_text(json.dumps(document))
    return file


@pytest.fixture
def published_draft(stack: Stack, draft: Path) -> Iterator[Path]:
    """The draft, which a test may publish, and which is taken back behind it."""
    ssm, name = stack.clients.ssm, stack.names.ruleset_parameter
    original = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    yield draft
    ssm.put_parameter(Name=name, Value=original, Type="String", Overwrite=True)
    assert run("rebuild", "--all", "--outdated").exit_code == 0


def listed(stack: Stack) -> dict[str, str]:
    """Return the tier of each lead on the list."""
    tiers: dict[str, str] = {}
    cursor: str | None = None
    while True:
        page = stack.api.leads(limit=50, cursor=cursor)
        tiers |= {lead["id"]: lead["tier"] for lead in page["leads"]}
        cursor = page["next_cursor"]
        if cursor is None:
            return tiers


def compared(stack: Stack, draft: Path) -> tuple[dict[str, str], Any] | None:
    """Return the list and the dry run of the same leads, None while events of tests before are still being scored."""
    before = listed(stack)
    said = answer("criteria", "diff", str(draft), "--json")
    return (before, said) if len(before) == said["leads"] and listed(stack) == before else None


def all_are_under_the_new_ruleset() -> bool:
    """Bring leads under the active ruleset, and return whether none is left."""
    run("rebuild", "--all", "--outdated", "--json")
    return "outdated" not in json.loads(run("verify", "--all", "--json").stdout)["counts"]


def test_the_matrix_is_what_the_re_score_gives(stack: Stack, people: list[str], published_draft: Path) -> None:
    before, said = eventually(lambda: compared(stack, published_draft), timeout_seconds=120)

    assert (said["is_all"], said["failed"]) == (True, 0)
    parts = [f"{change['part']} {change['field']}".strip() for change in said["changes"]]
    assert parts == [
        "criterion executive points",
        "criterion pricing-page within",
        "tier hot from",
        "tier warm from",
    ]
    stack.clients.ssm.put_parameter(
        Name=stack.names.ruleset_parameter, Value=published_draft.read_text(), Type="String", Overwrite=True
    )
    version = said["new"]
    eventually(lambda: answer("lead", people[0], "--json")["score"]["version"] == version, timeout_seconds=90)
    eventually(all_are_under_the_new_ruleset, timeout_seconds=90)
    after = listed(stack)
    matrix = Counter({(old, new): n for old, row in said["matrix"].items() for new, n in row.items()})
    assert +matrix == Counter((before[lead], after[lead]) for lead in before)
    assert said["moved"] == sum(before[lead] != after[lead] for lead in before) > 0
    for mover in said["movers"]:
        assert (mover["before"]["tier"], mover["after"]["tier"]) == (before[mover["lead"]], after[mover["lead"]])
        if mover["lead"] in people:
            assert mover["after"]["score"] == total(stack, mover["lead"])
            assert {move["criterion"] for move in mover["moves"]} <= {"executive", "pricing-page"}


def test_the_api_says_the_same_of_a_sample_and_to_nobody_unsigned(stack: Stack, people: list[str], draft: Path) -> None:
    credentials = stack.session.get_credentials()
    assert credentials is not None
    signed = Signed(credentials.access_key, credentials.secret_key, stack.names.region)
    url, document = f"{stack.names.api}/ruleset/diff", json.loads(draft.read_text())

    answered = requests.post(url, json={"document": document, "sample": 5000}, auth=signed, timeout=60)

    assert answered.status_code == 200, answered.text
    told = answered.json()
    said = answer("criteria", "diff", str(draft), "--no-backtest", "--json")
    assert told["is_all"]
    for name in ("old", "new", "leads", "moved", "changes", "matrix"):
        assert told[name] == said[name]
    sampled = requests.post(url, json={"document": document, "sample": 6}, auth=signed, timeout=60).json()
    # Those of which nothing has matched yet are told of apart.
    assert (sampled["leads"] + sampled["unstored"]["leads"], sampled["is_all"]) == (6, False)
    assert requests.post(url, json={"document": document}, timeout=60).status_code == 401
    refused = requests.post(url, json={"document": {"criteria": []}}, auth=signed, timeout=60)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_ruleset")


def test_a_ruleset_against_itself_moves_nobody_and_tells_the_same_people(stack: Stack, people: list[str]) -> None:
    name = stack.names.ruleset_parameter
    document = stack.clients.ssm.get_parameter(Name=name)["Parameter"]["Value"]
    same = Path(stack.stage.directory, "same.json")
    same.write_text(document)

    said = answer("criteria", "diff", str(same), "--json")

    assert (said["moved"], said["changed"], said["changes"], said["movers"]) == (0, 0, [], [])
    assert said["leads"] >= len(people)
    assert said["alerts"]["old"] == said["alerts"]["new"]
    told = run("criteria", "diff", str(same), "--sample", "5")
    assert told.exit_code == 0, told.output
    assert "0 of them change tier" in told.stdout
