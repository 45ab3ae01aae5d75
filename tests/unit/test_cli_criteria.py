"""A ruleset is tried from the command line by the product's own core, and every fault is told with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from leadscore_cli.main import app
from tests.rulesets import many_criteria

RULESET = """
tiers: [{name: hot, from: 50}, {name: warm, from: 25}, {name: cold}]
criteria:
  - {id: executive, group: fit, traits: {title: [{equals-ignore-case: ceo}]}, points: 10}
  - {id: company-size, group: fit, traits: {company: {employees: [{numeric: [">=", 100, "<=", 500]}]}}, points: 8}
  - {id: pricing-page, group: engagement, event: {type: [page], properties: {path: [/pricing]}}, points: 15}
  - {id: free-trial, group: engagement, event: {event: [Trial Started]}, points: 20}
  - {id: webinar, group: engagement, event: {event: [Webinar Attended]}, points: 5}
"""
AT = "2026-01-31T12:00:00Z"
EVENTS: list[dict[str, object]] = [
    {"type": "identify", "userId": "ada", "traits": {"title": "CEO", "company": {"employees": 300}}},
    {"type": "page", "userId": "ada", "anonymousId": None, "properties": {"path": "/pricing"}},
    {"type": "track", "userId": "ada", "event": "Trial Started"},
]


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["criteria", *arguments], input=stdin, env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture
def ruleset(tmp_path: Path) -> str:
    path = tmp_path / "ruleset.yaml"
    path.write_text(RULESET)
    return str(path)


def lines(*events: dict[str, object], timestamp: str = "2026-01-31T11:00:00Z") -> str:
    return "\n".join(json.dumps({"timestamp": timestamp, **event}) for event in events)


def test_the_worked_example_scores_53_and_is_hot(ruleset: str) -> None:
    result = run("explain", ruleset, "--events", "-", "--at", AT, stdin=lines(*EVENTS))

    assert result.exit_code == 0, result.output
    first = result.output.splitlines()[0]
    assert first.split()[:2] == ["53.0", "hot"]
    for points, criterion in (("+10.0", "executive"), ("+8.0", "company-size"), ("+15.0", "pricing-page")):
        (line,) = [line for line in result.output.splitlines() if criterion in line]
        assert points in line


def test_the_score_as_json_is_the_cores_own(ruleset: str) -> None:
    result = run("explain", ruleset, "--events", "-", "--at", AT, "--json", stdin=lines(*EVENTS))

    score = json.loads(result.stdout)
    assert (score["total"], score["tier"]) == (53.0, "hot")
    assert [factor["points"] for factor in score["factors"]] == [10.0, 8.0, 15.0, 20.0]


def test_events_after_the_instant_do_not_count(ruleset: str) -> None:
    late = lines(EVENTS[2], timestamp="2026-01-31T12:00:01Z")

    result = run("explain", ruleset, "--events", "-", "--at", AT, stdin=f"{lines(*EVENTS[:2])}\n{late}")

    assert result.output.splitlines()[0].split()[:2] == ["33.0", "warm"]


def test_a_recorded_event_counts_from_the_time_that_its_receiver_gave_it(ruleset: str) -> None:
    clock_ahead = {
        **EVENTS[2],
        "originalTimestamp": "2026-03-01T00:00:00Z",
        "sentAt": "2026-03-01T00:00:05Z",
        "receivedAt": "2026-01-31T11:00:05Z",
    }

    result = run("explain", ruleset, "--events", "-", "--at", AT, stdin=json.dumps(clock_ahead))

    assert result.output.splitlines()[0].split()[0] == "20.0"


def test_events_of_several_people_need_a_choice(ruleset: str) -> None:
    text = lines(*EVENTS, {"type": "track", "userId": "bob", "event": "Trial Started"})

    refused = run("explain", ruleset, "--events", "-", "--at", AT, stdin=text)
    chosen = run("explain", ruleset, "--events", "-", "--at", AT, "--lead", "bob", stdin=text)

    assert refused.exit_code == 1
    assert "--lead" in refused.output
    assert chosen.output.splitlines()[0].split()[0] == "20.0"


def test_a_line_that_is_no_event_is_named(ruleset: str) -> None:
    result = run("explain", ruleset, "--events", "-", "--at", AT, stdin=lines(EVENTS[0], {"type": "nonsense"}))

    assert result.exit_code == 1
    assert "line 2" in result.output


@pytest.mark.parametrize("instant", ["yesterday", "9999-12-31T23:59:59-12:00"])
def test_an_instant_that_is_none_is_refused(ruleset: str, instant: str) -> None:
    result = run("explain", ruleset, "--events", "-", "--at", instant, stdin="")

    assert result.exit_code == 1
    assert "--at" in result.output


def test_a_valid_ruleset_is_said_to_be_so(ruleset: str) -> None:
    result = run("validate", ruleset)

    assert result.exit_code == 0
    assert result.output.startswith("valid: version ")
    assert "5 criteria, tiers hot, warm, cold" in result.output


def test_every_problem_is_told_with_its_path_and_value() -> None:
    bad = RULESET.replace("points: 20", "points: 0.5").replace(
        "group: fit, traits: {title", "colour: red, traits: {title"
    )

    result = run("validate", "-", stdin=bad)

    assert result.exit_code == 1
    for expected in ("criteria[3].points", "0.5", "criteria[0].colour", "red"):
        assert expected in result.output


def test_a_ruleset_of_a_thousand_criteria_can_be_published() -> None:
    result = run("validate", "-", stdin=json.dumps(many_criteria(1000)))

    assert result.exit_code == 0, result.output
    assert "1000 criteria" in result.output


def test_a_ruleset_over_the_size_of_all_parts_cannot_be_published() -> None:
    criteria = [
        {"id": f"c{i}", "group": "fit", "traits": {"title": ["é" * 1000 + str(i)]}, "points": 1} for i in range(600)
    ]
    document = {"tiers": [{"name": "hot", "from": 5}, {"name": "cold"}], "criteria": criteria}

    result = run("validate", "-", stdin=json.dumps(document, ensure_ascii=False))

    assert result.exit_code == 1
    assert "1,000,000 bytes and 40 parts can be stored" in " ".join(result.output.split())


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    assert run("validate", str(tmp_path / "none.yaml")).exit_code == 2
