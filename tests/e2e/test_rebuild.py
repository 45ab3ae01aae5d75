"""The log is the truth on the deployed stack: damage in the table is found, rebuilt by the state machine, and gone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner, Result

from leadscore.adapters.items import identity_key
from leadscore.core.instants import format_instant, from_datetime
from leadscore_cli import main, truth_commands
from leadscore_cli.api_client import ApiError
from leadscore_cli.target import choose_target
from tests.e2e.deployed import Stack, eventually

PEOPLE = [f"truth-{number}" for number in range(12)]


@pytest.fixture(autouse=True)
def this_stack(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands find the stack of the tests."""
    target = choose_target("local", stack.stage.directory)
    monkeypatch.setattr(main, "_target", lambda _stage: target)
    monkeypatch.setattr(truth_commands, "target_of_project", lambda _stage: target)


@pytest.fixture(scope="module")
def people(stack: Stack) -> list[str]:
    """Twelve people who were visitors before they signed up, with an account and a trial each."""
    now = datetime.now(UTC)  # noqa: TID251
    for name in PEOPLE:
        ids: dict[str, object] = {"userId": name, "anonymousId": f"{name}-device"}
        events: list[dict[str, object]] = [
            {"type": "page", "anonymousId": f"{name}-device", "properties": {"path": "/pricing"}},
            {"type": "identify", **ids, "traits": {"title": "CEO", "company": {"employees": 300}}},
            {"type": "group", "userId": name, "groupId": "truth-inc", "traits": {"plan": "team"}},
            {"type": "track", "userId": name, "event": "Trial Started"},
        ]
        stamped = [
            {**event, "messageId": f"{name}-{place}", "timestamp": (now - timedelta(hours=9 - place)).isoformat()}
            for place, event in enumerate(events)
        ]
        stack.api.send(stack.outputs.write_key, stamped)
    for name in PEOPLE:
        eventually(lambda name=name: total(stack, name) == 53.0)  # type: ignore[misc]
    return PEOPLE


def total(stack: Stack, name: str) -> float | None:
    try:
        return stack.api.lead(name)["score"]["total"]
    except ApiError:
        return None


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})


def verified() -> dict[str, set[tuple[str, str]]]:
    """Return what differs, by lead."""
    answer = run("verify", "--all", "--json")
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.output
    found: dict[str, set[tuple[str, str]]] = {}
    for each in json.loads(answer.stdout)["differences"]:
        found.setdefault(each["lead"], set()).add((each["kind"], each["path"]))
    assert (answer.exit_code == 0) == (found == {})
    return found


def nothing_differs() -> bool:
    """Return whether the whole table is as by the log; an AssertionError says what is not."""
    assert verified() == {}
    return True


def spoil(stack: Stack, identity: str, attribute: str, value: str) -> None:
    stack.clients.dynamodb.update_item(
        TableName=stack.names.table,
        Key=identity_key(identity),
        UpdateExpression="SET #a = :v",
        ExpressionAttributeNames={"#a": attribute},
        ExpressionAttributeValues={":v": {"S": value}},
    )


def damage(stack: Stack) -> None:
    spoil(stack, "user:truth-1", "tier", "cold")
    spoil(stack, "user:truth-2", "state", "{")
    spoil(stack, "user:truth-3", "claimed", "{}")
    stack.clients.dynamodb.delete_item(TableName=stack.names.table, Key=identity_key("user:truth-4"))


def test_damage_is_found_rebuilt_and_gone(stack: Stack, people: list[str]) -> None:
    eventually(nothing_differs, timeout_seconds=60)
    damage(stack)
    found = verified()
    assert set(found) == {"truth-1", "truth-2", "truth-3", "truth-4"}
    assert found["truth-1"] == {("standing", "tier")}
    assert ("content", "state") in found["truth-2"]
    assert ("claim", "claimed.anonymous:truth-3-device") in found["truth-3"]

    rebuilt = run("rebuild", "--all", "--anew", "--json")

    assert rebuilt.exit_code == 0, rebuilt.output
    answer = json.loads(rebuilt.stdout)
    assert (answer["complete"], answer["written"] >= 4) == (True, True)
    assert {each["lead"] for each in answer["differences"]} >= set(found)
    assert {(each["kind"], each["path"]) for each in answer["differences"] if each["lead"] == "truth-1"} == {
        ("standing", "tier")
    }
    eventually(nothing_differs, timeout_seconds=60)
    assert [total(stack, name) for name in people] == [53.0] * len(people)
    again = json.loads(run("rebuild", "--all", "--json").stdout)
    assert (again["written"], again["differences"]) == (0, [])


