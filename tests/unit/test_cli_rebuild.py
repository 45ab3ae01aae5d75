"""`leadscore rebuild`: runs of the state machine that are started, followed, resumed; and one lead by the function."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from typer.testing import CliRunner, Result

from leadscore.adapters.erasing import DynamoGraves
from leadscore.usecases.rebuilding import SEGMENTS, Found, Segment
from leadscore.usecases.records import StoredIdentity
from leadscore_cli import rebuild_run, truth_commands
from leadscore_cli.main import app
from leadscore_cli.outputs import Deployment
from leadscore_cli.rebuild_run import RebuildRun, begin_run
from tests.unit.test_cli_outputs import CDK_OUTPUTS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MACHINE = CDK_OUTPUTS["RebuildMachineArn"]
FOUND = Found("aa" * 16, "standing", "aa" * 16, "tier", "cold", "hot")


@dataclass
class Machine:
    """Step Functions with one machine, whose executions make the calls that a test tells them to."""

    executions: list[dict[str, Any]] = field(default_factory=list)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    calls_before_the_end: int = 10_000
    ends_as: str = "SUCCEEDED"
    page: int = 5

    def list_executions(self, *, stateMachineArn: str, maxResults: int) -> dict[str, Any]:  # noqa: N803
        assert (stateMachineArn, maxResults) == (MACHINE, 1)
        return {"executions": self.executions[:1]}

    def start_execution(self, *, stateMachineArn: str, input: str) -> dict[str, Any]:  # noqa: N803, A002
        assert stateMachineArn == MACHINE
        name = f"run-{len(self.executions)}"
        self.executions.insert(0, {"executionArn": name, "status": "RUNNING", "input": input})
        self.events[name] = [{"type": "ExecutionStarted"}]
        return {"executionArn": name}

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803
        return next(each for each in self.executions if each["executionArn"] == executionArn)

    def get_execution_history(self, *, executionArn: str, reverseOrder: bool, maxResults: int) -> dict[str, Any]:  # noqa: N803
        assert reverseOrder
        return {"events": self.events[executionArn][::-1][:maxResults]}

    def get_paginator(self, operation: str) -> Machine:
        assert operation == "get_execution_history"
        return self

    def paginate(self, *, executionArn: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        events = self.events[executionArn]
        yield from ({"events": events[start : start + self.page]} for start in range(0, len(events), self.page))

    def call(self, segment: Segment, *found: Found) -> None:
        """Make the newest execution end one call of its worker."""
        output = {"Payload": {"next": segment.to_dict(), "found": [each.to_dict() for each in found]}}
        details = {"output": json.dumps(output)}
        self.events[self.newest["executionArn"]].append({"taskSucceededEventDetails": details})

    def end(self, status: str, at: datetime = NOW, segments: tuple[Segment, ...] = ()) -> None:
        output = {"output": json.dumps([each.to_dict() for each in segments])} if status == "SUCCEEDED" else {}
        self.newest.update(status=status, stopDate=at, cause="a call failed", **output)

    def given(self) -> list[Segment]:
        return [Segment.from_dict(each) for each in json.loads(self.newest["input"])["segments"]]

    def work(self) -> None:
        """Make every call of the newest execution."""
        done = tuple(replace(each, done=True, after=None, items=10, leads=3, ruleset="abc") for each in self.given())
        for each in done:
            self.call(each)
        self.end("SUCCEEDED", segments=done)

    @property
    def newest(self) -> dict[str, Any]:
        return self.executions[0]


def begin(machine: Machine, now: datetime = NOW, *, outdated_only: bool = False, anew: bool = False) -> RebuildRun:
    return begin_run(cast(Any, machine), MACHINE, now, outdated_only=outdated_only, anew=anew)


def half_done(machine: Machine) -> dict[int, Segment]:
    """Start a run in which segment 0 is done, 1 is under way, and the others have not begun."""
    begin(machine)
    done = Segment(0, SEGMENTS, done=True, items=10, leads=4, ruleset="abc")
    under_way = Segment(1, SEGMENTS, after="here", items=7, leads=2, written=1, counts={"standing": 1}, ruleset="abc")
    machine.call(done)
    machine.call(replace(under_way, after="before", items=3, leads=1, written=0, counts={}))
    machine.call(under_way, FOUND)
    return {0: done, 1: under_way}


def test_the_first_run_is_of_all_segments() -> None:
    machine = Machine()
    run = begin(machine)
    assert machine.given() == [Segment(number, SEGMENTS) for number in range(SEGMENTS)]
    assert (run.origin, run.look().is_over) == ("new", False)


def test_a_run_stands_where_its_calls_have_come() -> None:
    machine = Machine()
    run = begin(machine)
    machine.call(
        Segment(3, SEGMENTS, after="x", items=7, leads=2, written=1, counts={"standing": 1}, ruleset="abc"), FOUND
    )
    machine.call(
        Segment(3, SEGMENTS, after="y", items=9, leads=3, written=2, counts={"standing": 2}, ruleset="abc"), FOUND
    )
    standing = run.look()
    assert (standing.items, standing.leads, standing.written, standing.counts) == (9, 3, 2, {"standing": 2})
    assert run.found() == [FOUND, FOUND]
    machine.work()
    standing = run.look()
    assert (standing.is_complete, standing.leads, standing.rulesets) == (True, 3 * SEGMENTS, {"abc"})


def test_a_run_that_is_under_way_is_followed() -> None:
    machine = Machine()
    half_done(machine)
    run = begin(machine, anew=True)
    assert len(machine.executions) == 1
    assert (run.origin, run.look().leads) == ("under way", 6)


def test_all_leads_are_not_taken_for_rebuilt_where_outdated_ones_are(target: FakeTarget) -> None:
    begin(target.machine, outdated_only=True)
    result = run("--all")
    assert result.exit_code == 1
    assert "leads are being brought under a new ruleset: run it again once that is over" in result.output
    assert begin(target.machine, outdated_only=True).origin == "under way"
    assert (len(target.machine.executions), target.machine.newest["status"]) == (1, "RUNNING")


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_a_run_that_stopped_is_gone_on_with_behind_its_last_calls(status: str) -> None:
    machine = Machine()
    known = half_done(machine)
    machine.end(status)
    run = begin(machine, NOW + timedelta(hours=23))
    assert run.origin == "stopped"
    assert machine.given() == [known[1], *(Segment(number, SEGMENTS) for number in range(2, SEGMENTS))]
    assert run.look().leads == 6
    machine.work()
    assert run.look().is_complete


def test_a_run_that_stopped_twice_is_gone_on_with_again() -> None:
    machine = Machine()
    known = half_done(machine)
    machine.end("FAILED")
    begin(machine)
    machine.end("FAILED")
    begin(machine)
    assert machine.given()[0] == known[1]
    assert len(machine.given()) == SEGMENTS - 1


@pytest.mark.parametrize("why", ["it was complete", "too long ago", "another kind", "anew"])
def test_a_run_begins_anew_where_the_one_before_does_not_count(why: str) -> None:
    machine = Machine()
    half_done(machine)
    machine.work() if why == "it was complete" else machine.end("FAILED")
    later = NOW + timedelta(hours=25 if why == "too long ago" else 1)
    run = begin(machine, later, outdated_only=why == "another kind", anew=why == "anew")
    assert run.origin == "new"
    assert machine.given() == [
        Segment(number, SEGMENTS, outdated_only=why == "another kind") for number in range(SEGMENTS)
    ]


def test_a_segment_that_began_anew_under_another_ruleset_counts_as_it_is() -> None:
    machine = Machine()
    run = begin(machine)
    machine.call(Segment(0, SEGMENTS, after="x", items=100, leads=50, ruleset="abc"))
    assert run.look().items == 100
    machine.call(Segment(0, SEGMENTS, after="y", items=10, leads=5, ruleset="def"))
    standing = run.look()
    assert (standing.items, standing.rulesets) == (10, {"def"})


@dataclass
class FakeTarget:
    """A deployed stage: its machine, its functions, and a table in which one pseudonym is known."""

    machine: Machine
    answer: dict[str, Any] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    deployment: Deployment = field(
        default_factory=lambda: Deployment.from_cdk(
            "local", "us-east-1", CDK_OUTPUTS | {"RebuildFunction": "rebuild-1"}
        )
    )

    @contextmanager
    def states(self) -> Iterator[Machine]:
        yield self.machine

    @contextmanager
    def dynamodb(self, _connections: int) -> Iterator[FakeTarget]:
        yield self

    @contextmanager
    def lambdas(self, _wait_seconds: int) -> Iterator[FakeTarget]:
        yield self

    def describe_table(self, *, TableName: str) -> dict[str, Any]:  # noqa: N803
        assert TableName == self.deployment.table
        return {"Table": {"ItemCount": 300}}

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        assert FunctionName == "rebuild-1"
        self.asked.append(json.loads(Payload))
        failed = {"FunctionError": "Unhandled"} if "errorMessage" in self.answer else {}
        return {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(self.answer).encode()), **failed}


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> FakeTarget:
    fake = FakeTarget(Machine())
    looked = RebuildRun.look

    def look(run: RebuildRun) -> rebuild_run.Standing:
        if fake.machine.newest["status"] == "RUNNING":
            fake.machine.work() if fake.machine.ends_as == "SUCCEEDED" else fake.machine.end(fake.machine.ends_as)
        return looked(run)

    def look_up(_self: object, name: str) -> StoredIdentity | None:
        return StoredIdentity("user:ada", 1) if name == FOUND.lead else None

    monkeypatch.setattr(truth_commands, "target_of_project", lambda _stage: fake)
    monkeypatch.setattr(RebuildRun, "look", look)
    monkeypatch.setattr(DynamoGraves, "look_up", look_up)
    monkeypatch.setattr(truth_commands, "utc_now", lambda: NOW)
    return fake


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["rebuild", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def test_all_leads_are_rebuilt_and_differences_are_told_by_name(target: FakeTarget) -> None:
    begin(target.machine)
    target.machine.call(Segment(0, SEGMENTS, after="x", ruleset="abc"), FOUND, replace(FOUND, lead="bb", identity="bb"))
    result = run("--all")
    assert result.exit_code == 0, result.output
    assert "ada\n  standing  user:ada tier: cold, by the log hot\nbb\n  standing  bb tier" in result.stdout
    assert "96 leads verified, 0 of them differed" in result.stdout


def test_a_rebuild_as_json(target: FakeTarget) -> None:
    answer = json.loads(run("--all", "--outdated", "--json").stdout)
    assert answer == {
        "complete": True,
        "leads": 96,
        "written": 0,
        "counts": {},
        "rulesets": ["abc"],
        "differences": [],
    }
    assert all(segment.outdated_only for segment in target.machine.given())


def test_a_rebuild_that_stops_says_how_to_go_on(target: FakeTarget) -> None:
    target.machine.ends_as = "FAILED"
    result = run("--all")
    assert result.exit_code == 1
    assert "a call failed" in result.output
    assert "the rebuild stopped (FAILED): run it again to go on" in result.output
    target.machine.ends_as = "SUCCEEDED"
    again = run("--all")
    assert again.exit_code == 0
    assert "going on behind" in again.output
    assert "--anew" in again.output


def test_what_is_left_ends_in_1(target: FakeTarget) -> None:
    begin(target.machine)
    target.machine.call(Segment(0, SEGMENTS, after="x", ruleset="abc"), replace(FOUND, left=True))
    result = run("--all")
    assert result.exit_code == 1
    assert "(not rebuilt)" in result.stdout


def difference(**more: object) -> dict[str, object]:
    told = {"kind": "standing", "identity": "user:ada", "path": "tier", "stored": "cold", "expected": "hot"}
    return {**told, "left": False, **more}


def test_one_lead_is_rebuilt_by_the_function(target: FakeTarget) -> None:
    target.answer = {"rebuilt": {"lead": "ada", "found": [difference()], "left": []}}
    result = run("device")
    assert (result.exit_code, target.asked) == (0, [{"lead": "device"}])
    assert "ada\n  standing  user:ada tier: cold, by the log hot\n" in result.stdout
    assert "1 difference rebuilt" in result.output
    assert json.loads(run("device", "--json").stdout) == target.answer["rebuilt"]
    target.answer = {"rebuilt": {"lead": "ada", "found": [], "left": []}}
    assert "as its log says" in run("device").output


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"rebuilt": None}, "no such lead"),
        ({"errorMessage": "boom"}, "leadscore logs rebuild"),
        ({"rebuilt": {"lead": "ada", "found": [difference(left=True)], "left": []}}, "not everything"),
    ],
)
def test_one_lead_that_is_not_rebuilt_ends_in_1(target: FakeTarget, answer: dict[str, Any], told: str) -> None:
    target.answer = answer
    result = run("ada")
    assert result.exit_code == 1
    assert told in result.output
    assert "boom" not in result.output


@pytest.mark.parametrize("arguments", [(), ("ada", "--all"), ("ada", "--outdated"), ("ada", "--anew")])
def test_one_thing_is_rebuilt_at_a_time(target: FakeTarget, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert "rebuild what?" in result.output
