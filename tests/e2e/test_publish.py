"""A ruleset pushed on the deployed stack: new tiers and nobody alerted, a thousand criteria, and the old bytes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from leadscore import parse_ruleset
from leadscore.adapters.desks import DynamoDesks
from leadscore.adapters.rulesets import read_ruleset
from leadscore.core.identity import pseudonym
from leadscore_cli import diff_command, main, publish_commands, truth_commands
from leadscore_cli.api_client import ApiError
from leadscore_cli.demo import Inbox
from leadscore_cli.target import choose_target
from tests.e2e.deployed import Stack, eventually
from tests.rulesets import many_criteria

PEOPLE = [f"published-{number}" for number in range(6)]


@pytest.fixture(autouse=True)
def this_stack(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands find the stack of the tests."""
    target = choose_target("local", stack.stage.directory)
    monkeypatch.setattr(main, "_target", lambda _stage: target)
    for module in (diff_command, publish_commands, truth_commands):
        monkeypatch.setattr(module, "target_of_project", lambda _stage: target)


@pytest.fixture
def inbox(stack: Stack) -> Iterator[Inbox]:
    clients = stack.clients
    with closing(Inbox(clients.sqs, clients.sns, stack.names.alerts_topic_arn)) as opened:
        yield opened


@pytest.fixture(scope="module")
def people(stack: Stack) -> list[str]:
    """Six people who looked at the prices and started a trial, which is 35 points and warm."""
    at = (datetime.now(UTC) - timedelta(hours=1)).isoformat()  # noqa: TID251
    for name in PEOPLE:
        events: list[dict[str, object]] = [
            {"type": "page", "userId": name, "properties": {"path": "/pricing"}},
            {"type": "track", "userId": name, "event": "Trial Started"},
        ]
        stamped = [{**event, "messageId": f"{name}-{n}", "timestamp": at} for n, event in enumerate(events)]
        stack.api.send(stack.outputs.write_key, stamped)
    for name in PEOPLE:
        eventually(lambda name=name: standing(stack, name) == (35.0, "warm"))  # type: ignore[misc]
    return PEOPLE


@pytest.fixture
def original(stack: Stack) -> Iterator[str]:
    """The published bytes, put back by whatever means at the end."""
    ssm, name = stack.clients.ssm, stack.names.ruleset_parameter
    value = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    yield value
    if published(stack) != value:
        ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)


def published(stack: Stack) -> str:
    return stack.clients.ssm.get_parameter(Name=stack.names.ruleset_parameter)["Parameter"]["Value"]


def standing(stack: Stack, name: str) -> tuple[float, str] | None:
    try:
        score = stack.api.lead(name)["score"]
    except ApiError:
        return None
    return score["total"], score["tier"]


def stored(stack: Stack, name: str) -> tuple[str, str]:
    """Return the tier that a lead is stored with, and the ruleset that it was stored under."""
    key = {"pk": {"S": f"ID#{pseudonym(f'user:{name}')}"}, "sk": {"S": "ID"}}
    item = stack.clients.dynamodb.get_item(TableName=stack.names.table, Key=key, ConsistentRead=True)["Item"]
    return item["tier"]["S"], item["ruleset"]["S"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})


def done(*arguments: str) -> str:
    answer = run(*arguments)
    assert answer.exit_code == 0, answer.output
    return answer.output


def with_trial_points(document: str, points: int) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(document)
    next(criterion for criterion in changed["criteria"] if criterion["id"] == "free-trial")["points"] = points
    return changed


def test_changed_points_are_pushed_give_new_tiers_alert_nobody_and_are_gone_back_from(
    stack: Stack, people: list[str], inbox: Inbox, original: str, tmp_path: Path
) -> None:
    before = read_ruleset(stack.clients.ssm, stack.names.ruleset_parameter).version
    changed = with_trial_points(original, 40)
    file = tmp_path / "ruleset.json"
    file.write_text(json.dumps(changed), encoding="utf-8")
    inbox.receive()

    told = done("criteria", "push", str(file), "--why", "trials convert", "--yes")

    after = parse_ruleset(changed).version
    assert "warm" in told
    assert f"{after} is active" in told
    assert read_ruleset(stack.clients.ssm, stack.names.ruleset_parameter).version == after
    # The command ended when all leads were scored again.
    assert [stored(stack, name) for name in people] == [("hot", after)] * len(people)
    assert [standing(stack, name) for name in people] == [(55.0, "hot")] * len(people)
    desks = DynamoDesks(stack.clients.dynamodb, stack.names.table, shards=2, retention_days=400)
    for name in people:
        records = eventually(
            lambda name=name: [  # type: ignore[misc]
                each for each in desks.changes_of(pseudonym(f"user:{name}")) if each.change.tier == "hot"
            ]
        )
        assert [each.change.cause for each in records] == ["ruleset"]
        assert [(each.outcome, each.alert) for each in records] == [("suppressed", None)]
    assert [alert for alert in inbox.receive() if alert.lead in people] == []

    assert "trials convert" in done("criteria", "history")
    done("criteria", "rollback", before[:8], "--yes", "--no-dry-run", "--why", "too many")

    assert published(stack) == original
    assert [stored(stack, name) for name in people] == [("warm", before)] * len(people)
    history = json.loads(done("criteria", "history", "--json"))
    assert history["active"]["version"] == before
    assert [each["kind"] for each in history["publications"][:2]] == ["rollback", "push"]
    assert history["publications"][0]["why"] == "too many"
    assert history["publications"][0]["by"].startswith("arn:aws:")
    assert [alert for alert in inbox.receive() if alert.lead in people] == []


def test_a_thousand_criteria_score_old_and_new_leads_and_the_past_is_read_under_either(
    stack: Stack, people: list[str], original: str, tmp_path: Path
) -> None:
    before = read_ruleset(stack.clients.ssm, stack.names.ruleset_parameter).version
    changed = with_trial_points(original, 30)
    more: Any = many_criteria(1000)["criteria"]
    changed["criteria"] += more
    after = parse_ruleset(changed)
    file = tmp_path / "ruleset.json"
    file.write_text(json.dumps(changed), encoding="utf-8")

    done("criteria", "push", str(file), "--yes", "--no-dry-run")

    assert len(published(stack)) < 4096
    assert read_ruleset(stack.clients.ssm, stack.names.ruleset_parameter).document == after.document
    assert [stored(stack, name) for name in people] == [("warm", after.version)] * len(people)
    # A criterion of the many, by an event that came when they were there.
    new = more[1]
    path = new["event"]["properties"]["path"][0]["prefix"]
    visit = {"type": "page", "userId": "published-new", "properties": {"path": path}}
    stack.api.send(stack.outputs.write_key, [visit])
    # Until it is scored, a lead is read with what is known of it so far.
    assert eventually(lambda: standing(stack, "published-new") == (float(new["points"]), "cold"))
    now, past = (stack.api.lead(people[0], ruleset=each)["score"]["total"] for each in (after.version, before))
    assert (now, past) == (45.0, 35.0)

    done("criteria", "rollback", before, "--yes", "--no-dry-run")

    assert published(stack) == original
    assert stack.api.lead(people[0], ruleset=after.version[:8])["score"]["total"] == 45.0
    assert run("verify", people[0]).exit_code == 0


def test_what_nobody_may_publish_is_refused(stack: Stack, original: str) -> None:
    with pytest.raises(ApiError, match="another_published"):
        stack.api.publish(json.dumps(with_trial_points(original, 21)), "", "0" * 12)
    assert run("criteria", "rollback", "ffffffff", "--yes").exit_code == 1
    assert published(stack) == original