def test_one_lead_is_verified_and_rebuilt_by_any_of_its_ids(stack: Stack, people: list[str]) -> None:
    spoil(stack, "user:truth-5", "tier", "cold")
    assert run("verify", "truth-5-device").exit_code == 1
    assert run("verify", "truth-6").exit_code == 0
    rebuilt = run("rebuild", "truth-5-device")
    assert rebuilt.exit_code == 0, rebuilt.output
    assert "standing  user:truth-5 tier: cold, by the log hot" in rebuilt.stdout
    assert run("verify", "truth-5").exit_code == 0


def test_a_run_that_was_stopped_is_gone_on_with(stack: Stack, people: list[str]) -> None:
    machine = stack.names.rebuild_machine_arn
    with choose_target("local", stack.stage.directory).states() as states:
        before = states.list_executions(stateMachineArn=machine, maxResults=1)["executions"]
        assert all(each["status"] != "RUNNING" for each in before)
        segments = [{"segment": number, "segments": 3} for number in range(3)]
        started = states.start_execution(stateMachineArn=machine, input=json.dumps({"segments": segments}))
        states.stop_execution(executionArn=started["executionArn"], cause="for a test")
        rebuilt = run("rebuild", "--all")
        assert rebuilt.exit_code == 0, rebuilt.output
        assert "going on" in rebuilt.output
        newest = states.list_executions(stateMachineArn=machine, maxResults=1)["executions"][0]
        given = json.loads(states.describe_execution(executionArn=newest["executionArn"])["input"])["segments"]
        assert {each["segments"] for each in given} == {3}


def test_a_new_ruleset_reaches_every_lead_and_the_past_is_read_under_the_old(stack: Stack, people: list[str]) -> None:
    ssm, name = stack.clients.ssm, stack.names.ruleset_parameter
    original = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    changed = json.loads(original)
    next(criterion for criterion in changed["criteria"] if criterion["id"] == "pricing-page")["points"] = 14
    before = json.loads(run("lead", "truth-7", "--json").stdout)["score"]["version"]
    ssm.put_parameter(Name=name, Value=json.dumps(changed), Type="String", Overwrite=True)
    try:
        outdated = json.loads(run("verify", "--all", "--json").stdout)
        assert (outdated["differences"], outdated["counts"]["outdated"] >= len(people)) == ([], True)
        rebuilt = json.loads(run("rebuild", "--all", "--outdated", "--json").stdout)
        assert rebuilt["counts"]["outdated"] >= len(people)
        # Whoever still scores under the ruleset that it has in its cache may leave a few behind.
        eventually(all_are_under_the_new_ruleset, timeout_seconds=90)
        now = json.loads(run("lead", "truth-7", "--json").stdout)["score"]
        old = json.loads(run("lead", "truth-7", "--ruleset", before[:8], "--json").stdout)["score"]
        assert (now["total"], old["total"], old["version"]) == (52.0, 53.0, before)
    finally:
        ssm.put_parameter(Name=name, Value=original, Type="String", Overwrite=True)
        assert run("rebuild", "--all", "--outdated").exit_code == 0


def test_a_lead_is_read_as_of_an_instant_before_its_last_event(stack: Stack, people: list[str]) -> None:
    at = format_instant(from_datetime(datetime.now(UTC) - timedelta(hours=7)))  # noqa: TID251
    past = json.loads(run("lead", "truth-8", "--at", at, "--json").stdout)
    assert past["score"]["total"] == 33.0
    assert past["as_of"]["at"] == at
    assert run("lead", "truth-8", "--at", "2099-01-01").exit_code == 1


def all_are_under_the_new_ruleset() -> bool:
    """Bring leads under the active ruleset, and return whether none is left."""
    run("rebuild", "--all", "--outdated", "--json")
    return "outdated" not in json.loads(run("verify", "--all", "--json").stdout)["counts"]
